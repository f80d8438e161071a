import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../builder.js';
import { graphCost } from '../cost.js';
import { evaluate } from '../evaluate.js';
import { type Graph, nodesOf, type Value } from '../graph.js';
import { int64s, makeTensor, sizeOf, type Tensor } from '../tensor.js';
import { gatherSlices } from './gather-slices.js';
import { narrow } from './narrow.js';
import { runPasses } from './run-passes.js';

const opsOf = (graph: Graph) => nodesOf(graph.outputs.values()).map(({ op, output }) => `${op}[${output.shape}]`);
const convolution = { kernel_shape: [3, 3], strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1 } as const;
const wave = (shape: readonly number[]): Tensor =>
  makeTensor(
    shape,
    Float64Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(1.3 * i)),
  );

type Build = (g: GraphBuilder, input: (name: string, shape: readonly number[]) => Value) => Value | Value[];

function graphOf(build: Build): { graph: Graph; feeds: Map<string, Tensor> } {
  const g = new GraphBuilder();
  const inputs: Value[] = [];
  const made = build(g, (name, shape) => {
    const value = g.input(name, shape);
    inputs.push(value);
    return value;
  });
  const outputs = new Map([made].flat().map((value, i) => [`y${i}`, value]));
  const feeds = new Map(inputs.map(({ name, shape }) => [name, wave(shape as number[])]));
  return { graph: { name: 'g', inputs, outputs }, feeds };
}

const take = (g: GraphBuilder, x: Value, axis: number, indices: readonly number[]) =>
  g.apply('Gather', [x, g.constant(int64s(indices))], { axis });
const sum = (g: GraphBuilder, x: Value, axes: readonly number[], keepdims: 0 | 1 = 0) =>
  g.apply('ReduceSum', [x, g.constant(int64s(axes))], { keepdims });

describe('narrowing', () => {
  it.each<[string, number, Build]>([
    [
      'the rows of a product',
      2 / 3,
      (g, input) => take(g, g.apply('MatMul', [input('a', [3, 4]), input('b', [4, 5])], {}), 0, [2, 0]),
    ],
    [
      'its columns, read over a batch',
      0.4,
      (g, input) => take(g, g.apply('MatMul', [input('a', [2, 3, 4]), input('b', [4, 5])], {}), 2, [1, 3]),
    ],
    [
      'output channels of a weight gradient, scaled and summed',
      0.5,
      (g, input) => {
        const gradient = g.apply(
          'ConvWeightGradient',
          [input('x', [2, 3, 4, 4]), input('dy', [2, 4, 4, 4])],
          convolution,
        );
        const scaled = g.apply('Mul', [gradient, input('scale', [4, 1, 1, 1])], {});
        return [take(g, scaled, 0, [1, 3]), take(g, sum(g, scaled, [1, 2, 3]), 0, [1, 3])];
      },
    ],
    [
      'input channels of a weight gradient',
      1 / 3,
      (g, input) =>
        take(
          g,
          g.apply('ConvWeightGradient', [input('x', [2, 3, 4, 4]), input('dy', [2, 4, 4, 4])], convolution),
          1,
          [1],
        ),
    ],
    [
      'channels of an input gradient, through all that treats them one by one',
      0.5,
      (g, input) => {
        const attributes = { ...convolution, output_padding: [0, 0] } as const;
        const dx = g.apply('ConvTranspose', [input('dy', [2, 4, 4, 4]), input('w', [4, 6, 3, 3])], attributes);
        const masked = g.apply(
          'Where',
          [g.apply('Greater', [input('x', [2, 6, 4, 4]), g.scalar(0)], {}), dx, g.scalar(0)],
          {},
        );
        const centred = g.apply(
          'Sub',
          [masked, g.apply('ReduceMean', [masked, g.constant(int64s([0, 2, 3]))], { keepdims: 1 })],
          {},
        );
        const flat = g.apply('Reshape', [centred, g.constant(int64s([2, 6, 16]))], {});
        const padded = g.apply('Pad', [flat, g.constant(int64s([0, 0, 1, 0, 0, 1]))], { mode: 'constant' });
        return take(g, g.apply('Transpose', [padded], { perm: [1, 0, 2] }), 0, [5, 0, 2]);
      },
    ],
  ])('computes only %s', (_, share, build) => {
    const { graph, feeds } = graphOf(build);
    const { graph: narrowed, changed } = runPasses(graph, { narrow });
    expect(changed).toBe(true);
    const cost = (of: Graph) => graphCost(of).multiplyAdds;
    expect(cost(narrowed) / cost(graph)).toBeCloseTo(share, 10);
    const [found, expected] = [evaluate(narrowed, feeds), evaluate(graph, feeds)];
    for (const [name, { shape, data }] of expected) {
      expect(found.get(name)?.shape, name).toEqual(shape);
      data.forEach((value, i) => {
        expect(found.get(name)?.data[i], name).toBeCloseTo(value, 12);
      });
    }
    expect(narrow(narrowed).changed).toBe(false);
  });

  it('gathers before a run of cheap operators where less is computed so', () => {
    const { graph, feeds } = graphOf((g, input) => {
      // The counts in the gradient of max pooling, of which every second channel is read.
      const x = input('x', [2, 4, 6, 6]);
      const window = { kernel_shape: [2, 2], strides: [2, 2], pads: [0, 0, 0, 0] } as const;
      const largest = g.apply('Cast', [g.apply('Greater', [x, g.scalar(0.5)], {})], { to: 'float32' });
      const count = g.apply('AveragePool', [largest], window);
      return [take(g, largest, 1, [1, 3]), take(g, count, 1, [1, 3])];
    });
    const { graph: narrowed } = runPasses(graph, { narrow });
    expect(opsOf(narrowed)).toEqual(['Gather[2,2,6,6]', 'Greater[2,2,6,6]', 'Cast[2,2,6,6]', 'AveragePool[2,2,3,3]']);
    expect(evaluate(narrowed, feeds)).toEqual(evaluate(graph, feeds));
  });

  it.each<[string, Build]>([
    [
      'a product that is read whole too',
      (g, input) => {
        const product = g.apply('MatMul', [input('a', [3, 4]), input('b', [4, 5])], {});
        return [take(g, product, 0, [0]), g.apply('Neg', [product], {})];
      },
    ],
    [
      'a product that is an output',
      (g, input) => {
        const product = g.apply('MatMul', [input('a', [3, 4]), input('b', [4, 5])], {});
        return [take(g, product, 0, [0]), product];
      },
    ],
    [
      'a product of which different rows are read',
      (g, input) => {
        const product = g.apply('MatMul', [input('a', [3, 4]), input('b', [4, 5])], {});
        return [take(g, product, 0, [0]), take(g, product, 0, [1])];
      },
    ],
    [
      'a reordering',
      (g, input) => take(g, g.apply('MatMul', [input('a', [3, 4]), input('b', [4, 5])], {}), 0, [2, 0, 1]),
    ],
    [
      'what is summed over the axis',
      (g, input) =>
        take(
          g,
          g.apply('Softmax', [g.apply('MatMul', [input('a', [3, 4]), input('b', [4, 5])], {})], { axis: 0 }),
          0,
          [1],
        ),
    ],
    [
      'convolutions in groups',
      (g, input) =>
        take(
          g,
          g.apply('Conv', [input('x', [1, 4, 4, 4]), input('w', [4, 2, 3, 3])], { ...convolution, group: 2 }),
          1,
          [1],
        ),
    ],
    [
      'a sum of many, of which more would be gathered than is saved',
      (g, input) => {
        const total = ['a', 'b', 'c'].map((name) => input(name, [4, 5])).reduce((a, b) => g.apply('Add', [a, b], {}));
        return take(g, total, 0, [0, 2]);
      },
    ],
    [
      'sums without a product, which are as cheap',
      (g, input) => take(g, sum(g, input('x', [2, 4, 8, 8]), [0, 2, 3]), 0, [1]),
    ],
  ])('leaves alone %s', (_, build) => {
    expect(narrow(graphOf(build).graph).changed).toBe(false);
  });
});

/** The same index for every entry of a slice along `axis`. */
const indicesOf = (g: GraphBuilder, shape: readonly number[], axis: number, list: readonly number[]) => {
  const inner = sizeOf(shape.slice(axis + 1));
  const entries = Array.from({ length: sizeOf(shape) }, (_, i) => list[Math.floor(i / inner) % list.length] as number);
  return g.constant({ dtype: 'int64', shape, data: Float64Array.from(entries) });
};

describe('gathering whole slices', () => {
  it('takes and replaces rows and columns by one index each', () => {
    const { graph, feeds } = graphOf((g, input) => {
      const x = input('x', [4, 3]);
      const scatter = (updates: Value, axis: number, list: readonly number[]) =>
        g.apply('ScatterElements', [x, indicesOf(g, updates.shape as number[], axis, list), updates], {
          axis,
          reduction: 'none',
        });
      return [
        g.apply('GatherElements', [x, indicesOf(g, [2, 3], 0, [3, 1])], { axis: 0 }),
        g.apply('GatherElements', [x, indicesOf(g, [4, 2], 1, [-1, 0])], { axis: 1 }),
        scatter(input('rows', [2, 3]), 0, [2, 0]),
        scatter(input('columns', [4, 1]), 1, [1]),
      ];
    });
    const { graph: rewritten } = runPasses(graph, { gatherSlices });
    expect(new Set(opsOf(rewritten).map((op) => op.split('[')[0]))).toEqual(new Set(['Gather', 'Concat']));
    expect(evaluate(rewritten, feeds)).toEqual(evaluate(graph, feeds));
  });

  it.each<[string, Build]>([
    [
      'entries of different slices',
      (g, input) =>
        g.apply(
          'GatherElements',
          [input('x', [2, 2]), g.constant({ dtype: 'int64', shape: [1, 2], data: Float64Array.of(0, 1) })],
          { axis: 0 },
        ),
    ],
    [
      'a part of the slices',
      (g, input) => g.apply('GatherElements', [input('x', [2, 2]), indicesOf(g, [1, 1], 0, [1])], { axis: 0 }),
    ],
    [
      'single entries that are replaced',
      (g, input) =>
        g.apply('ScatterElements', [input('x', [4]), indicesOf(g, [2], 0, [0, 3]), input('u', [2])], {
          axis: 0,
          reduction: 'none',
        }),
    ],
    [
      'sums',
      (g, input) =>
        g.apply('ScatterElements', [input('x', [4, 2]), indicesOf(g, [2, 2], 0, [0, 3]), input('u', [2, 2])], {
          axis: 0,
          reduction: 'add',
        }),
    ],
  ])('leaves alone %s', (_, build) => {
    expect(gatherSlices(graphOf(build).graph).changed).toBe(false);
  });
});

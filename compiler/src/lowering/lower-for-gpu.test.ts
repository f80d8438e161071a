import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../builder.js';
import { evaluate } from '../evaluate.js';
import { gradients } from '../gradients.js';
import { type Graph, nodesOf, type Value } from '../graph.js';
import { ownOperators } from '../operators/own.js';
import { makeTensor, type Shape, sizeOf } from '../tensor.js';
import { lowerForCpu } from './lower-for-cpu.js';
import { lowerForGpu } from './lower-for-gpu.js';

const plain = { kernel_shape: [3, 3], strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1] } as const;
const pool = { kernel_shape: [2, 2], strides: [2, 2], pads: [0, 0, 0, 0] } as const;

/** One gradient step of two convolutions with pooling, and the loss after it, with what it needs of second order. */
function step(groups: number, size: number): Graph {
  const g = new GraphBuilder();
  const x = g.input('x', [3, 2 * groups, size, size]);
  const weights = [g.input('a', [4 * groups, 2, 3, 3]), g.input('b', [2 * groups, 4, 3, 3])];
  const lossOf = ([a, b]: readonly Value[]) => {
    const hidden = g.apply('MaxPool', [g.apply('Conv', [x, a], { ...plain, group: groups })], pool);
    const y = g.apply('Conv', [g.apply('Tanh', [hidden], {}), b], { ...plain, group: groups });
    return g.apply('ReduceMean', [g.apply('Mul', [y, y], {})], { keepdims: 0 });
  };
  const found = gradients(g, lossOf(weights), weights) as Value[];
  const moved = weights.map((weight, i) => {
    const gradient = i === 0 ? g.apply('StopGradient', [found[i]], {}) : (found[i] as Value);
    return g.apply('Sub', [weight, gradient], {});
  });
  const loss = lossOf(moved);
  const outer = gradients(g, loss, weights) as Value[];
  const outputs = new Map([['loss', loss], ...outer.map((each, i) => [`grad/${i}`, each] as const)]);
  return { name: 'step', inputs: [x, ...weights], outputs };
}

const wave = (shape: Shape, phase: number) =>
  makeTensor(
    shape as number[],
    Float64Array.from({ length: sizeOf(shape as number[]) }, (_, i) => Math.sin(1.7 * i + phase)),
  );

const run = (graph: Graph) =>
  evaluate(graph, new Map(graph.inputs.map(({ name, shape }, i) => [name, wave(shape, i)])));

const nodes = (graph: Graph) => nodesOf(graph.outputs.values());

describe.each([
  ['one task, large images', 1, 20],
  ['one task, small images', 1, 6],
  ['tasks as groups', 2, 6],
])('lowering for a device, %s', (_, groups, size) => {
  const graph = step(groups, size);

  it.each([
    ['a CPU', lowerForCpu],
    ['a GPU', lowerForGpu],
  ])('leaves operators of ONNX alone for %s, and the values', (_device, lower) => {
    const lowered = lower(graph);
    expect(nodes(lowered).filter(({ op }) => ownOperators.has(op))).toEqual([]);
    const expected = run(graph);
    for (const [name, { shape, data }] of run(lowered)) {
      expect(shape).toEqual(expected.get(name)?.shape);
      data.forEach((value, i) => {
        expect(value).toBeCloseTo(expected.get(name)?.data[i] as number, 10);
      });
    }
  });

  it('brings no form of the CPU to a GPU', () => {
    const lowered = lowerForGpu(graph);
    const poolings = (of: Graph) =>
      nodes(of)
        .filter(({ op }) => op === 'MaxPool' || op === 'AveragePool')
        .map(({ op, output }) => `${op} ${output.shape}`);
    expect(poolings(lowered)).toEqual(poolings(graph));
    const turned = nodes(lowered).filter(({ op, inputs }) => op === 'Conv' && inputs[1]?.producer?.op === 'Slice');
    expect(turned).toEqual([]);
    const transposed = (of: Graph) => nodes(of).filter(({ op }) => op === 'ConvTranspose').length;
    expect(transposed(lowered)).toBe(groups === 1 ? transposed(graph) : 0);
  });
});

describe('lowering', () => {
  it.each([
    ['a CPU', lowerForCpu],
    ['a GPU', lowerForGpu],
  ])('leaves a graph that has nothing to lower as it is, for %s', (_, lower) => {
    const g = new GraphBuilder();
    const x = g.input('x', ['N', 2]);
    const graph = { name: 'relu', inputs: [x], outputs: new Map([['y', g.apply('Relu', [x], {})]]) };
    expect(lower(graph)).toBe(graph);
  });

  it('leaves out what only steers differentiation', () => {
    const g = new GraphBuilder();
    const [x, logits] = [g.input('x', ['N', 2]), g.input('logits', ['N', 2])];
    const through = g.apply('StraightThrough', [g.apply('Relu', [x], {}), logits], {});
    const outputs = new Map([
      ['y', g.apply('Neg', [g.apply('StopGradient', [through], {})], {})],
      ['same', g.apply('StopGradient', [x], {})],
    ]);
    const lowered = lowerForCpu({ name: 'g', inputs: [x, logits], outputs });
    expect(nodes(lowered).map(({ op }) => op)).toEqual(['Relu', 'Neg']);
    expect(lowered.outputs.get('same')).toBe(lowered.inputs[0]);
  });
});

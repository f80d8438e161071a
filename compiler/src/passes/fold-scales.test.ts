import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../builder.js';
import { evaluate } from '../evaluate.js';
import { type Graph, nodesOf, type Value } from '../graph.js';
import { makeTensor, type Shape, sizeOf } from '../tensor.js';
import { foldScales } from './fold-scales.js';
import { runPasses } from './run-passes.js';

const conv = { kernel_shape: [3, 3], strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1 } as const;

const opsOf = (graph: Graph) => nodesOf(graph.outputs.values()).map(({ op }) => op);

/** A network over `conv(x, w)` with the vectors `a` and `b` per channel; `v [3]` as batch normalization takes it. */
function graphOf(build: (g: GraphBuilder, y: Value, a: Value, b: Value, v: Value) => Value, bias = false): Graph {
  const g = new GraphBuilder();
  const inputs = {
    x: g.input('x', ['N', 2, 4, 4]),
    w: g.input('w', [3, 2, 3, 3]),
    a: g.input('a', [1, 3, 1, 1]),
    b: g.input('b', [3, 1, 1]),
    v: g.input('v', [3]),
  };
  const y = g.apply('Conv', bias ? [inputs.x, inputs.w, inputs.v] : [inputs.x, inputs.w], conv, 'conv');
  const output = build(g, y, inputs.a, inputs.b, inputs.v);
  return { name: 'network', inputs: Object.values(inputs), outputs: new Map([['y', output]]) };
}

function valuesOf(graph: Graph) {
  const tensor = (shape: Shape, seed: number) => {
    const known = shape.map((dim) => (typeof dim === 'number' ? dim : 2));
    return makeTensor(
      known,
      Float64Array.from({ length: sizeOf(known) }, (_, i) => 1.5 + Math.sin(i * seed)),
    );
  };
  const feeds = new Map(graph.inputs.map(({ name, shape }, i) => [name, tensor(shape, i + 1.3)]));
  return evaluate(graph, feeds).get('y')?.data as Float64Array;
}

describe('folding scales into convolutions', () => {
  it.each<[string, Parameters<typeof graphOf>[0], boolean]>([
    ['a scale', (g, y, a) => g.apply('Mul', [y, a], {}), false],
    ['a scale in front', (g, y, a) => g.apply('Mul', [a, y], {}), true],
    ['a shift', (g, y, _, b) => g.apply('Add', [b, y], {}), false],
    ['what is taken away', (g, y, _, b) => g.apply('Sub', [y, b], {}), true],
    [
      'one after the other',
      (g, y, a, b) => g.apply('Mul', [g.apply('Add', [g.apply('Mul', [y, a], {}), b], {}), a], {}),
      true,
    ],
    [
      'batch normalization',
      (g, y, _a, _b, v) => g.apply('BatchNormalization', [y, v, v, v, v], { epsilon: 0.1 }),
      true,
    ],
  ])('folds %s and keeps the values', (_, build, bias) => {
    const graph = graphOf(build, bias);
    const { graph: folded, changed } = runPasses(graph, { foldScales: foldScales() });
    expect(changed).toBe(true);
    expect(nodesOf(folded.outputs.values()).at(-1)?.op).toBe('Conv');
    expect(opsOf(folded).filter((op) => op === 'Conv')).toHaveLength(1);
    const expected = valuesOf(graph);
    valuesOf(folded).forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i] as number, 12);
    });
    expect(foldScales()(folded).changed).toBe(false);
  });

  it.each<[string, Parameters<typeof graphOf>[0]]>([
    [
      'a convolution that is read twice',
      (g, y, a) => g.apply('Add', [g.apply('Mul', [y, a], {}), g.apply('Relu', [y], {})], {}),
    ],
    ['what takes the convolution away', (g, y, _, b) => g.apply('Sub', [b, y], {})],
    ['a scale along another axis', (g, y) => g.apply('Mul', [y, g.input('a', [1, 1, 4, 1])], {})],
    ['a nonlinear step between', (g, y, a) => g.apply('Mul', [g.apply('Relu', [y], {}), a], {})],
  ])('does not touch %s', (_, build) => {
    const g = new GraphBuilder();
    const x = g.input('x', ['N', 2, 4, 4]);
    const y = g.apply('Conv', [x, g.input('w', [3, 2, 3, 3])], conv);
    const graph = {
      name: 'n',
      inputs: [x],
      outputs: new Map([['y', build(g, y, g.input('a', [1, 3, 1, 1]), g.input('b', [3, 1, 1]), g.input('v', [3]))]]),
    };
    const inputs = new Set<Value>();
    for (const node of nodesOf(graph.outputs.values()))
      for (const input of node.inputs) if (input && !input.producer) inputs.add(input);
    expect(foldScales()({ ...graph, inputs: [...inputs] }).changed).toBe(false);
  });

  it('leaves a moving scale of a frozen weight, whose gradient would cost a weight gradient, but folds its shift', () => {
    const scaled = graphOf((g, y, a) => g.apply('Mul', [y, a], {}));
    const shifted = graphOf((g, y, _, b) => g.apply('Add', [y, b], {}));
    expect(foldScales(new Set(['a']))(scaled).changed).toBe(false);
    expect(foldScales(new Set(['a', 'w']))(scaled).changed).toBe(true);
    expect(foldScales(new Set())(scaled).changed).toBe(true);
    expect(foldScales(new Set(['b']))(shifted).changed).toBe(true);
  });
});

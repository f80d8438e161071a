import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../builder.js';
import { evaluate } from '../evaluate.js';
import { type Graph, nodesOf, type Value } from '../graph.js';
import { int64s, makeTensor, type Shape, sizeOf } from '../tensor.js';
import { unitAxes } from './unit-axes.js';

const graphOf = (shape: Shape, make: (g: GraphBuilder, x: Value) => Value): Graph => {
  const g = new GraphBuilder();
  const x = g.input('x', shape);
  return { name: 'g', inputs: [x], outputs: new Map([['y', make(g, x)]]) };
};
const wave = (shape: readonly number[]) =>
  makeTensor(
    shape,
    Float64Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(1.7 * i)),
  );
const operators = (graph: Graph) => nodesOf(graph.outputs.values()).map(({ op }) => op);
const axes = (...list: number[]) => int64s(list);

describe('axes of size 1', () => {
  it.each([
    [
      [4, 1, 1, 3],
      [4, 1, 1, 3],
      [0, 3, 1, 2],
    ],
    [
      [4, 1, 3],
      [4, 1, 3],
      [1, 0, 2],
    ],
    [
      ['N', 1, 'M'],
      [4, 1, 3],
      [1, 0, 2],
    ],
  ] as const)('a transpose of %j that moves nothing else is a view', (shape, size, perm) => {
    const graph = graphOf(shape, (g, x) => g.apply('Transpose', [x], { perm }));
    const { graph: lowered } = unitAxes(graph);
    expect(operators(lowered)).not.toContain('Transpose');
    expect(lowered.outputs.get('y')?.shape).toEqual(graph.outputs.get('y')?.shape);
    const feeds = new Map([['x', wave(size)]]);
    expect(evaluate(lowered, feeds).get('y')).toEqual(evaluate(graph, feeds).get('y'));
  });

  it.each([
    [
      [4, 3, 1],
      [1, 0, 2],
    ],
    [
      [2, 1, 3],
      [2, 1, 0],
    ],
  ])('a transpose of %j that moves more stays', (shape, perm) => {
    const graph = graphOf(shape, (g, x) => g.apply('Transpose', [x], { perm }));
    expect(unitAxes(graph)).toEqual({ graph, changed: false });
  });

  it.each([
    ['ReduceSum', [4, 3, 1, 1], [1], 1, [1, 2, 3]],
    ['ReduceSum', [4, 3, 1, 1], [-3], 0, [1, 2, 3]],
    ['ReduceMean', [4, 3, 1, 2, 1], [1], 1, [1, 2]],
    ['ReduceMax', [4, 1, 3, 1], [0, 2], 0, [0, 1, 2, 3]],
  ] as const)('%s of %j over %j goes over what follows', (op, shape, over, keepdims, expected) => {
    const graph = graphOf(shape, (g, x) => g.apply(op, [x, g.constant(axes(...over))], { keepdims }));
    const { graph: lowered } = unitAxes(graph);
    const reduced = nodesOf(lowered.outputs.values()).find((node) => node.op === op);
    expect(Array.from(reduced?.inputs[1]?.constant?.data ?? [])).toEqual(expected);
    const feeds = new Map([['x', wave(shape)]]);
    expect(evaluate(lowered, feeds).get('y')).toEqual(evaluate(graph, feeds).get('y'));
    expect(unitAxes(lowered).changed).toBe(false);
  });

  it.each([
    [[4, 3, 2], [1]],
    [[4, 1, 3], [2]],
    [[4, 3, 1], [0]],
  ])('a sum of %j over %j stays', (shape, over) => {
    const graph = graphOf(shape, (g, x) => g.apply('ReduceSum', [x, g.constant(axes(...over))], { keepdims: 1 }));
    expect(unitAxes(graph)).toEqual({ graph, changed: false });
  });
});

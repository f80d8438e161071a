import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../builder.js';
import { evaluate } from '../evaluate.js';
import { gradients } from '../gradients.js';
import { type Graph, nodesOf, type Value } from '../graph.js';
import { int64s, makeTensor, sizeOf } from '../tensor.js';
import { runPasses } from './run-passes.js';
import { simplify } from './simplify.js';

const opsOf = (graph: Graph) => nodesOf(graph.outputs.values()).map(({ op }) => op);

function graphOf(build: (g: GraphBuilder, x: Value, small: Value, wide: Value) => Value): Graph {
  const g = new GraphBuilder();
  const [x, small] = [g.input('x', ['N', 3, 4]), g.input('small', [1, 3, 1])];
  const wide = g.apply('Expand', [small, g.apply('Shape', [x], {})], {});
  return { name: 'g', inputs: [x, small], outputs: new Map([['y', build(g, x, small, wide)]]) };
}

const feeds = new Map(
  [['x', [2, 3, 4]] as const, ['small', [1, 3, 1]] as const].map(([name, shape], at) => {
    const data = Float64Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(1.3 * i + at) + 0.1);
    return [name, makeTensor(shape, data)];
  }),
);

describe('simplifying', () => {
  it.each<[string, Parameters<typeof graphOf>[0], string[]]>([
    ['leaves expanding to an addition', (g, x, _, wide) => g.apply('Add', [x, wide], {}), ['Add']],
    [
      'leaves it to a choice',
      (g, x, _, wide) => g.apply('Where', [g.apply('Greater', [x, wide], {}), wide, x], {}),
      ['Greater', 'Where'],
    ],
    [
      'computes before it expands',
      (g, x, _, wide) => g.apply('Mul', [g.apply('Neg', [g.apply('Mul', [wide, g.scalar(2)], {})], {}), x], {}),
      ['Mul', 'Neg', 'Mul'],
    ],
    [
      'computes with two expanded values before it expands',
      (g, _x, _small, wide) => g.apply('Relu', [g.apply('Add', [wide, g.apply('Sub', [wide, wide], {})], {})], {}),
      ['Sub', 'Add', 'Shape', 'Expand', 'Relu'],
    ],
    [
      'changes the sign of a sum, not of what is summed',
      (g, x) => g.apply('ReduceSum', [g.apply('Neg', [x], {}), g.constant(int64s([0, 2]))], { keepdims: 0 }),
      ['ReduceSum', 'Neg'],
    ],
  ])('%s', (_, build, expected) => {
    const graph = graphOf(build);
    const { graph: simple, changed } = runPasses(graph, { simplify });
    expect(changed).toBe(true);
    expect(opsOf(simple)).toEqual(expected);
    const [before, after] = [graph, simple].map((each) => evaluate(each, feeds).get('y'));
    expect(after?.shape).toEqual(before?.shape);
    before?.data.forEach((value, i) => {
      expect(after?.data[i]).toBeCloseTo(value, 12);
    });
    expect(simplify(simple)).toEqual({ graph: simple, changed: false });
  });

  it.each<[string, Parameters<typeof graphOf>[0]]>([
    ['an expansion that is an output', (_g, _x, _small, wide) => wide],
    ['one that is read by what does not broadcast', (g, _x, _small, wide) => g.apply('Softmax', [wide], { axis: -1 })],
    ['a sum without a sign', (g, x) => g.apply('ReduceSum', [x], { keepdims: 0 })],
    ['a sign behind a sum', (g, x) => g.apply('Neg', [g.apply('ReduceSum', [x], { keepdims: 0 })], {})],
  ])('does not touch %s', (_, build) => {
    const graph = graphOf(build);
    expect(simplify(graph)).toEqual({ graph, changed: false });
  });

  it('leaves the gradient of batch moments without an expansion', () => {
    const graph = graphOf((g, x) => {
      const axes = g.constant(int64s([0, 2]));
      const centered = g.apply('Sub', [x, g.apply('ReduceMean', [x, axes], { keepdims: 1 })], {});
      const variance = g.apply('ReduceMean', [g.apply('Mul', [centered, centered], {}), axes], { keepdims: 1 });
      const normal = g.apply('Div', [centered, g.apply('Sqrt', [variance], {})], {});
      const loss = g.apply('ReduceSum', [g.apply('Mul', [normal, x], {})], { keepdims: 0 });
      return gradients(g, loss, [x])[0] as Value;
    });
    const { graph: simple } = runPasses(graph, { simplify });
    expect(opsOf(graph).filter((op) => op === 'Expand').length).toBeGreaterThan(1);
    // What is left expands the loss's own slope, a scalar, before any large value is met.
    expect(opsOf(simple).filter((op) => op === 'Expand')).toEqual([]);
    const [before, after] = [graph, simple].map((each) => evaluate(each, feeds).get('y'));
    before?.data.forEach((value, i) => {
      expect(after?.data[i]).toBeCloseTo(value, 12);
    });
  });
});

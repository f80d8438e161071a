import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../builder.js';
import { evaluate } from '../evaluate.js';
import type { Value } from '../graph.js';
import { int64s, makeTensor } from '../tensor.js';
import { batchGraph } from './batch-graph.js';

type Build = (g: GraphBuilder, ...inputs: Value[]) => Value;

/** A graph for two tasks; all inputs are a task's own. */
function forTwo(shapes: readonly (readonly number[])[], build: Build) {
  const g = new GraphBuilder();
  const inputs = shapes.map((shape, i) => g.input(`x${i}`, shape));
  const graph = { name: 'test', inputs, outputs: new Map([['y', build(g, ...inputs)]]) };
  return batchGraph(graph, 2, new Set(inputs.map(({ name }) => name)));
}

describe('a graph for many tasks', () => {
  it.each([
    ['ReduceSum', [-3, 2]],
    ['ReduceL1', [3, 2]],
    ['ReduceSumSquare', [9, 4]],
  ] as const)('%s of a number is that of each task, not of all', (op, expected) => {
    const batched = forTwo([[]], (g, x) => g.apply(op, [x as Value], { keepdims: 0 }));
    const y = evaluate(batched, new Map([['x0', makeTensor([2], [-3, 2])]])).get('y');
    expect(y?.shape).toEqual([2]);
    expect(Array.from(y?.data ?? [])).toEqual(expected);
  });

  it('refuses to pad by another value in each task, which one Pad cannot', () => {
    const build: Build = (g, x, value) => g.apply('Pad', [x, g.constant(int64s([1, 1])), value], { mode: 'constant' });
    expect(() => forTwo([[3], []], build)).toThrow('a value of its own for each task is not supported here');
  });

  it('refuses to pad along named axes', () => {
    const axes = (g: GraphBuilder) => g.constant(int64s([0]));
    const build: Build = (g, x) =>
      g.apply('Pad', [x, g.constant(int64s([1, 1])), undefined, axes(g)], { mode: 'constant' }, 'pad');
    expect(() => forTwo([[3]], build)).toThrow('Pad "pad" for 2 tasks: axes of Pad are not supported here');
  });

  it('refuses a node whose tasks would not have the shape of one, such as a Resize to the size of one task', () => {
    const attributes = {
      mode: 'nearest',
      coordinate_transformation_mode: 'asymmetric',
      nearest_mode: 'floor',
    } as const;
    const build: Build = (g, x) =>
      g.apply('Resize', [x, undefined, undefined, g.constant(int64s([2, 3, 8, 8]))], attributes, 'larger');
    expect(() => forTwo([[2, 3, 4, 4]], build)).toThrow(
      'Resize "larger" for 2 tasks: expected [2, 3, 8, 8] for each task, got [2, 1, 3, 8, 8] with the tasks at axis 0',
    );
  });
});

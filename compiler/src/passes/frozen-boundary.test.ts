import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../builder.js';
import type { Graph, Value } from '../graph.js';
import { int64s } from '../tensor.js';
import { frozenBoundary } from './frozen-boundary.js';

describe('the boundary of the frozen part', () => {
  /** x normalized by its own moments, scaled and shifted: what crosses depends on what moves. */
  function normalized() {
    const g = new GraphBuilder();
    const [images, w, scale, shift] = [
      g.input('x', ['N', 2]),
      g.input('w', [2, 2]),
      g.input('scale', [2]),
      g.input('shift', [2]),
    ];
    const x = g.apply('MatMul', [images, w], {}, 'layer');
    const mean = g.apply('ReduceMean', [x, g.constant(int64s([0]))], { keepdims: 1 }, 'mean');
    const centred = g.apply('Sub', [x, mean], {}, 'centred');
    const scaled = g.apply('Mul', [centred, scale], {}, 'scaled');
    const y = g.apply('Add', [scaled, shift], {}, 'y');
    const graph: Graph = { name: 'g', inputs: [images, w, scale, shift], outputs: new Map([['y', y]]) };
    return { graph, mean, centred };
  }
  const names = (values: readonly Value[]) => values.map(({ name }) => name);
  const perRow = ({ shape }: Value) => shape[0] === 'N';

  it.each([
    [['w'], []],
    [['scale'], ['centred']],
    [['shift'], ['scaled']],
    [[], ['y']],
  ])('is with %j moving at %j', (moving, expected) => {
    expect(names(frozenBoundary(normalized().graph, new Set(moving)))).toEqual(expected);
  });

  it('keeps groups on one side, above the boundary where one of them is', () => {
    const { graph, mean, centred } = normalized();
    const boundary = (moving: string) =>
      names(frozenBoundary(graph, new Set([moving]), { together: [[mean, centred]], mayCross: perRow }));
    expect(boundary('shift')).toEqual(['scaled']);
    expect(boundary('scale')).toEqual(['centred']);
    expect(names(frozenBoundary(graph, new Set(['scale']), { mayCross: (value) => value !== centred }))).toEqual([
      'layer',
      'mean',
    ]);
    const refused = { together: [[mean, centred]], mayCross: (value: Value) => value !== centred };
    expect(names(frozenBoundary(graph, new Set(['scale']), refused))).toEqual(['layer']);
  });

  it('is nowhere where nothing may cross it', () => {
    expect(frozenBoundary(normalized().graph, new Set(['shift']), { mayCross: () => false })).toEqual([]);
  });
});

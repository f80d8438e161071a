import { describe, expect, it, test } from 'vitest';
import { GraphBuilder } from './builder.js';
import { graphCost } from './cost.js';
import { type Graph, GraphError, type Value } from './graph.js';
import { makeTensor, type Shape } from './tensor.js';

const graphOf = (output: Value): Graph => ({ name: 'g', inputs: [], outputs: new Map([['y', output]]) });
const weight = (g: GraphBuilder, shape: readonly number[]) =>
  g.constant(makeTensor(shape, new Float64Array(shape.reduce((a, b) => a * b, 1))));

describe('the cost of a graph', () => {
  it.each<[string, Shape, (g: GraphBuilder, x: Value) => Value, number, number]>([
    [
      'a grouped, strided convolution',
      ['N', 4, 6, 6],
      (g, x) =>
        g.apply('Conv', [x, weight(g, [8, 2, 3, 3])], {
          kernel_shape: [3, 3],
          strides: [2, 2],
          dilations: [1, 1],
          group: 2,
          pads: [1, 1, 1, 1],
        }),
      2 * 8 * 9 * 18,
      2 * 8 * 9 * 4,
    ],
    ['a matrix product', ['N', 5, 3], (g, x) => g.apply('MatMul', [x, weight(g, [3, 7])], {}), 2 * 5 * 7 * 3, 280],
    [
      'an Einsum, labels under an ellipsis too',
      ['N', 5, 3],
      (g, x) => g.apply('Einsum', [x, weight(g, [3, 7])], { equation: '...i,ij->...j' }),
      2 * 5 * 7 * 3,
      280,
    ],
    [
      'what adds up nothing',
      ['N', 6],
      (g, x) => g.apply('Relu', [g.apply('Flatten', [x], { axis: 0 })], {}),
      0,
      2 * 2 * 6 * 4,
    ],
  ])('counts %s', (_, shape, build, multiplyAdds, activationBytes) => {
    const g = new GraphBuilder();
    expect(graphCost(graphOf(build(g, g.input('x', shape))), { N: 2 })).toMatchObject({
      multiplyAdds,
      activationBytes,
    });
  });

  it('counts a depthwise convolution whose weight is an input as one, with inputs that the graph does not name', () => {
    const g = new GraphBuilder();
    const attributes = {
      kernel_shape: [3, 3],
      strides: [1, 1],
      dilations: [1, 1],
      group: 8,
      pads: [1, 1, 1, 1],
    } as const;
    const y = g.apply('Conv', [g.input('x', ['N', 8, 4, 4]), g.input('w', [8, 1, 3, 3])], attributes);
    expect(graphCost(graphOf(y), { N: 2 }).multiplyAdds).toBe(2 * 8 * 16 * 9);
  });

  it('refuses a symbol without a size', () => {
    const g = new GraphBuilder();
    const y = g.apply('Neg', [g.input('x', ['N', 'W'])], {});
    expect(() => graphCost(graphOf(y), { N: 2 })).toThrow(GraphError);
    expect(() => graphCost(graphOf(y), { N: 2 })).toThrow('no size is given for "W"');
  });
});

test('counts what is held at once: from a node to its last reader, and outputs to the end', () => {
  const g = new GraphBuilder();
  const x = g.input('x', ['N', 8]);
  // 64 bytes each for N = 2. a is held beside b and c; b is let go after c, a after d.
  const a = g.apply('Exp', [x], {});
  const b = g.apply('Neg', [a], {});
  const c = g.apply('ReduceSum', [b], { keepdims: 0 });
  const d = g.apply('Mul', [a, c], {});
  const cost = (outputs: [string, typeof x][]) =>
    graphCost({ name: 'held', inputs: [x], outputs: new Map(outputs) }, { N: 2 });
  expect(cost([['d', d]])).toMatchObject({ activationBytes: 3 * 64 + 4, peakActivationBytes: 2 * 64 + 4 });
  const both: [string, typeof x][] = [
    ['d', d],
    ['b', b],
  ];
  expect(cost(both)).toMatchObject({ activationBytes: 3 * 64 + 4, peakActivationBytes: 3 * 64 + 4 });
});

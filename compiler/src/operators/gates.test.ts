import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../builder.js';
import { evaluate } from '../evaluate.js';
import { gradients } from '../gradients.js';
import { type Graph, nodesOf, type Value } from '../graph.js';
import { makeTensor, sizeOf } from '../tensor.js';

const conv = { kernel_shape: [3, 3], strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1 } as const;

/** The gradient for `x` of a network's sum. */
function gradientOf(network: (g: GraphBuilder, x: Value, w: Value) => Value): Graph {
  const g = new GraphBuilder();
  const [x, w] = [g.input('x', [2, 3, 4, 5]), g.input('w', [3, 3, 3, 3])];
  const loss = g.apply('ReduceSum', [network(g, x, w)], { keepdims: 0 });
  const [dx] = gradients(g, loss, [x]);
  return { name: 'dx', inputs: [x, w], outputs: new Map([['dx', dx as Value]]) };
}

const valueAt = (i: number, at: number) => Math.sin(1.7 * i + at);
const feedsOf = ({ inputs }: Graph) =>
  new Map(
    inputs.map(({ name, shape }, at) => {
      const known = shape as readonly number[];
      return [
        name,
        makeTensor(
          known,
          Float64Array.from({ length: sizeOf(known) }, (_, i) => valueAt(i, at)),
        ),
      ];
    }),
  );
const operatorsOf = ({ outputs }: Graph) => nodesOf(outputs.values()).map(({ op }) => op);

const relu = (g: GraphBuilder, x: Value) => g.apply('Relu', [x], {});

describe('gates in gradients', () => {
  it.each<[string, (g: GraphBuilder, x: Value, w: Value) => Value]>([
    ['of ReLU below a convolution', (g, x, w) => g.apply('Conv', [relu(g, x), w], conv)],
    [
      'of clipping below one',
      (g, x, w) => g.apply('Conv', [g.apply('Clip', [x, g.scalar(0), g.scalar(6)], {}), w], conv),
    ],
    [
      'of what two convolutions read',
      (g, x, w) => {
        const y = relu(g, x);
        return g.apply('Conv', [g.apply('Add', [g.apply('Conv', [y, w], conv), y], {}), w], conv);
      },
    ],
  ])('%s are products', (_, network) => {
    const operators = operatorsOf(gradientOf(network));
    expect(operators).not.toContain('Where');
    expect(operators).toContain('Cast');
  });

  it('are 0 where the slope above is no number', () => {
    // The root of 0 has an infinite one.
    const graph = gradientOf((g, x) => g.apply('Sqrt', [relu(g, x)], {}));
    expect(operatorsOf(graph)).toContain('Where');
    const found = evaluate(graph, feedsOf(graph)).get('dx');
    const expected = Array.from({ length: 120 }, (_, i) => valueAt(i, 0)).map((x) => (x > 0 ? 0.5 / Math.sqrt(x) : 0));
    for (const [i, each] of expected.entries()) expect(found?.data[i]).toBeCloseTo(each, 12);
  });

  it.each<[string, (g: GraphBuilder, y: Value) => Value]>([
    ['times infinity', (g, y) => g.apply('Mul', [y, g.scalar(Number.POSITIVE_INFINITY)], {})],
    ['by 0', (g, y) => g.apply('Div', [y, g.scalar(0)], {})],
    ['an exponent', (g, y) => g.apply('Exp', [y], {})],
  ])('are choices where what comes from above may be no number: %s', (_, above) => {
    const graph = gradientOf((g, x, w) => above(g, g.apply('Conv', [relu(g, x), w], conv)));
    // That of the convolution is made of a sum all the same; ReLU right below is not.
    expect(operatorsOf(graph)).not.toContain('Where');
    expect(operatorsOf(gradientOf((g, x) => above(g, relu(g, x))))).toContain('Where');
  });

  it('leaves what a network chooses itself', () => {
    const network = (g: GraphBuilder, x: Value, w: Value) =>
      g.apply('Where', [g.apply('Greater', [x, g.scalar(0)], {}), g.apply('Conv', [x, w], conv), g.scalar(0)], {});
    const g = new GraphBuilder();
    const [x, w] = [g.input('x', [2, 3, 4, 5]), g.input('w', [3, 3, 3, 3])];
    expect(operatorsOf({ name: 'y', inputs: [x, w], outputs: new Map([['y', network(g, x, w)]]) })).toContain('Where');
  });
});

import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../builder.js';
import { evaluate } from '../evaluate.js';
import { gradients } from '../gradients.js';
import { type Graph, nodesOf, type Value } from '../graph.js';
import { makeTensor, sizeOf } from '../tensor.js';
import { gatesAsProducts } from './gates.js';

const conv = { kernel_shape: [3, 3], strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1 } as const;

/** The gradient for `x` of a network's sum. */
function gradientOf(network: (g: GraphBuilder, x: Value, w: Value) => Value): Graph {
  const g = new GraphBuilder();
  const [x, w] = [g.input('x', [2, 3, 4, 5]), g.input('w', [3, 3, 3, 3])];
  const loss = g.apply('ReduceSum', [network(g, x, w)], { keepdims: 0 });
  const [dx] = gradients(g, loss, [x]);
  return { name: 'dx', inputs: [x, w], outputs: new Map([['dx', dx as Value]]) };
}

const feedsOf = ({ inputs }: Graph) =>
  new Map(
    inputs.map(({ name, shape }, at) => {
      const known = shape as readonly number[];
      const data = Float64Array.from({ length: sizeOf(known) }, (_, i) => Math.sin(1.7 * i + at));
      return [name, makeTensor(known, data)];
    }),
  );
const operatorsOf = ({ outputs }: Graph) => nodesOf(outputs.values()).map(({ op }) => op);

describe('gates as products', () => {
  it.each<[string, (g: GraphBuilder, x: Value, w: Value) => Value]>([
    ['of ReLU below a convolution', (g, x, w) => g.apply('Conv', [g.apply('Relu', [x], {}), w], conv)],
    [
      'of clipping below one',
      (g, x, w) => g.apply('Conv', [g.apply('Clip', [x, g.scalar(0), g.scalar(6)], {}), w], conv),
    ],
    [
      'of what two convolutions read',
      (g, x, w) => {
        const y = g.apply('Relu', [x], {});
        return g.apply('Conv', [g.apply('Add', [g.apply('Conv', [y, w], conv), y], {}), w], conv);
      },
    ],
  ])('%s give the same', (_, network) => {
    const graph = gradientOf(network);
    expect(operatorsOf(graph)).toContain('Where');
    const { graph: lowered, changed } = gatesAsProducts(graph);
    expect(changed).toBe(true);
    expect(operatorsOf(lowered)).not.toContain('Where');
    const [found, expected] = [lowered, graph].map((each) => evaluate(each, feedsOf(graph)).get('dx'));
    expect(found?.shape).toEqual(expected?.shape);
    expected?.data.forEach((value, i) => {
      expect(found?.data[i]).toBeCloseTo(Number(value), 12);
    });
  });

  it('leave 0 where the slope above is no number', () => {
    // The root of 0 has an infinite one.
    const graph = gradientOf((g, x) => g.apply('Sqrt', [g.apply('Relu', [x], {})], {}));
    expect(gatesAsProducts(graph)).toEqual({ graph, changed: false });
    const closed = evaluate(graph, feedsOf(graph)).get('dx');
    expect(closed?.data.every((value) => Number.isFinite(Number(value)))).toBe(true);
  });

  it('leave what is chosen between two values, or is not known to be a sum', () => {
    const g = new GraphBuilder();
    const [x, w] = [g.input('x', [4, 4]), g.input('w', [4, 4])];
    const open = g.apply('Greater', [x, g.scalar(0)], {});
    const product = g.apply('MatMul', [x, w], {});
    const outputs = new Map([
      ['one', g.apply('Where', [open, product, g.scalar(1)], {})],
      ['input', g.apply('Where', [open, x, g.scalar(0)], {})],
      ['power', g.apply('Where', [open, g.apply('Exp', [product], {}), g.scalar(0)], {})],
    ]);
    const graph = { name: 'g', inputs: [x, w], outputs };
    expect(gatesAsProducts(graph)).toEqual({ graph, changed: false });
  });
});

import { describe, expect, it } from 'vitest';
import { GraphBuilder } from './builder.js';
import { graphCost } from './cost.js';
import { matrixProducts } from './floor.js';
import { gradients } from './gradients.js';
import type { Value } from './graph.js';

const conv = { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1], dilations: [1, 1], group: 2 } as const;

describe('the floor of a graph', () => {
  it('has the multiply-adds of a convolution and of its gradients, in products of their shapes', () => {
    const g = new GraphBuilder();
    const [x, w] = [g.input('x', ['N', 4, 8, 8]), g.input('w', [6, 2, 3, 3])];
    const y = g.apply('Conv', [x, w], conv);
    const [dx, dw] = gradients(g, g.apply('ReduceSum', [g.apply('Mul', [y, y], {})], { keepdims: 0 }), [
      x,
      w,
    ]) as Value[];
    const graph = {
      name: 'g',
      inputs: [x, w],
      outputs: new Map(Object.entries({ y, dx, dw } as Record<string, Value>)),
    };
    const products = matrixProducts(graph, { N: 5 });
    const positions = 5 * 16;
    expect(products).toEqual(
      expect.arrayContaining([
        { batch: 2, m: 3, k: 18, n: positions, count: 1 },
        { batch: 2, m: 18, k: 3, n: positions, count: 1 },
        { batch: 2, m: 3, k: positions, n: 18, count: 1 },
      ]),
    );
    const multiplyAdds = products.reduce((sum, { batch, m, k, n, count }) => sum + batch * m * k * n * count, 0);
    expect(multiplyAdds).toBe(graphCost(graph, { N: 5 }).multiplyAdds);
  });

  it('counts equal products once, with their number, and leaves out what multiplies nothing', () => {
    const g = new GraphBuilder();
    const [x, w] = [g.input('x', [3, 2, 4]), g.input('w', [4, 4])];
    const y = g.apply('MatMul', [g.apply('Relu', [g.apply('MatMul', [x, w], {})], {}), w], {});
    const z = g.apply('Gemm', [w, w], { transA: 1 });
    const outputs = new Map([
      ['y', y],
      ['z', z],
    ]);
    expect(matrixProducts({ name: 'g', inputs: [x, w], outputs })).toEqual([
      { batch: 3, m: 2, k: 4, n: 4, count: 2 },
      { batch: 1, m: 4, k: 4, n: 4, count: 1 },
    ]);
  });
});

import { describe, expect, it, vi } from 'vitest';
import { GraphBuilder } from './builder.js';
import { evaluate } from './evaluate.js';
import { gradients } from './gradients.js';
import type { Graph, Value } from './graph.js';
import { slice } from './operators/shape-helpers.js';
import { operators } from './operators/table.js';
import { int64s, makeTensor, sizeOf, type Tensor } from './tensor.js';

/** Deterministic values in (-1, 1), far from ties. */
function values(shape: readonly number[], seed: number): Tensor {
  return makeTensor(
    shape,
    Float64Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(12.9898 * (i + 1) + 78.233 * seed)),
  );
}

const dot = (a: Tensor, b: Tensor) => Array.from(a.data).reduce((sum, v, i) => sum + v * (b.data[i] as number), 0);

type Build = (g: GraphBuilder, x: Value, w: Value) => Value;

/** A scalar function of two inputs, with its gradients and those of `<gradient, direction>`. */
function functionGraph(build: Build, xShape: readonly number[], wShape: readonly number[]): Graph {
  const g = new GraphBuilder();
  const [x, w, dx, dw] = [g.input('x', xShape), g.input('w', wShape), g.input('dx', xShape), g.input('dw', wShape)];
  const y = build(g, x, w);
  // A smooth, nonlinear scalar: the sum of squares, plus the sum of exponentials of a tenth.
  const squares = g.apply('ReduceSum', [g.apply('Mul', [y, y], {})], { keepdims: 0 });
  const powers = g.apply('ReduceSum', [g.apply('Exp', [g.apply('Mul', [y, g.scalar(0.1)], {})], {})], { keepdims: 0 });
  const loss = g.apply('Add', [squares, powers], {});
  const first = gradients(g, loss, [x, w]) as Value[];
  const slopes = first.map((gradient, i) =>
    g.apply('ReduceSum', [g.apply('Mul', [gradient, i === 0 ? dx : dw], {})], { keepdims: 0 }),
  );
  const slope = g.apply('Add', slopes, {});
  const second = gradients(g, slope, [x, w]);
  const outputs = new Map<string, Value>([
    ['loss', loss],
    ['slope', slope],
    ['gx', first[0] as Value],
    ['gw', first[1] as Value],
  ]);
  ['hx', 'hw'].forEach((name, i) => {
    if (second[i]) outputs.set(name, second[i]);
  });
  return { name: 'function', inputs: [x, w, dx, dw], outputs };
}

const conv = { kernel_shape: [3, 3], strides: [2, 1], pads: [1, 0, 1, 2], dilations: [1, 2], group: 1 } as const;
const pool = { kernel_shape: [2, 2], strides: [2, 2], pads: [0, 0, 0, 0] } as const;

const functions: [string, Build, number[], number[]][] = [
  [
    'a strided, dilated, unevenly padded convolution',
    (g, x, w) => g.apply('Conv', [x, w], conv),
    [2, 2, 7, 8],
    [3, 2, 3, 3],
  ],
  [
    'a grouped convolution',
    (g, x, w) => g.apply('Conv', [x, w], { ...conv, strides: [2, 2], dilations: [1, 1], group: 2 }),
    [2, 4, 6, 7],
    [4, 2, 3, 3],
  ],
  [
    'a transposed convolution',
    (g, x, w) =>
      g.apply('ConvTranspose', [x, w], { ...conv, dilations: [1, 1], strides: [2, 2], output_padding: [1, 0] }),
    [2, 2, 4, 3],
    [2, 3, 3, 3],
  ],
  [
    'convolution, max pooling and ReLU',
    (g, x, w) => {
      const y = g.apply('Conv', [x, w], { ...conv, strides: [1, 1], dilations: [1, 1], pads: [1, 1, 1, 1] });
      return g.apply('Relu', [g.apply('MaxPool', [y], pool)], {});
    },
    [2, 1, 7, 6],
    [2, 1, 3, 3],
  ],
  [
    'moments and normalization',
    (g, x, w) => {
      const axes = g.constant(int64s([0, 2]));
      const mean = g.apply('ReduceMean', [x, axes], { keepdims: 1 });
      const centered = g.apply('Sub', [x, mean], {});
      const variance = g.apply('ReduceMean', [g.apply('Mul', [centered, centered], {}), axes], { keepdims: 1 });
      const normal = g.apply(
        'Div',
        [centered, g.apply('Sqrt', [g.apply('Add', [variance, g.scalar(0.1)], {})], {})],
        {},
      );
      return g.apply('Mul', [normal, w], {});
    },
    [3, 2, 4],
    [2, 1],
  ],
  [
    'a value that is used three times',
    (g, x, w) => g.apply('Mul', [g.apply('Add', [x, x], {}), g.apply('Mul', [x, w], {})], {}),
    [3],
    [3],
  ],
  [
    'a broadcast against a missing and a unit axis',
    (g, x, w) => g.apply('Div', [x, g.apply('Exp', [w], {})], {}),
    [2, 3, 4],
    [3, 1],
  ],
  [
    'softmax of a matrix product, sliced',
    (g, x, w) => slice(g, g.apply('Softmax', [g.apply('MatMul', [x, w], {})], { axis: -1 }), [1], [1], [5], [2]),
    [3, 4],
    [4, 5],
  ],
  ['the log of a softmax', (g, x, w) => g.apply('LogSoftmax', [g.apply('Add', [x, w], {})], { axis: 0 }), [4, 3], [3]],
  [
    'gathered and scattered entries',
    (g, x, w) => {
      const at = g.constant(makeTensor([3], [4, 0, 4], 'int64'));
      const picked = g.apply('Mul', [g.apply('Gather', [x, at], { axis: 0 }), w], {});
      const where = g.constant(makeTensor([3], [1, 2, 3], 'int64'));
      return g.apply('ScatterElements', [x, where, picked], { axis: 0, reduction: 'none' });
    },
    [5],
    [3],
  ],
];

describe('gradients against central differences in a random direction, in float64', () => {
  it.each(functions)('%s', (_, build, xShape, wShape) => {
    const graph = functionGraph(build, xShape, wShape);
    const [x, w, dx, dw] = [values(xShape, 1), values(wShape, 2), values(xShape, 3), values(wShape, 4)];
    const at = (step: number) => {
      const moved = (value: Tensor, direction: Tensor) =>
        makeTensor(
          value.shape,
          Float64Array.from(value.data, (v, i) => v + step * (direction.data[i] as number)),
        );
      return evaluate(
        graph,
        new Map([
          ['x', moved(x, dx)],
          ['w', moved(w, dw)],
          ['dx', dx],
          ['dw', dw],
        ]),
      );
    };
    const here = at(0);
    const h = 1e-5;
    const difference = (name: string) =>
      ((at(h).get(name)?.data[0] as number) - (at(-h).get(name)?.data[0] as number)) / (2 * h);
    const tensor = (name: string, like: Tensor) =>
      here.get(name) ?? makeTensor(like.shape, new Float64Array(like.data.length));
    const slope = dot(tensor('gx', x), dx) + dot(tensor('gw', w), dw);
    expect(Math.abs(slope - difference('loss')) / Math.max(1, Math.abs(slope))).toBeLessThan(1e-7);
    const curvature = dot(tensor('hx', x), dx) + dot(tensor('hw', w), dw);
    expect(Math.abs(curvature - difference('slope')) / Math.max(1, Math.abs(curvature))).toBeLessThan(1e-6);
    expect(slope).not.toBe(0);
  });
});

describe('the reverse walk', () => {
  it('gives undefined for what the output does not depend on, also behind StopGradient', () => {
    const g = new GraphBuilder();
    const [x, unused, stopped] = [g.input('x', []), g.input('unused', []), g.input('stopped', [])];
    const y = g.apply('Mul', [x, g.apply('StopGradient', [stopped], {})], {});
    const found = gradients(g, y, [x, unused, stopped]);
    expect(found[0]).toBeDefined();
    expect(found.slice(1)).toEqual([undefined, undefined]);
  });

  it('passes the gradient of a straight-through value to its proxy, unchanged', () => {
    const g = new GraphBuilder();
    const m = g.input('m', [2]);
    const open = g.apply('Cast', [g.apply('GreaterOrEqual', [m, g.scalar(0)], {})], { to: 'float32' });
    const mask = g.apply('StraightThrough', [open, m], {});
    const y = g.apply('ReduceSum', [g.apply('Mul', [mask, g.constant(makeTensor([2], [3, 5]))], {})], { keepdims: 0 });
    const [gradient] = gradients(g, y, [m]) as [Value];
    const outputs = new Map([
      ['y', y],
      ['gradient', gradient],
    ]);
    const results = evaluate({ name: 'ste', inputs: [m], outputs }, new Map([['m', makeTensor([2], [-1, 1])]]));
    expect(results.get('y')?.data[0]).toBe(5);
    expect(Array.from(results.get('gradient')?.data ?? [])).toEqual([3, 5]);
  });

  it.each([
    ['touch', [2, 2], 4],
    ['overlap', [1, 1], 9],
  ] as const)('shares a tie in max pooling where windows %s, so that parts sum to the whole', (_, strides, count) => {
    const g = new GraphBuilder();
    const x = g.input('x', [1, 1, 4, 4]);
    const y = g.apply('ReduceSum', [g.apply('MaxPool', [x], { ...pool, strides })], { keepdims: 0 });
    const [gradient] = gradients(g, y, [x]) as [Value];
    const flat = makeTensor([1, 1, 4, 4], new Float64Array(16));
    const result = evaluate(
      { name: 'tie', inputs: [x], outputs: new Map([['gradient', gradient]]) },
      new Map([['x', flat]]),
    );
    const parts = Array.from(result.get('gradient')?.data ?? []);
    expect(parts.reduce((a, b) => a + b, 0)).toBe(count);
    expect(parts[0]).toBe(1 / 4);
  });

  it('visits only nodes on a path to what is asked for', () => {
    const g = new GraphBuilder();
    const [x, w] = [g.input('x', [3, 2, 8, 8]), g.input('w', [2, 2, 3, 3])];
    const y = g.apply('Conv', [x, w], {
      kernel_shape: [3, 3],
      strides: [1, 1],
      pads: [1, 1, 1, 1],
      dilations: [1, 1],
      group: 1,
    });
    const loss = g.apply('ReduceSum', [y], { keepdims: 0 });
    const [gradient] = gradients(g, loss, [w]) as [Value];
    const operators = new Set<string>();
    const visit = (value: Value) => {
      if (!value.producer) return;
      operators.add(value.producer.op);
      for (const input of value.producer.inputs) if (input) visit(input);
    };
    visit(gradient);
    expect(operators).not.toContain('ConvTranspose');
  });

  it('refuses a gradient of something that is not a scalar', () => {
    const g = new GraphBuilder();
    const x = g.input('x', [2]);
    expect(() => gradients(g, x, [x])).toThrow('gradient of "x": expected a scalar, got [2]');
  });

  it('refuses a rule whose gradient has another shape than the input', () => {
    const g = new GraphBuilder();
    const x = g.input('x', [2]);
    const y = g.apply('ReduceSum', [g.apply('Neg', [x], {}, 'neg')], { keepdims: 0 });
    const rules = operators as unknown as { Neg: { vjp: () => (() => Value)[] } };
    const rule = vi.spyOn(rules.Neg, 'vjp').mockReturnValue([() => g.constant(makeTensor([1], [1]))]);
    try {
      expect(() => gradients(g, y, [x])).toThrow('gradient of Neg "neg" for input 0 "x": expected [2], got [1]');
    } finally {
      rule.mockRestore();
    }
  });
});

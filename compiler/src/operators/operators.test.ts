import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../builder.js';
import { evaluate } from '../evaluate.js';
import { gradients } from '../gradients.js';
import { GraphError, type Value } from '../graph.js';
import { type DType, int64s, makeTensor, type Shape } from '../tensor.js';
import type { OperatorAttributes, OperatorName } from './attributes.js';
import { erf } from './erf.js';

const scalarIndex = (g: GraphBuilder, at: number) =>
  g.constant({ dtype: 'int64', shape: [], data: Float64Array.of(at) });

/** The value of one operator on vectors. */
function evaluated<K extends OperatorName>(
  op: K,
  operands: readonly (readonly number[])[],
  attributes: OperatorAttributes[K],
  dtype: DType = 'float32',
): number[] {
  const g = new GraphBuilder();
  const inputs = operands.map((data) => g.constant(makeTensor([data.length], data, dtype)));
  const y = g.apply(op, inputs, attributes);
  const results = evaluate({ name: op, inputs: [], outputs: new Map([['y', y]]) }, new Map());
  return Array.from(results.get('y')?.data ?? []);
}

describe('values', () => {
  it('compares negative operands with each other only', () => {
    expect(
      evaluated(
        'Max',
        [
          [-3, -2],
          [-1, -5],
        ],
        {},
      ),
    ).toEqual([-1, -2]);
    expect(
      evaluated(
        'Min',
        [
          [3, 2],
          [1, 5],
          [4, 4],
        ],
        {},
      ),
    ).toEqual([1, 2]);
  });

  it('cuts and wraps integers', () => {
    expect(
      evaluated(
        'Div',
        [
          [7, -7],
          [2, 2],
        ],
        {},
        'int64',
      ),
    ).toEqual([3, -3]);
    expect(evaluated('Add', [[250], [10]], {}, 'uint8')).toEqual([4]);
    expect(evaluated('Mul', [[100], [2]], {}, 'int8')).toEqual([-56]);
    expect(evaluated('Cast', [[-1.7, 300.9]], { to: 'int32' })).toEqual([-1, 300]);
  });

  it('rounds halves to even', () => {
    expect(evaluated('Round', [[0.5, 1.5, 2.5, -0.5, -1.5, 2.4]], {})).toEqual([0, 2, 2, -0, -2, 2]);
  });

  it('has an error function of full precision', () => {
    // Abramowitz and Stegun, table 7.1; NIST DLMF for 3 and beyond.
    expect(erf(0.5)).toBeCloseTo(0.5204998778130465, 15);
    expect(erf(-1)).toBeCloseTo(-0.8427007929497149, 15);
    expect(erf(2.9999999)).toBeCloseTo(erf(3.0000001), 10);
    expect(1 - erf(3)).toBeCloseTo(2.209049699858544e-5, 15);
    expect([erf(0), erf(40), erf(-40)]).toEqual([0, 1, -1]);
  });
});

describe('slopes at points without one, as PyTorch has them', () => {
  it.each<[OperatorName, object, number, number]>([
    ['Abs', {}, 0, 0],
    ['Relu', {}, 0, 0],
    ['LeakyRelu', { alpha: 0.1 }, 0, 0.1],
    ['Elu', { alpha: 2 }, 0, 2],
    ['HardSigmoid', { alpha: 1 / 6, beta: 0.5 }, 3, 0],
    ['HardSigmoid', { alpha: 1 / 6, beta: 0.5 }, -3, 0],
    ['HardSwish', {}, 3, 1],
    ['HardSwish', {}, -3, 0],
    ['ReduceL2', { keepdims: 0 }, 0, 0],
    ['ReduceL1', { keepdims: 0 }, 0, 0],
  ])('%s %o at %d: %d', (op, attributes, at, slope) => {
    const g = new GraphBuilder();
    const x = g.input('x', []);
    const y = g.apply(op, [x], attributes as never);
    const [gradient] = gradients(g, y, [x]) as [Value];
    const results = evaluate(
      { name: op, inputs: [x], outputs: new Map([['gradient', gradient]]) },
      new Map([['x', makeTensor([], [at])]]),
    );
    expect(results.get('gradient')?.data[0]).toBe(slope);
  });

  it.each([
    ['known limits', [0, 6], [0, 1, 1, 1, 0]],
    ['limits that cross, of which the upper one counts', [6, 0], [0, 0, 0, 0, 0]],
    ['limits that are inputs', undefined, [0, 1, 1, 1, 0]],
  ] as const)('Clip passes the gradient at its limits: %s', (_, known, expected) => {
    const g = new GraphBuilder();
    const x = g.input('x', [5]);
    const limits = known ? known.map((value) => g.scalar(value)) : [g.input('min', []), g.input('max', [])];
    const y = g.apply('Clip', [x, ...limits], {});
    const [gradient] = gradients(g, g.apply('ReduceSum', [y], { keepdims: 0 }), [x]) as [Value];
    const inputs = known ? [x] : [x, ...limits];
    const feeds = new Map([
      ['x', makeTensor([5], [-1, 0, 2, 6, 7])],
      ['min', makeTensor([], [0])],
      ['max', makeTensor([], [6])],
    ]);
    const results = evaluate({ name: 'clip', inputs, outputs: new Map([['gradient', gradient]]) }, feeds);
    expect(Array.from(results.get('gradient')?.data ?? [])).toEqual(expected);
  });
});

describe('symbolic dimensions', () => {
  const conv = (size: number, stride: number, pad: number) =>
    ({
      kernel_shape: [size, size],
      strides: [stride, stride],
      pads: [pad, pad, pad, pad],
      dilations: [1, 1],
      group: 1,
    }) as const;

  it('passes an image size through convolutions and pools, equal where the arithmetic is', () => {
    const g = new GraphBuilder();
    const x = g.input('x', ['N', 3, 'H', 'W']);
    const weight = (size: number, channels: number) => g.input(`w${size}`, [4, channels, size, size]);
    const same = g.apply('Conv', [x, weight(3, 3)], conv(3, 1, 1));
    expect(same.shape).toEqual(['N', 4, 'H', 'W']);
    const half = g.apply('Conv', [same, weight(3, 4)], conv(3, 2, 1));
    expect(half.shape).toEqual(['N', 4, '((H-1)//2+1)', '((W-1)//2+1)']);
    const shortcut = g.apply('Conv', [x, weight(1, 3)], conv(1, 2, 0));
    expect(g.apply('Add', [half, shortcut], {}).shape).toEqual(half.shape);
    const pool = { kernel_shape: [2, 2], strides: [1, 1], pads: [0, 0, 0, 0] } as const;
    expect(g.apply('AveragePool', [x], pool).shape).toEqual(['N', 3, '(H-1)', '(W-1)']);
    const up = g.constant(makeTensor([4], [1, 1, 2, 2]));
    expect(g.apply('Resize', [x, undefined, up], {}).shape).toEqual(['N', 3, '2H', '2W']);
    expect(g.apply('Flatten', [g.apply('GlobalAveragePool', [half], {})], { axis: 1 }).shape).toEqual(['N', 4]);
  });

  it('differentiates what does not need an image size, and says where one is missing', () => {
    const g = new GraphBuilder();
    const [x, w] = [g.input('x', ['N', 3, 'H', 'W']), g.input('w', [4, 3, 3, 3])];
    const pooled = g.apply('GlobalAveragePool', [g.apply('Relu', [x], {})], {});
    const sum = (value: Value) => g.apply('ReduceSum', [value], { keepdims: 0 });
    expect(gradients(g, sum(pooled), [x])[0]?.shape).toEqual(x.shape);
    const y = sum(g.apply('Conv', [x, w], conv(3, 2, 1), 'stem'));
    expect(() => gradients(g, y, [w])).toThrow(
      'gradient of Conv "stem": expected the image height to be known, got the symbol',
    );
  });

  it.each<[string, (g: GraphBuilder, x: Value) => Value, Shape]>([
    [
      'a shape put together from parts',
      (g, x) => {
        const shape = g.apply('Shape', [x], {});
        const first = g.apply('Slice', [shape, ...[[0], [1], [0]].map((list) => g.constant(int64s(list)))], {});
        return g.apply('Reshape', [x, g.apply('Concat', [first, g.constant(int64s([-1]))], { axis: 0 })], {});
      },
      ['N', 12],
    ],
    [
      'a product of two of its dimensions',
      (g, x) => {
        const shape = g.apply('Shape', [x], {});
        const [n, c] = [0, 1].map((at) => g.apply('Gather', [shape, scalarIndex(g, at)], { axis: 0 }));
        const rows = g.apply('Unsqueeze', [g.apply('Mul', [n, c], {}), g.constant(int64s([0]))], {});
        const target = g.apply('Concat', [rows, g.constant(int64s([4]))], { axis: 0 });
        return g.apply('Reshape', [x, target], {});
      },
      ['3N', 4],
    ],
    [
      'a range as long as the batch',
      (g, x) => {
        const n = g.apply('Gather', [g.apply('Shape', [x], {}), scalarIndex(g, 0)], { axis: 0 });
        return g.apply('Range', [scalarIndex(g, 0), n, scalarIndex(g, 1)], {});
      },
      ['N'],
    ],
    [
      'all but the first of the batch, and itself',
      (g, x) => {
        const rest = g.apply('Slice', [x, ...[[1], [2 ** 40], [0]].map((list) => g.constant(int64s(list)))], {});
        return g.apply('Concat', [rest, x, rest], { axis: 0 });
      },
      ['((N-1)+N+(N-1))', 3, 4],
    ],
  ])('%s', (_, build, shape) => {
    const g = new GraphBuilder();
    expect(build(g, g.input('x', ['N', 3, 4])).shape).toEqual(shape);
  });
});

describe('what an operator does not take', () => {
  const image = (g: GraphBuilder) => g.input('x', [1, 4, 6, 6]);
  it.each<[string, (g: GraphBuilder) => unknown, string]>([
    [
      'operands of two dtypes',
      (g) => g.apply('Add', [g.input('a', [2]), g.input('b', [2], 'int64')], {}),
      'expected operands of one dtype, got float32 and int64',
    ],
    [
      'an unknown mode',
      (g) => g.apply('Resize', [image(g)], { mode: 'cubic' as never }),
      'mode "cubic" is not supported',
    ],
    [
      'a reflection of more than there is',
      (g) => g.apply('Pad', [image(g), g.constant(int64s([0, 0, 6, 0, 0, 0, 0, 0]))], { mode: 'reflect' }),
      'cannot reflect 6 of axis 2, which has size 6',
    ],
    ['channels that are no blocks', (g) => g.apply('DepthToSpace', [image(g)], { blocksize: 3 }), '4 channels do not'],
    [
      'axes that are computed',
      (g) => g.apply('Unsqueeze', [image(g), g.input('axes', [1], 'int64')], {}),
      'expected axes to be a constant, got the computed value "axes"',
    ],
    [
      'a label of two sizes',
      (g) => g.apply('Einsum', [g.input('a', [2, 3]), g.input('b', [4, 2])], { equation: 'ij,jk->ik' }),
      'label j is both 3 and 4',
    ],
    [
      'statistics of other channels',
      (g) => g.apply('InstanceNormalization', [image(g), g.input('s', [3]), g.input('b', [3])], {}),
      'input 1 has shape [3], input has 4 channels',
    ],
    [
      'a gradient through a diagonal',
      (g) => {
        const x = g.input('x', [3, 3]);
        return gradients(g, g.apply('Einsum', [x], { equation: 'ii->' }, 'trace'), [x]);
      },
      'gradient of Einsum "trace": "ii->" takes a diagonal of input 0, which has no gradient rule',
    ],
    [
      'a gradient of the value to pad with',
      (g) => {
        const value = g.input('value', []);
        const y = g.apply('Pad', [g.input('x', [2]), g.constant(int64s([1, 1])), value], { mode: 'constant' }, 'pad');
        return gradients(g, g.apply('ReduceSum', [y], { keepdims: 0 }), [value]);
      },
      'gradient of Pad "pad": the value to pad with has no gradient rule',
    ],
  ])('%s', (_, build, message) => {
    const run = () => build(new GraphBuilder());
    expect(run).toThrow(GraphError);
    expect(run).toThrow(message);
  });
});

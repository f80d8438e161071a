import { describe, expect, it } from 'vitest';
import {
  branch,
  encodeModel,
  float,
  float32s,
  type TestModel,
  type TestNode,
  tensor,
} from '../../../compiler/src/onnx/models.test.helper.js';
import { compileBytes, expectAsFile, gaussian } from './compile-helpers.js';

const weights = (...dims: number[]) => float32s(dims, [...gaussian(dims.reduce((a, b) => a * b, 1))]);

/** A convolution to `a [N, 4, 4, 4]`, nodes that make `b` of it, and the mean of that to a last layer. */
const network = (nodes: readonly TestNode[], initializers: TestModel['initializers'] = {}) =>
  encodeModel({
    inputs: { x: ['N', 1, 6, 6] },
    opset: 17,
    domains: ['com.microsoft'],
    nodes: [
      { op: 'Conv', inputs: ['x', 'w1'], outputs: ['a'] },
      ...nodes,
      { op: 'GlobalAveragePool', inputs: ['b'], outputs: ['p'] },
      { op: 'Flatten', inputs: ['p'], outputs: ['f'] },
      { op: 'Gemm', inputs: ['f', 'wf', 'bf'], outputs: ['y'] },
    ],
    initializers: { w1: weights(4, 1, 3, 3), wf: weights(4, 3), bf: weights(3), ...initializers },
  });
const relu: TestNode = { op: 'Relu', inputs: ['a'], outputs: ['b'] };
const normalized = (more: TestNode['attributes'] = {}): TestNode => ({
  op: 'BatchNormalization',
  inputs: ['a', 's', 'o', 'm', 'v'],
  outputs: ['b'],
  attributes: more,
});
const moments = (...variance: number[]) => ({
  ...{ s: weights(4), o: weights(4), m: weights(4) },
  v: float32s([4], variance),
});
const scaled = (by: TestNode): TestNode[] => [by, { op: 'Mul', inputs: ['a', 'k'], outputs: ['b'] }];
const branched = (initializers: Readonly<Record<string, object>>): TestNode[] => [
  { op: 'ReduceSum', inputs: ['a'], outputs: ['sum'], attributes: { keepdims: 0 } },
  { op: 'Greater', inputs: ['sum', 'zero'], outputs: ['c'] },
  {
    op: 'If',
    inputs: ['c'],
    outputs: ['b'],
    attributes: {
      then_branch: branch([{ op: 'Mul', inputs: ['a', 'k'], outputs: ['t'] }], ['t'], initializers),
      else_branch: branch([{ op: 'Identity', inputs: ['a'], outputs: ['e'] }], ['e']),
    },
  },
];
const number = (value: number) => float32s([], [value]);

describe('a model that makes no numbers', () => {
  it.each<[string, readonly TestNode[], TestModel['initializers'], string]>([
    [
      'a scalar that multiplies',
      [{ op: 'Mul', inputs: ['a', 'k'], outputs: ['b'] }],
      { k: number(Number.NaN) },
      'weight "k": expected finite numbers, got NaN',
    ],
    [
      'an infinite scalar of a Constant',
      scaled({
        op: 'Constant',
        inputs: [],
        outputs: ['k'],
        attributes: { value_float: float(Number.POSITIVE_INFINITY) },
      }),
      {},
      'weight "k": expected finite numbers, got Infinity',
    ],
    [
      'half precision of a Constant',
      scaled({
        ...{ op: 'Constant', inputs: [], outputs: ['h'] },
        attributes: { value: tensor({ dims: [4, 1, 1], dataType: 10, int32Data: [0, 0, 0x7e00, 0] }) },
      }).toSpliced(1, 0, { op: 'Cast', inputs: ['h'], outputs: ['k'], attributes: { to: 1 } }),
      {},
      'weight "h": expected finite numbers, got NaN at [2, 0, 0]',
    ],
    [
      'a graph inside a node',
      branched({ k: number(Number.NaN) }),
      { zero: number(0) },
      'weight "k": expected finite numbers, got NaN',
    ],
    [
      'a tensor around that graph',
      branched({}),
      { zero: number(0), k: float32s([1, 4], [1, Number.NaN, 1, 1]) },
      'weight "k": expected finite numbers, got NaN at [0, 1]',
    ],
    [
      'an attribute',
      [{ op: 'LeakyRelu', inputs: ['a'], outputs: ['b'], attributes: { alpha: float(Number.NaN) } }],
      {},
      'LeakyRelu "b": expected numbers in "alpha", got NaN',
    ],
    [
      'a variance below zero',
      [normalized()],
      moments(1, 1, -1, 1),
      'variance "v": expected numbers of at least 0, got -1 at [2]',
    ],
    [
      'a variance below zero beside what is not read',
      [
        { ...normalized(), outputs: ['n'] },
        { op: 'Gelu', domain: 'com.microsoft', inputs: ['n'], outputs: ['b'] },
      ],
      moments(-0.5, 1, 1, 1),
      'variance "v": expected numbers of at least 0, got -0.5 at [0]',
    ],
  ])('is refused by the name of %s', async (_, nodes, initializers, message) => {
    await expect(compileBytes(network(nodes, initializers))).rejects.toThrow(message);
  });

  it('is refused by its last layer where that is kept', async () => {
    const bad = network([relu], { bf: float32s([3], [0, Number.NaN, 0]) });
    const message = 'weight "bf": expected finite numbers, got NaN at [1]';
    await expect(compileBytes(bad, { head: 'keep' })).rejects.toThrow(message);
    expect((await compileBytes(bad)).report.model.features).toBe('f');
  });
});

describe('what is not finite and does no harm', () => {
  const infinite = number(Number.NEGATIVE_INFINITY);

  it.each<[string, readonly TestNode[], TestModel['initializers']]>([
    ['a tensor that nothing reads', [relu], { unread: number(Number.NaN) }],
    ['a bound', [{ op: 'Clip', inputs: ['a', 'low', ''], outputs: ['b'] }], { low: infinite }],
    [
      'a choice',
      [
        { op: 'Where', inputs: ['chosen', 'a', 'low'], outputs: ['c'] },
        { op: 'Relu', inputs: ['c'], outputs: ['b'] },
      ],
      { low: infinite, chosen: { dims: [4], dataType: 9, int32Data: [1, 0, 1, 1] } },
    ],
    [
      'a mask that is added',
      [
        { op: 'Add', inputs: ['a', 'mask'], outputs: ['c'] },
        { op: 'Softmax', inputs: ['c'], outputs: ['b'] },
      ],
      {
        mask: float32s(
          [4, 4],
          Array.from({ length: 16 }, (_, i) => (i % 5 === 4 ? Number.NEGATIVE_INFINITY : 0)),
        ),
      },
    ],
    ['a variance of nearly zero', [normalized()], moments(1, 0, 1, -1e-9)],
  ])('is read: %s', async (_, nodes, initializers) => {
    await expectAsFile(network(nodes, initializers), { none: ['none'] }, 1e-4);
  });
});

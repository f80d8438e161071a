import { describe, expect, it } from 'vitest';
import {
  branch,
  encodeModel,
  float,
  float32s,
  int64Proto,
  type TestModel,
  type TestNode,
} from '../../../compiler/src/onnx/models.test.helper.js';
import { compileBytes, fixture, weights } from './compile-helpers.js';

const vectors = Object.fromEntries(['scale', 'shift', 'mean'].map((name) => [name, weights(4)]));

/** A convolution, `between` from `a [N, 4, 4, 4]` to `b`, and a classifier of it. */
const network = (between: readonly TestNode[], initializers: TestModel['initializers'] = {}) =>
  encodeModel({
    inputs: { x: ['N', 1, 6, 6] },
    outputs: { y: ['N', 3] },
    opset: 17,
    nodes: [
      { op: 'Conv', inputs: ['x', 'w1'], outputs: ['a'] },
      ...between,
      { op: 'Relu', inputs: ['b'], outputs: ['c'] },
      { op: 'GlobalAveragePool', inputs: ['c'], outputs: ['e'] },
      { op: 'Flatten', inputs: ['e'], outputs: ['f'] },
      { op: 'Gemm', inputs: ['f', 'wf'], outputs: ['y'] },
    ],
    initializers: {
      w1: weights(4, 1, 3, 3),
      wf: weights(4, 3),
      ...vectors,
      variance: float32s([4], [1, 2, 1, 2]),
      zero: int64Proto(0),
      ...initializers,
    },
  });

const trained: TestNode = {
  op: 'BatchNormalization',
  inputs: ['a', 'scale', 'shift', 'mean', 'variance'],
  outputs: ['b', 'm', 'v'],
  attributes: { training_mode: 1 },
};

const mixing: Record<string, [named: RegExp, nodes: TestNode[], initializers?: TestModel['initializers']]> = {
  'moments of the batch': [/^BatchNormalization "b"/, [trained]],
  'a mean over images': [
    /^ReduceMean "m"/,
    [
      { op: 'ReduceMean', inputs: ['a'], outputs: ['m'], attributes: { axes: [0] } },
      { op: 'Sub', inputs: ['a', 'm'], outputs: ['b'] },
    ],
  ],
  'a softmax over images': [
    /^Softmax "b"/,
    [{ op: 'Softmax', inputs: ['a'], outputs: ['b'], attributes: { axis: 0 } }],
  ],
  'a sum of those before': [
    /^CumSum "b"/,
    [{ op: 'CumSum', inputs: ['a', 'first'], outputs: ['b'] }],
    { first: { dims: [], dataType: 7, int64Data: [0] } },
  ],
  'a sum of those behind': [
    /^CumSum "b"/,
    [{ op: 'CumSum', inputs: ['a', 'first'], outputs: ['b'], attributes: { reverse: 1 } }],
    { first: { dims: [], dataType: 7, int64Data: [0] } },
  ],
  'the first image': [
    /^(Gather|Slice) "g"/,
    [
      { op: 'Gather', inputs: ['a', 'zero'], outputs: ['g'] },
      { op: 'Add', inputs: ['a', 'g'], outputs: ['b'] },
    ],
  ],
  'images in another order': [
    /^Slice "b"/,
    [{ op: 'Slice', inputs: ['a', 'last', 'before', 'zero', 'back'], outputs: ['b'] }],
    { zero: int64Proto(0), last: int64Proto(-1), back: int64Proto(-1), before: int64Proto(-(2 ** 40)) },
  ],
  'images and those of another order': [
    /^Slice "g"/,
    [
      { op: 'Slice', inputs: ['a', 'last', 'before', 'zero', 'back'], outputs: ['g'] },
      { op: 'Add', inputs: ['a', 'g'], outputs: ['b'] },
    ],
    { zero: int64Proto(0), last: int64Proto(-1), back: int64Proto(-1), before: int64Proto(-(2 ** 40)) },
  ],
  'a branch for one image alone': [
    /^If "b"/,
    [
      { op: 'Shape', inputs: ['a'], outputs: ['s'] },
      { op: 'Gather', inputs: ['s', 'zero'], outputs: ['n'] },
      { op: 'Equal', inputs: ['n', 'one'], outputs: ['alone'] },
      {
        op: 'If',
        inputs: ['alone'],
        outputs: ['b'],
        attributes: {
          then_branch: branch([{ op: 'Neg', inputs: ['a'], outputs: ['i'] }], ['i']),
          else_branch: branch([{ op: 'Identity', inputs: ['a'], outputs: ['i'] }], ['i']),
        },
      },
    ],
    { one: int64Proto(1) },
  ],
  'the number of images': [
    /^Cast "n"/,
    [
      { op: 'Shape', inputs: ['a'], outputs: ['s'] },
      { op: 'Gather', inputs: ['s', 'zero'], outputs: ['g'] },
      { op: 'Cast', inputs: ['g'], outputs: ['n'], attributes: { to: 1 } },
      { op: 'Mul', inputs: ['a', 'n'], outputs: ['b'] },
    ],
  ],
  noise: [
    /^RandomNormalLike "g"/,
    [
      { op: 'RandomNormalLike', inputs: ['a'], outputs: ['g'] },
      { op: 'Add', inputs: ['a', 'g'], outputs: ['b'] },
    ],
  ],
  'noise that no image decides': [
    /^RandomUniform "g"/,
    [
      { op: 'RandomUniform', inputs: [], outputs: ['g'], attributes: { shape: [1, 4, 1, 1] } },
      { op: 'Add', inputs: ['a', 'g'], outputs: ['b'] },
    ],
  ],
  'a mask of its own': [
    /^Bernoulli "g"/,
    [
      { op: 'Sigmoid', inputs: ['a'], outputs: ['p'] },
      { op: 'Bernoulli', inputs: ['p'], outputs: ['g'] },
      { op: 'Mul', inputs: ['a', 'g'], outputs: ['b'] },
    ],
  ],
};

/** Whether the largest value of all images is beyond one that none has which is tried. */
const largest: TestNode[] = [
  { op: 'ReduceMax', inputs: ['a'], outputs: ['m'], attributes: { keepdims: 0 } },
  { op: 'Greater', inputs: ['m', 'far'], outputs: ['g'] },
];
const choice = (
  condition: string,
  name = 'b',
  then = branch([{ op: 'Neg', inputs: ['a'], outputs: ['t'] }], ['t']),
) => ({
  op: 'If',
  inputs: [condition],
  outputs: [name],
  attributes: { then_branch: then, else_branch: branch([{ op: 'Abs', inputs: ['a'], outputs: ['t'] }], ['t']) },
});
const loop = (body: ReturnType<typeof branch>, condition = '') => ({
  op: 'Loop',
  inputs: ['turns', condition, 'a'],
  outputs: ['b'],
  attributes: { body },
});
const tensorOf = (name: string, elemType: number, shape?: object) => ({
  name,
  type: { tensorType: { elemType, ...(shape ? { shape } : {}) } },
});
const inner = (nodes: TestNode[], outputs: string[]) =>
  branch(nodes, outputs, {}, [tensorOf('i', 7, { dim: [] }), tensorOf('go', 9, { dim: [] }), tensorOf('v', 1)]);

const turn = inner(
  [
    { op: 'Relu', inputs: ['v'], outputs: ['w'] },
    { op: 'Identity', inputs: ['go'], outputs: ['on'] },
  ],
  ['on', 'w'],
);

const decided: Record<string, [named: RegExp, nodes: TestNode[]]> = {
  'a branch': [/^If "b"/, [...largest, choice('g')]],
  'a branch inside a branch': [
    /^If "inside"/,
    [
      ...largest,
      { op: 'Shape', inputs: ['a'], outputs: ['s'], attributes: { end: 1 } },
      { op: 'Greater', inputs: ['s', 'many'], outputs: ['h'] },
      choice('h', 'b', branch([choice('g', 'inside')], ['inside'])),
    ],
  ],
  'whether a loop begins': [/^Loop "b"/, [...largest, { op: 'Not', inputs: ['g'], outputs: ['n'] }, loop(turn, 'n')]],
  'whether a loop goes on': [
    /^Loop "b"/,
    [
      loop(
        inner(
          [
            { op: 'Relu', inputs: ['v'], outputs: ['w'] },
            { op: 'ReduceMax', inputs: ['w'], outputs: ['m'], attributes: { keepdims: 0 } },
            { op: 'Less', inputs: ['m', 'far'], outputs: ['on'] },
          ],
          ['on', 'w'],
        ),
      ),
    ],
  ],
  'one of two values': [
    /^Where "b"/,
    [
      ...largest,
      { op: 'Neg', inputs: ['a'], outputs: ['t'] },
      { op: 'Where', inputs: ['g', 't', 'a'], outputs: ['b'] },
    ],
  ],
};

describe('a model that mixes the images of a batch', () => {
  it('is refused, naming the normalization in training mode', async () => {
    const refused = compileBytes(await fixture('frozen-part-mixes-images'), { head: 'keep' });
    await expect(refused).rejects.toThrow(
      /^BatchNormalization "m": what it makes of an image depends on the other images of its batch.*model\.eval/,
    );
  });

  it.each(Object.keys(mixing))('is refused, naming what does: %s', async (name) => {
    const [named, nodes, initializers] = mixing[name] as (typeof mixing)[string];
    await expect(compileBytes(network(nodes, initializers))).rejects.toThrow(named);
  });

  it.each(Object.keys(decided))(
    'is refused where all images together decide, though not on those that are tried: %s',
    async (name) => {
      const [named, nodes] = decided[name] as (typeof decided)[string];
      const refused = compileBytes(
        network(nodes, { far: float32s([], [1e6]), many: int64Proto(1e6), turns: int64Proto(3) }),
      );
      await expect(refused).rejects.toThrow(named);
      await expect(refused).rejects.toThrow('what it makes of an image depends on the other images of its batch');
    },
  );

  it.each<[string, TestNode]>([
    ['ReduceMean', { op: 'ReduceMean', inputs: ['a'], outputs: ['m'], attributes: { axes: [0] } }],
    ['ReduceSum', { op: 'ReduceSum', inputs: ['a'], outputs: ['m'], attributes: { keepdims: 0 } }],
    ['Softmax', { op: 'Softmax', inputs: ['a'], outputs: ['m'], attributes: { axis: -4 } }],
    ['BatchNormalization', { ...trained, outputs: ['m', 'own mean', 'own variance'] }],
  ])('is refused where what is rounded hides how little %s mixes', async (op, node) => {
    const nodes: TestNode[] = [
      node,
      { op: 'Mul', inputs: ['m', 'little'], outputs: ['l'] },
      { op: 'Round', inputs: ['a'], outputs: ['r'] },
      { op: 'Add', inputs: ['r', 'l'], outputs: ['b'] },
    ];
    const refused = compileBytes(network(nodes, { little: float32s([], [1e-4]) }));
    await expect(refused).rejects.toThrow(`${op} "m": what it makes of an image depends on the other images`);
  });

  it.each<[string, TestNode[], TestModel['initializers']?]>([
    [
      'moments of an image by itself',
      [
        { op: 'Reshape', inputs: ['a', 'groups'], outputs: ['r'] },
        { op: 'InstanceNormalization', inputs: ['r', 'two', 'none'], outputs: ['n'] },
        { op: 'Reshape', inputs: ['n', 'image'], outputs: ['b'] },
      ],
      {
        groups: int64Proto(0, 2, -1),
        image: int64Proto(0, 4, 4, 4),
        two: float32s([2], [1, 1]),
        none: float32s([2], [0, 0]),
      },
    ],
    ['a largest step that an image takes', [{ op: 'Round', inputs: ['a'], outputs: ['b'] }]],
    [
      'a range that dynamic quantization takes of all of them',
      [
        { op: 'DynamicQuantizeLinear', inputs: ['a'], outputs: ['q', 's', 'z'] },
        { op: 'DequantizeLinear', inputs: ['q', 's', 'z'], outputs: ['b'] },
      ],
    ],
    [
      'nothing left to it of an axis of one image',
      [
        { op: 'Squeeze', inputs: ['a'], outputs: ['s'] },
        { op: 'Reshape', inputs: ['s', 'images'], outputs: ['b'] },
      ],
      { images: int64Proto(-1, 4, 4, 4) },
    ],
    [
      'sums and a softmax of an image by itself beside what is rounded',
      [
        { op: 'Round', inputs: ['a'], outputs: ['r'] },
        { op: 'ReduceMean', inputs: ['r'], outputs: ['m'], attributes: { axes: [1, -1] } },
        { op: 'Transpose', inputs: ['r'], outputs: ['t'], attributes: { perm: [1, 0, 2, 3] } },
        { op: 'Softmax', inputs: ['t'], outputs: ['s'], attributes: { axis: 0 } },
        { op: 'Transpose', inputs: ['s'], outputs: ['u'], attributes: { perm: [1, 0, 2, 3] } },
        { op: 'Add', inputs: ['u', 'm'], outputs: ['b'] },
      ],
    ],
    [
      'values that each image chooses by itself',
      [
        { op: 'ReduceMax', inputs: ['a'], outputs: ['m'], attributes: { axes: [1, 2, 3] } },
        { op: 'Greater', inputs: ['m', 'far'], outputs: ['g'] },
        { op: 'Neg', inputs: ['a'], outputs: ['t'] },
        { op: 'Where', inputs: ['g', 't', 'a'], outputs: ['b'] },
      ],
      { far: float32s([], [1e6]) },
    ],
    ['a loop of so many turns', [loop(turn)], { turns: int64Proto(3) }],
    ['dropout that is off', [{ op: 'Dropout', inputs: ['a'], outputs: ['b'] }]],
    ['another activation', [{ op: 'Elu', inputs: ['a'], outputs: ['b'], attributes: { alpha: float(1) } }]],
  ])('is not what has %s', async (_, nodes, initializers) => {
    const { report } = await compileBytes(network(nodes, initializers));
    expect(report.model.features).toBe('f');
  });
});

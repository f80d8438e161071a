import { describe, expect, it } from 'vitest';
import {
  encodeModel,
  float32s,
  int64Proto,
  type TestModel,
  type TestNode,
} from '../../../compiler/src/onnx/models.test.helper.js';
import { compileBytes, expectAsFile, fixture, weights } from './compile-helpers.js';

const scalar = (value: number) => ({ dims: [], dataType: 7, int64Data: [value] });

/** A model for one image: a convolution to `a [1, 4, 4, 4]`, and what makes `y` of it. */
const network = (
  nodes: readonly TestNode[],
  initializers: TestModel['initializers'] = {},
  batch: number | string = 1,
) =>
  encodeModel({
    inputs: { x: [batch, 1, 6, 6] },
    outputs: { y: undefined },
    opset: 17,
    nodes: [{ op: 'Conv', inputs: ['x', 'w1'], outputs: ['a'] }, ...nodes],
    initializers: {
      w1: weights(4, 1, 3, 3),
      wf: weights(4, 3),
      bf: weights(3),
      row: int64Proto(1, -1),
      four: int64Proto(1, 4),
      flat: int64Proto(-1),
      front: int64Proto(0),
      first: scalar(0),
      ...initializers,
    },
  });
const pooled: TestNode = { op: 'GlobalAveragePool', inputs: ['a'], outputs: ['p'] };
const fc: TestNode = { op: 'Gemm', inputs: ['f', 'wf', 'bf'], outputs: ['y'] };
/** A layer of a vector that has no axis of images. */
const vectorFc: TestNode[] = [
  { op: 'MatMul', inputs: ['f', 'wf'], outputs: ['m'] },
  { op: 'Add', inputs: ['m', 'bf'], outputs: ['y'] },
];

/** Attention of 16 places and a token of its own, as exporters write it for one image. */
const attention: TestNode[] = [
  { op: 'Reshape', inputs: ['a', 'places'], outputs: ['r'] },
  { op: 'Transpose', inputs: ['r'], outputs: ['t'], attributes: { perm: [0, 2, 1] } },
  { op: 'Concat', inputs: ['token', 't'], outputs: ['c'], attributes: { axis: 1 } },
  { op: 'MatMul', inputs: ['c', 'wqkv'], outputs: ['q3'] },
  { op: 'Reshape', inputs: ['q3', 'heads'], outputs: ['q5'] },
  { op: 'Transpose', inputs: ['q5'], outputs: ['q'], attributes: { perm: [2, 0, 3, 1, 4] } },
  { op: 'Gather', inputs: ['q', 'first'], outputs: ['query'], attributes: { axis: 0 } },
  { op: 'Gather', inputs: ['q', 'one'], outputs: ['key'], attributes: { axis: 0 } },
  { op: 'Gather', inputs: ['q', 'two'], outputs: ['value'], attributes: { axis: 0 } },
  { op: 'Transpose', inputs: ['key'], outputs: ['kt'], attributes: { perm: [0, 1, 3, 2] } },
  { op: 'MatMul', inputs: ['query', 'kt'], outputs: ['s'] },
  { op: 'Softmax', inputs: ['s'], outputs: ['sm'], attributes: { axis: -1 } },
  { op: 'MatMul', inputs: ['sm', 'value'], outputs: ['o4'] },
  { op: 'Transpose', inputs: ['o4'], outputs: ['ot'], attributes: { perm: [0, 2, 1, 3] } },
  { op: 'Reshape', inputs: ['ot', 'joined'], outputs: ['o'] },
  { op: 'Gather', inputs: ['o', 'first'], outputs: ['f'], attributes: { axis: 1 } },
  fc,
];
const attentionShapes = {
  places: int64Proto(1, 4, 16),
  token: weights(1, 1, 4),
  wqkv: weights(4, 12),
  heads: int64Proto(1, 17, 3, 2, 2),
  joined: int64Proto(1, 17, 4),
  one: scalar(1),
  two: scalar(2),
};

/** Windows of 2 x 2, which stand in one axis with the batch. */
const windows: TestNode[] = [
  { op: 'Reshape', inputs: ['a', 'grid'], outputs: ['g'] },
  { op: 'Transpose', inputs: ['g'], outputs: ['gt'], attributes: { perm: [0, 2, 4, 3, 5, 1] } },
  { op: 'Reshape', inputs: ['gt', 'each'], outputs: ['w'] },
  { op: 'MatMul', inputs: ['w', 'mix'], outputs: ['v'] },
  { op: 'Softmax', inputs: ['v'], outputs: ['u'], attributes: { axis: 1 } },
  { op: 'Reshape', inputs: ['u', 'back'], outputs: ['b'] },
  { op: 'ReduceMean', inputs: ['b'], outputs: ['f'], attributes: { axes: [1, 2, 3, 4], keepdims: 0 } },
  fc,
];
const windowShapes = {
  grid: int64Proto(1, 4, 2, 2, 2, 2),
  each: int64Proto(4, 4, 4),
  mix: weights(4, 4),
  back: int64Proto(1, 2, 2, 2, 2, 4),
};

const resized: TestNode[] = [
  { op: 'Resize', inputs: ['a', '', '', 'larger'], outputs: ['z'], attributes: { mode: 'nearest' } },
  { ...pooled, inputs: ['z'] },
  { op: 'Reshape', inputs: ['p', 'row'], outputs: ['f'] },
  fc,
];

const models: Record<string, [nodes: readonly TestNode[], initializers?: TestModel['initializers']]> = {
  'a Reshape to [1, -1]': [[pooled, { op: 'Reshape', inputs: ['p', 'row'], outputs: ['f'] }, fc]],
  'a Reshape to [1, 4]': [[pooled, { op: 'Reshape', inputs: ['p', 'four'], outputs: ['f'] }, fc]],
  'a Reshape to a vector': [[pooled, { op: 'Reshape', inputs: ['p', 'flat'], outputs: ['f'] }, ...vectorFc]],
  'a Squeeze of all': [[pooled, { op: 'Squeeze', inputs: ['p'], outputs: ['f'] }, ...vectorFc]],
  'a Squeeze and an Unsqueeze': [
    [
      pooled,
      { op: 'Squeeze', inputs: ['p'], outputs: ['v'] },
      { op: 'Unsqueeze', inputs: ['v', 'front'], outputs: ['f'] },
      fc,
    ],
  ],
  'the only image taken out of its batch': [
    [
      { op: 'Gather', inputs: ['a', 'first'], outputs: ['g'], attributes: { axis: 0 } },
      { op: 'Unsqueeze', inputs: ['g', 'front'], outputs: ['u'] },
      { ...pooled, inputs: ['u'] },
      { op: 'Flatten', inputs: ['p'], outputs: ['f'] },
      fc,
    ],
  ],
  'attention with a token': [attention, attentionShapes],
  'windows beside the batch': [windows, windowShapes],
  'sizes of a Resize': [resized, { larger: int64Proto(1, 4, 8, 8) }],
  'an operator that is not read': [
    [
      pooled,
      { op: 'Reshape', inputs: ['p', 'row'], outputs: ['r'] },
      { op: 'CumSum', inputs: ['r', 'along'], outputs: ['f'] },
      fc,
    ],
    { along: scalar(1) },
  ],
};

describe('a model for one image at a time', () => {
  it('becomes one for any number: the case of a Reshape to [1, -1]', async () => {
    const report = await expectAsFile(await fixture('batch-of-one-message'), { none: ['none'], all: ['all'] });
    expect(report.patterns[1]?.moving).toHaveLength(4);
  });

  it.each(Object.keys(models))('becomes one for any number: %s', async (name) => {
    const [nodes, initializers] = models[name] as (typeof models)[string];
    await expectAsFile(network(nodes, initializers), { last: name.includes('not read') ? ['none'] : ['all'] });
  });

  it('becomes one for any number where only a Reshape says so', async () => {
    const [nodes] = models['a Reshape to [1, -1]'] as (typeof models)[string];
    await expectAsFile(network(nodes, {}, 'N'), { all: ['all'] });
  });

  it('is told apart from one for several', async () => {
    const nodes: TestNode[] = [pooled, { op: 'Reshape', inputs: ['p', 'four'], outputs: ['f'] }, fc];
    const file = network(nodes, { four: int64Proto(4, 4) }, 4);
    await expect(compileBytes(file)).rejects.toThrow(
      /takes 4 images at a time only; export .* \[N, 4, 1, 1\] to \[4, 4\]/s,
    );
  });

  it('is refused, naming what may hold it, where that changes what it makes', async () => {
    const nodes: TestNode[] = [
      pooled,
      { op: 'Reshape', name: 'held', inputs: ['p', 'flat'], outputs: ['f'] },
      { op: 'MatMul', inputs: ['left', 'f'], outputs: ['y'] },
    ];
    await expect(compileBytes(network(nodes, { left: weights(3, 4) }), { features: 'f' })).rejects.toThrow(
      /takes one image at a time only, as Reshape "held" may hold; export the model with a batch axis/,
    );
  });

  it('is refused with the reason alone, once', async () => {
    const nodes: TestNode[] = [
      {
        op: 'BatchNormalization',
        inputs: ['a', 's', 's', 's', 's'],
        outputs: ['n', 'm', 'v'],
        attributes: { training_mode: 1 },
      },
      { ...pooled, inputs: ['n'] },
      { op: 'Reshape', inputs: ['p', 'four'], outputs: ['f'] },
      fc,
    ];
    const refused = await compileBytes(network(nodes, { s: float32s([4], [1, 1, 1, 1]) })).catch(
      (error: Error) => error.message,
    );
    expect(refused).toMatch(/^the model takes one image at a time only, as Reshape "f" may hold; .*shape:\{1,4\}$/);
    expect(refused).not.toMatch(/onnxruntime_src|the frozen part|whet-run/);
  });
});

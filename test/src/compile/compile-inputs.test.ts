import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeImage, pixelsToTensor } from '@whet/runtime/images';
import { type ImageInput, loadBundle } from '@whet/runtime/node';
import { type CompileOptions, compileModel, generatorFor } from '@whet/trainer';
import * as ort from 'onnxruntime-node';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  encodeModel,
  float,
  float32s,
  int64Proto,
  type TestNode,
} from '../../../compiler/src/onnx/models.test.helper.js';
import { weights } from './compile-helpers.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-compile-inputs-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const random = generatorFor(5, 'inputs', 0);
const [HEIGHT, WIDTH, CLASSES] = [6, 8, 3];
const BYTES = 2;

interface Form {
  /** Of the model's input. */
  readonly dims: readonly (number | string)[];
  readonly channels: number;
  readonly opset?: number;
  readonly inputType?: number;
  /** From `x` to `images [N, C, H, W]`. */
  readonly before: readonly TestNode[];
  readonly initializers?: Readonly<Record<string, object>>;
}

/** A convolution, pooled as TensorFlow does it, and a dense layer, behind what prepares the images. */
function model({ dims, channels, opset = 17, inputType = 1, before, initializers }: Form): Uint8Array {
  const axes = opset < 18 ? { axes: [1, 2] } : {};
  return encodeModel({
    opset,
    irVersion: opset > 20 ? 10 : 8,
    inputs: { x: dims },
    inputType,
    outputs: { y: ['N', CLASSES] },
    nodes: [
      ...before,
      { op: 'Conv', name: 'conv', inputs: ['images', 'conv.weight', 'conv.bias'], outputs: ['a'] },
      { op: 'Relu', inputs: ['a'], outputs: ['b'] },
      { op: 'Transpose', inputs: ['b'], outputs: ['c'], attributes: { perm: [0, 2, 3, 1] } },
      {
        op: 'ReduceMean',
        inputs: ['c', ...(opset < 18 ? [] : ['axes'])],
        outputs: ['d'],
        attributes: { ...axes, keepdims: 0 },
      },
      { op: 'MatMul', name: 'dense', inputs: ['d', 'dense.weight'], outputs: ['e'] },
      { op: 'Add', inputs: ['e', 'dense.bias'], outputs: ['f'] },
      { op: 'Softmax', inputs: ['f'], outputs: ['y'], attributes: { axis: -1 } },
    ],
    initializers: {
      ...(opset < 18 ? {} : { axes: int64Proto(1, 2) }),
      'conv.weight': weights(5, channels, 3, 3),
      'conv.bias': weights(5),
      'dense.weight': weights(5, CLASSES),
      'dense.bias': weights(CLASSES),
      ...initializers,
    },
  });
}

const toPlanes: TestNode = { op: 'Transpose', inputs: ['t'], outputs: ['images'], attributes: { perm: [0, 3, 1, 2] } };
const toFloats: TestNode = { op: 'Cast', inputs: ['x'], outputs: ['s'], attributes: { to: 1 } };
/** As Keras' Rescaling and Normalization have it. */
const prepared: TestNode[] = [
  toFloats,
  { op: 'Mul', inputs: ['s', 'scale'], outputs: ['scaled'] },
  { op: 'Sub', inputs: ['scaled', 'mean'], outputs: ['centred'] },
  { op: 'Div', inputs: ['centred', 'deviation'], outputs: ['t'] },
];
const moments = {
  scale: float32s([], [1 / 255]),
  mean: float32s([3], [0.4, 0.45, 0.5]),
  deviation: float32s([3], [0.2, 0.25, 0.3]),
};
const last = ['batch', HEIGHT, WIDTH, 3];

const forms: Record<string, Form> = {
  'floats [N, H, W, 3], as Keras exports them': {
    dims: last,
    channels: 3,
    before: [{ ...toPlanes, inputs: ['x'] }],
  },
  'floats [N, H, W, 1], which a Reshape turns': {
    dims: ['batch', HEIGHT, WIDTH, 1],
    channels: 1,
    before: [{ op: 'Reshape', inputs: ['x', 'planes'], outputs: ['images'] }],
    initializers: { planes: int64Proto(-1, 1, HEIGHT, WIDTH) },
  },
  'floats [N, H, W, 4]': { dims: ['', HEIGHT, WIDTH, 4], channels: 4, before: [{ ...toPlanes, inputs: ['x'] }] },
  ...Object.fromEntries(
    [9, 13, 24].map((opset) => [
      `bytes [N, H, W, 3] that are prepared inside, operator set ${opset}`,
      {
        dims: last,
        channels: 3,
        opset,
        inputType: BYTES,
        before: [...prepared, toPlanes],
        initializers: moments,
      },
    ]),
  ),
  'bytes [N, 3, H, W] that are turned to BGR inside': {
    dims: ['N', 3, HEIGHT, WIDTH],
    channels: 3,
    inputType: BYTES,
    before: [
      { op: 'Gather', inputs: ['x', 'bgr'], outputs: ['turned'], attributes: { axis: 1 } },
      { ...toFloats, inputs: ['turned'] },
      { op: 'Mul', inputs: ['s', 'factor'], outputs: ['m'] },
      { op: 'Add', inputs: ['m', 'shift'], outputs: ['images'] },
    ],
    initializers: {
      bgr: int64Proto(2, 1, 0),
      factor: float32s([3, 1, 1], [0.01, 0.02, 0.03]),
      shift: float32s([1, 3, 1, 1], [-1, 0, 1]),
    },
  },
  'bytes [N, H, W, 3] that are resized inside': {
    dims: last,
    channels: 3,
    inputType: BYTES,
    before: [
      ...prepared,
      { ...toPlanes, outputs: ['large'] },
      {
        op: 'Resize',
        inputs: ['large', '', 'scales'],
        outputs: ['images'],
        attributes: { mode: 'linear', coordinate_transformation_mode: 'half_pixel' },
      },
    ],
    initializers: { ...moments, scales: float32s([4], [1, 1, 1.5, 1.375]) },
  },
  'bytes [N, H, W, 3] that are resized as bytes, which only the runtime does': {
    dims: last,
    channels: 3,
    inputType: BYTES,
    before: [
      {
        op: 'Resize',
        inputs: ['x', '', 'scales'],
        outputs: ['r'],
        attributes: { mode: 'nearest', nearest_mode: 'floor', coordinate_transformation_mode: 'asymmetric' },
      },
      { ...toFloats, inputs: ['r'] },
      ...prepared.slice(1),
      toPlanes,
    ],
    initializers: { ...moments, scales: float32s([4], [1, 2, 2, 1]) },
  },
  'bytes [N, H, W, 3] that are dequantized inside, as TensorFlow Lite has them': {
    dims: last,
    channels: 3,
    inputType: BYTES,
    before: [{ op: 'DequantizeLinear', inputs: ['x', 'scale', 'zero'], outputs: ['t'] }, toPlanes],
    initializers: { scale: float32s([], [0.0078]), zero: { dims: [], dataType: BYTES, int32Data: [128] } },
  },
  'bytes [N, H, W, 3] that are padded and cropped inside': {
    dims: last,
    channels: 3,
    inputType: BYTES,
    before: [
      { op: 'Slice', inputs: ['x', 'from', 'to', 'axis'], outputs: ['cropped'] },
      { ...toFloats, inputs: ['cropped'] },
      { op: 'Pad', inputs: ['s', 'pads', 'grey'], outputs: ['padded'] },
      ...prepared.slice(1).map((node) => (node.op === 'Mul' ? { ...node, inputs: ['padded', 'scale'] } : node)),
      toPlanes,
    ],
    initializers: {
      ...moments,
      from: int64Proto(1),
      to: int64Proto(-1),
      axis: int64Proto(1),
      pads: int64Proto(0, 1, 2, 0, 0, 1, 0, 0),
      grey: float32s([], [114]),
    },
  },
  'floats [N, 4, H, W]': {
    dims: ['N', 4, HEIGHT, WIDTH],
    channels: 4,
    before: [{ op: 'Mul', inputs: ['x', 'two'], outputs: ['images'] }],
    initializers: { two: float32s([], [2]) },
  },
  'floats [N, 13, H, W] of a wide sensor': {
    dims: ['N', 13, 16, 16],
    channels: 13,
    before: [{ op: 'Neg', inputs: ['x'], outputs: ['images'] }],
  },
};

async function compile(bytes: Uint8Array, overrides: Partial<CompileOptions> = {}) {
  const directory = join(await mkdtemp(join(folder, 'b-')), 'out');
  const patterns = { head: ['none'], all: ['all'], last: ['last:1'] };
  const given = { model: bytes, fileName: 'm.onnx', name: 'm', head: 'keep', patterns, ...overrides } as const;
  return { directory, report: await compileModel({ ...given, directory }) };
}

/** What the file makes of interleaved pixels, as it takes them. */
async function expectedOf(bytes: Uint8Array, form: Form, pixels: readonly Uint8Array[]): Promise<number[][]> {
  const session = await ort.InferenceSession.create(bytes, { logSeverityLevel: 3, intraOpNumThreads: 1 });
  const rows: number[][] = [];
  for (const image of pixels) {
    const isLast = form.dims[3] === form.channels;
    const plane = image.length / form.channels;
    const ordered = isLast
      ? image
      : image.map((_, i) => image[(i % plane) * form.channels + Math.floor(i / plane)] ?? 0);
    const dims = [1, ...(form.dims.slice(1) as number[])];
    const x =
      form.inputType === BYTES
        ? new ort.Tensor('uint8', ordered, dims)
        : new ort.Tensor(
            'float32',
            Float32Array.from(ordered, (value) => value / 255),
            dims,
          );
    const { y } = (await session.run({ x })) as { y: ort.Tensor };
    rows.push([...(y.data as Float32Array)]);
  }
  await session.release();
  return rows;
}

describe('a model that takes', () => {
  it.each(Object.entries(forms))('%s', async (_, form) => {
    const bytes = model(form);
    const { directory, report } = await compile(bytes);
    expect(report.model.parameters.map(({ name }) => name)).toEqual(['conv.weight', 'conv.bias']);
    const bundle = await loadBundle(directory, { threads: 1 });
    const { preprocessing } = bundle.manifest;
    const { height, width, channels } = preprocessing;
    const pixels = Array.from({ length: 6 }, () =>
      Uint8Array.from({ length: channels * height * width }, () => Math.floor(256 * random.uniform())),
    );
    const images: ImageInput[] = pixels.map((image) => pixelsToTensor(image, preprocessing));
    const expected = (await expectedOf(bytes, form, pixels)).flat();
    for (const pattern of ['head', 'all', 'last']) {
      const found = await bundle.predict(bundle.initialProfile(pattern), images);
      const actual = found.flatMap(({ probabilities }) => Object.values(probabilities));
      expect(actual).toHaveLength(expected.length);
      for (const [i, value] of actual.entries()) expect(Math.abs(value - (expected[i] as number))).toBeLessThan(1e-6);
      const examples = images.map((image, i) => ({ label: String(i % CLASSES), image }));
      const { losses } = await bundle.adapt(examples, { pattern, steps: 3, rate: 1e-2 });
      expect(losses[2]).toBeLessThan(losses[0] as number);
    }
    await bundle.release();
  });

  it('[N, H, W, C] of any size takes the size that is given', async () => {
    const form = { ...(forms['floats [N, H, W, 3], as Keras exports them'] as Form), dims: ['N', '', '', 3] };
    await expect(compile(model(form))).rejects.toThrow('takes images of any size; give the height and width');
    const { report } = await compile(model(form), { imageSize: [10, 12] });
    expect(report.model.input.shape).toEqual([3, 10, 12]);
  });

  it('axes that do not show which are channels is told by the layout', async () => {
    const square = { dims: ['N', 4, 8, 4], channels: 4, before: [{ ...toPlanes, inputs: ['x'] }] };
    await expect(compile(model(square))).rejects.toThrow('input "x" [N, 4, 8, 4]: expected a number of channels first');
    const { report } = await compile(model(square), { layout: 'nhwc' });
    expect(report.model.input.shape).toEqual([4, 4, 8]);
  });

  it.each<[string, Form, Partial<CompileOptions>, string]>([
    [
      'other whole numbers',
      { dims: last, channels: 3, inputType: 6, before: [toFloats, { ...toPlanes, inputs: ['s'] }] },
      {},
      'expected floating point or uint8, got element type int32',
    ],
    [
      'bytes with a mean',
      { dims: last, channels: 3, inputType: BYTES, before: [...prepared, toPlanes], initializers: moments },
      { mean: [0.5] },
      'mean, std and pixels: expected none of a model that takes uint8',
    ],
    [
      'an unknown number of channels',
      { dims: ['N', 'C', HEIGHT, WIDTH], channels: 3, before: [{ op: 'Neg', outputs: ['images'] }] },
      { layout: 'nchw' },
      'expected images [N, C, H, W] of a known number of channels',
    ],
  ])('%s is refused', async (_, form, options, message) => {
    await expect(compile(model(form), options)).rejects.toThrow(message);
  });

  it('more channels than a picture has takes tensors alone', async () => {
    const { report } = await compile(model(forms['floats [N, 4, H, W]'] as Form));
    const create = { width: 4, height: 4, channels: 4, background: '#80402080' } as const;
    const picture = await sharp({ create }).png().toBuffer();
    const message = 'expected a tensor [4, 6, 8], got a picture: the bundle takes 4 channels';
    const { preprocessing } = report.manifest;
    await expect(decodeImage(picture, preprocessing)).rejects.toThrow(message);
  });
});

describe('what no gradient step may move', () => {
  it('is the mean and deviation that prepare images, also where an operator above is not read', async () => {
    const form = forms['bytes [N, H, W, 3] that are resized as bytes, which only the runtime does'] as Form;
    const { report } = await compile(
      model({ ...form, initializers: { ...form.initializers, scales: float32s([4], [1, 1, 1, 1]) } }),
    );
    expect(report.model.parameters.map(({ name, bias }) => [name, bias])).toEqual([
      ['conv.weight', false],
      ['conv.bias', true],
    ]);
  });
});

describe('operators that are written in others', () => {
  /** Between a convolution that moves and the rest. */
  const between: Record<string, { node: TestNode; opset?: number; initializers?: Record<string, object> }> = {
    LRN: { node: { op: 'LRN', attributes: { size: 3, alpha: float(0.5) } } },
    CumSum: {
      node: { op: 'CumSum', inputs: ['g', 'axis'] },
      initializers: { axis: { dims: [], dataType: 7, int64Data: [3] } },
    },
    ThresholdedRelu: { node: { op: 'ThresholdedRelu', attributes: { alpha: float(0.05) } } },
    'LpPool over places that are all 0': {
      node: { op: 'LpPool', attributes: { kernel_shape: [2, 2], strides: [2, 2] } },
    },
    'LpPool of power 3': { node: { op: 'LpPool', attributes: { kernel_shape: [2, 2], p: 3, pads: [1, 1, 0, 0] } } },
    'Swish, operator set 24': { node: { op: 'Swish' }, opset: 24 },
  };

  it.each(Object.entries(between))('let move what is below: %s', async (_, { node, opset, initializers }) => {
    const form: Form = {
      dims: ['N', 3, HEIGHT, WIDTH],
      channels: 4,
      ...(opset ? { opset } : {}),
      before: [
        {
          op: 'Conv',
          name: 'first',
          inputs: ['x', 'first.weight'],
          outputs: ['f1'],
          attributes: { pads: [1, 1, 1, 1] },
        },
        { op: 'Relu', inputs: ['f1'], outputs: ['g'] },
        { inputs: ['g'], ...node, outputs: ['images'] },
      ],
      initializers: { 'first.weight': weights(4, 3, 3, 3), ...initializers },
    };
    const { directory, report } = await compile(model(form), { patterns: { all: ['all'] } });
    expect(report.model.parameters.map(({ name }) => name)).toContain('first.weight');
    const bundle = await loadBundle(directory, { threads: 1 });
    // Black pictures among them: a root of 0 has no slope.
    const images = Array.from({ length: 6 }, (_unused, i) =>
      Float32Array.from({ length: 3 * HEIGHT * WIDTH }, () => (i < 2 ? 0 : random.normal())),
    );
    const examples = images.map((image, i) => ({ label: String(i % CLASSES), image }));
    const { losses, profile } = await bundle.adapt(examples, { steps: 4, rate: 1e-2 });
    expect(losses[3]).toBeLessThan(losses[0] as number);
    expect(
      (await bundle.predict(profile, images)).every(({ probabilities }) =>
        Object.values(probabilities).every(Number.isFinite),
      ),
    ).toBe(true);
    await bundle.release();
  });
});

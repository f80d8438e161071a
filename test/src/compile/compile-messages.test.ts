import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CompileOptions, compileModel } from '@whet/trainer';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { encodeModel, float32s, int64Proto, type TestModel } from '../../../compiler/src/onnx/models.test.helper.js';
import { gemm, smallClassifier } from './small-classifier.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-messages-'));
});
afterAll(() => rm(folder, { recursive: true }));

const classifier = (inputs: TestModel['inputs'], more: Partial<TestModel> = {}): Uint8Array =>
  encodeModel({
    nodes: [
      { op: 'Flatten', outputs: ['flat'] },
      { op: 'Gemm', inputs: ['flat', 'w'], outputs: ['y'] },
    ],
    ...(inputs ? { inputs } : {}),
    initializers: { w: float32s([16, 2], new Array(32).fill(0.1)) },
    ...more,
  });

it.each<[string, Uint8Array, Partial<CompileOptions>]>([
  [
    'expected one input, images [N, C, H, W] or [N, H, W, C]; the model\'s inputs are "x" [N, 16]',
    classifier({ x: ['N', 16] }),
    {},
  ],
  [
    'input "x" [N, 2, 4, 2]: expected a number of channels first or last; give the layout, nchw or nhwc',
    classifier({ x: ['N', 2, 4, 2] }),
    {},
  ],
  [
    'input "x" [N, 1, 4, 4]: expected floating point or uint8, got element type int64',
    classifier({ x: ['N', 1, 4, 4] }, { inputType: 7 }),
    {},
  ],
  ['input "x" [N, 1, 4, 4] takes images of 4 x 4, not 8 x 8', classifier({ x: ['N', 1, 4, 4] }), { imageSize: [8, 8] }],
  ['takes images of any size; give the height and width to compile for', classifier({ x: ['N', 1, 'H', 'W'] }), {}],
  ['the model has no tensor "polled"; nearest: pooled', smallClassifier(gemm), { features: 'polled' }],
  ['expected at least one pattern, got none', smallClassifier(gemm), { patterns: {} }],
  [
    'pattern name "__proto__": expected none that every JavaScript object has',
    smallClassifier(gemm),
    { patterns: Object.fromEntries([['__proto__', ['all']]]) },
  ],
  [
    'pattern name "constructor": expected none that every JavaScript object has',
    smallClassifier(gemm),
    { patterns: Object.fromEntries([['constructor', ['none']]]) },
  ],
  [
    '"last:9": the network has 1 layers below the head; expected last:1 up',
    smallClassifier(gemm),
    { patterns: { p: ['last:9'] } },
  ],
  ['std: expected positive numbers, got 0', smallClassifier(gemm), { std: [0] }],
  ['labels: label 2: expected a label', smallClassifier(gemm), { head: 'keep', labels: ['a', 'b', 'c\u0007'] }],
  [
    '"all" matches nothing: the network has no parameters',
    classifier({ x: ['N', 1, 4, 4] }),
    { patterns: { p: ['all'] } },
  ],
  [
    'head "keep": expected the features to go through one Gemm, MatMul or 1x1 Conv with constant weights to a softmax or straight to the output; got "out" as the model\'s output; take head "cosine"',
    smallClassifier(gemm),
    { head: 'keep', features: 'out' },
  ],
  [
    'features "largest": expected one value or more an image, float32 [N, ...], got float32 [N]',
    classifier(
      { x: ['N', 1, 4, 4] },
      {
        nodes: [
          { op: 'Flatten', outputs: ['flat'] },
          { op: 'ReduceMax', inputs: ['flat'], outputs: ['largest'], attributes: { axes: [1], keepdims: 0 } },
          { op: 'Unsqueeze', inputs: ['largest', 'axis'], outputs: ['column'] },
          { op: 'Gemm', inputs: ['column', 'w'], outputs: ['y'] },
        ],
        initializers: { axis: int64Proto(1), w: float32s([1, 2], [1, 2]) },
      },
    ),
    { features: 'largest' },
  ],
])('%s', async (message, model, more) => {
  const options = {
    model,
    fileName: 'm.onnx',
    directory: join(folder, 'b'),
    name: 'b',
    patterns: { p: ['none'] },
    ...more,
  };
  await expect(compileModel(options)).rejects.toThrow(message);
  expect(await readdir(folder)).toEqual([]);
});

import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { decodeModel, exposeOnnx } from '@whet/compiler';
import { loadBundle } from '@whet/runtime/node';
import { type CompileOptions, compileModel } from '@whet/trainer';
import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeModel, float32s, int64Proto, type TestNode } from '../../../compiler/src/onnx/models.test.helper.js';
import { weights } from './compile-helpers.js';
import { convolutionsAround, fused, inner, largest, largestCount, opaque, random, same } from './opaque-models.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-compile-opaque-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function run(model: Uint8Array | string, feeds: Record<string, ort.Tensor>) {
  const session = await ort.InferenceSession.create(model as string, { logSeverityLevel: 3, intraOpNumThreads: 1 });
  const outputs = await session.run(feeds);
  await session.release();
  return outputs;
}

async function compile(model: Uint8Array, overrides: Partial<CompileOptions> = {}) {
  const directory = overrides.directory ?? join(await mkdtemp(join(folder, 'b-')), 'out');
  const options = { model, fileName: 'm.onnx', name: 'm', patterns: { head: ['none'] }, ...overrides, directory };
  return { directory, report: await compileModel(options) };
}

/** What the bundle makes of images by its default pattern, before any step, beside what the file makes of them. */
async function compare(model: Uint8Array, directory: string, features: string, side = 8) {
  const images = new ort.Tensor(
    'float32',
    Float32Array.from({ length: 3 * side * side }, () => random.normal()),
    [3, 1, side, side],
  );
  const exposed = exposeOnnx(model, [features], { tensor: 'x', shape: ['N', 1, side, side] });
  const expected = (await run(exposed, { x: images }))[features] as ort.Tensor;
  const file = (await readdir(directory)).find((name) => name.endsWith('.encode.onnx')) as string;
  const encode = await readFile(join(directory, file));
  return { expected, actual: (await run(join(directory, file), { images }))['features'] as ort.Tensor, encode };
}

/** Steps that lower the loss; of the head alone, one in closed form. */
async function expectLearning(directory: string): Promise<void> {
  const bundle = await loadBundle(directory, { threads: 1 });
  const [channels, height, width] = [1, bundle.manifest.preprocessing.height, bundle.manifest.preprocessing.width];
  const examples = Array.from({ length: 6 }, (_, i) => ({
    label: `class ${i % 3}`,
    image: Float32Array.from({ length: channels * height * width }, () => random.normal()),
  }));
  const { losses, solved, profile } = await bundle.adapt(examples, { steps: 4, rate: 1e-4 });
  if (profile.steps > 0) expect(losses[3]).toBeLessThan(losses[0] as number);
  else expect(solved).toBe(true);
  await bundle.release();
}

describe('a frozen part that is not read', () => {
  it('is the file’s own where only the head moves', async () => {
    const model = opaque();
    const { directory, report } = await compile(model);
    expect(report.patterns[0]).toMatchObject({ boundary: ['f'], encoded: 'as exported' });
    const { expected, actual, encode } = await compare(model, directory, 'f');
    expect(actual.data).toEqual(expected.data);
    expect(
      decodeModel(encode)
        .nodes.slice(0, 3)
        .map(({ op }) => op),
    ).toEqual(['Conv', 'Gelu', 'TopK']);
  });

  it('ends where the first layer stands that moves', async () => {
    const model = opaque();
    const { directory, report } = await compile(model, { patterns: { last: ['last:1'] } });
    expect(report.patterns[0]?.moving.map(({ name }) => name)).toEqual(['second.weight']);
    expect(report.patterns[0]?.boundary).toEqual(['b']);
    const { expected, actual } = await compare(model, directory, 'b');
    expect(actual.data).toEqual(expected.data);
    await expectLearning(directory);
  });

  it.each<[string, string[], string[]]>([
    ['everything', ['all'], ['"largest"', '"gelu"']],
    ['a parameter by its name', ['first.weight'], ['"largest"', '"gelu"']],
    ['a glob', ['*.weight'], ['"largest"', '"gelu"']],
    ['too many last layers', ['last:2'], ['"largest"', '"gelu"']],
  ])('refuses to move %s below it, naming all that stands above', async (_, selections, nodes) => {
    const directory = join(await mkdtemp(join(folder, 'bad-')), 'out');
    const refused = compile(opaque(), { directory, patterns: { head: ['none'], deep: selections } });
    await expect(refused).rejects.toThrow(/pattern "deep" moves "first.weight", but these nodes above/);
    for (const node of nodes) await expect(refused).rejects.toThrow(node);
    await expect(refused).rejects.toThrow('choose later layers: last:1 at most');
    expect(await readdir(dirname(directory))).toEqual([]);
  });

  it('may stand in a branch beside what moves', async () => {
    const beside: TestNode[] = [
      fused,
      largest,
      { op: 'Conv', name: 'middle', inputs: ['a', 'middle.weight'], outputs: ['m'], attributes: same },
      { op: 'Add', inputs: ['b', 'm'], outputs: ['s'] },
    ];
    const shifted = { ...largest, outputs: ['t', 'places'] };
    const nodes = beside.map((node) => (node === largest ? shifted : node));
    const last = nodes.at(-1) as TestNode;
    nodes[nodes.length - 1] = { ...last, inputs: ['t', 'm'], outputs: ['b'] };
    const model = convolutionsAround(nodes, {
      initializers: { ...largestCount, 'middle.weight': weights(4, 4, 3, 3) },
    });
    const { directory, report } = await compile(model, { patterns: { p: ['middle.weight'] } });
    expect([...(report.patterns[0]?.boundary ?? [])].sort()).toEqual(['a', 't']);
    await expectLearning(directory);
  });

  it('shares the arithmetic of shapes with what moves', async () => {
    const nodes: TestNode[] = [
      fused,
      { op: 'Shape', inputs: ['a'], outputs: ['shape'] },
      { op: 'Slice', inputs: ['shape', 'three', 'four'], outputs: ['wide'] },
      { op: 'TopK', name: 'largest', inputs: ['h', 'wide'], outputs: ['t', 'places'] },
      { op: 'Conv', name: 'middle', inputs: ['t', 'middle.weight'], outputs: ['m'], attributes: same },
      { op: 'Expand', name: 'wider', inputs: ['m', 'shape'], outputs: ['b'] },
    ];
    const constants = { three: int64Proto(3), four: int64Proto(4), 'middle.weight': weights(1, 4, 3, 3) };
    const { directory, report } = await compile(convolutionsAround(nodes, { initializers: constants }), {
      patterns: { p: ['middle.weight'] },
      head: 'prototype',
    });
    expect(report.patterns[0]?.moving.map(({ name }) => name)).toEqual(['middle.weight']);
    await expectLearning(directory);
  });

  it('may hold control flow that reads what is around it', async () => {
    const branches: TestNode[] = [
      { op: 'Shape', inputs: ['a'], outputs: ['s'], attributes: { end: 1 } },
      { op: 'Greater', inputs: ['s', 'none'], outputs: ['g'] },
      {
        op: 'If',
        name: 'branch',
        inputs: ['g'],
        outputs: ['b'],
        attributes: {
          then_branch: inner([{ opType: 'Neg', input: ['a'], output: ['then'] }], 'then'),
          else_branch: inner([{ opType: 'Abs', input: ['a'], output: ['else'] }], 'else'),
        },
      },
    ];
    const model = convolutionsAround(branches, { initializers: { none: int64Proto(0) } });
    const { directory, report } = await compile(model, { patterns: { last: ['last:1'] } });
    expect(report.patterns[0]?.boundary).toEqual(['b']);
    const { expected, actual } = await compare(model, directory, 'b');
    expect(actual.data).toEqual(expected.data);
    await expectLearning(directory);
  });

  it('may count images on another axis inside, as an LSTM does', async () => {
    const model = encodeModel({
      inputs: { x: ['N', 1, 6, 6] },
      opset: 14,
      nodes: [
        { op: 'Squeeze', inputs: ['x', 'one'], outputs: ['a'] },
        { op: 'Transpose', inputs: ['a'], outputs: ['b'], attributes: { perm: [1, 0, 2] } },
        { op: 'LSTM', name: 'rnn', inputs: ['b', 'rnn.w', 'rnn.r'], outputs: ['c'], attributes: { hidden_size: 4 } },
        { op: 'Squeeze', inputs: ['c', 'one'], outputs: ['d'] },
        { op: 'Transpose', inputs: ['d'], outputs: ['e'], attributes: { perm: [1, 0, 2] } },
        { op: 'MatMul', inputs: ['e', 'mix'], outputs: ['f'] },
        { op: 'Relu', inputs: ['f'], outputs: ['g'] },
        { op: 'MatMul', inputs: ['g', 'fc'], outputs: ['y'] },
      ],
      initializers: {
        one: int64Proto(1),
        'rnn.w': weights(1, 16, 6),
        'rnn.r': weights(1, 16, 4),
        mix: weights(4, 5),
        fc: weights(5, 3),
      },
    });
    const { directory, report } = await compile(model, { patterns: { last: ['mix'] } });
    expect(report.patterns[0]?.boundary).toEqual(['e']);
    expect(report.model.layout).toMatchObject({ length: 5, shape: [6, 5], mean: [1] });
    expect(report.model.parameters.filter(({ blocked }) => blocked).map(({ name }) => name)).toEqual([
      'rnn.w',
      'rnn.r',
    ]);
    await expectLearning(directory);
  });

  it('may hand over features as integers, with their scale', async () => {
    const integers = (dims: number[], dataType: number, ...int32Data: number[]) => ({ dims, dataType, int32Data });
    const matrix = Array.from({ length: 12 }, (_, i) => ((i * 5) % 7) - 3);
    const model = encodeModel({
      inputs: { x: ['N', 1, 8, 8] },
      opset: 18,
      domains: ['com.microsoft'],
      nodes: [
        { op: 'Conv', inputs: ['x', 'w'], outputs: ['a'], attributes: same },
        { op: 'GlobalAveragePool', inputs: ['a'], outputs: ['b'] },
        { op: 'QuantizeLinear', inputs: ['b', 's', 'z'], outputs: ['c'] },
        { op: 'Flatten', inputs: ['c'], outputs: ['d'] },
        { op: 'QGemm', domain: 'com.microsoft', inputs: ['d', 's', 'z', 'q', 't', 'zero'], outputs: ['y'] },
      ],
      initializers: {
        w: weights(4, 1, 3, 3),
        s: float32s([], [0.01]),
        z: integers([], 2, 128),
        q: integers([4, 3], 3, ...matrix),
        t: float32s([], [0.1]),
        zero: integers([], 3, 0),
      },
    });
    const { directory, report } = await compile(model);
    expect(report.model).toMatchObject({ features: 'd/dequantized', layout: { length: 4 } });
    const { expected, actual } = await compare(model, directory, 'b');
    for (const [i, value] of (actual.data as Float32Array).entries()) {
      expect(Math.abs(value - Number(expected.data[i]))).toBeLessThan(0.0051);
    }
    await expect(compile(model, { features: 'd' })).rejects.toThrow(/features "d": expected float32 .* got uint8/);
  });

  it('may be a whole model of an operator set that is not read', async () => {
    const model = convolutionsAround([{ op: 'Neg', inputs: ['a'], outputs: ['b'] }], { opset: 25, irVersion: 11 });
    const { directory } = await compile(model);
    await expectLearning(directory);
    await expect(compile(model, { patterns: { last: ['last:1'] } })).rejects.toThrow('is of operator set 25; 7 to 24');
  });
});

describe('a model with a part that is not read', () => {
  it('may keep its own head, and then predicts as the file does', async () => {
    const model = opaque();
    const { directory, report } = await compile(model, { head: 'keep', labels: ['a', 'b', 'c'] });
    expect(report.manifest).toMatchObject({ head: 'kept', labels: ['a', 'b', 'c'] });
    const bundle = await loadBundle(directory, { threads: 1 });
    const image = Float32Array.from({ length: 64 }, () => random.normal());
    const [prediction] = await bundle.predict(await bundle.initialProfile(), [image]);
    const logits = (await run(model, { x: new ort.Tensor('float32', image, [1, 1, 8, 8]) }))['y'] as ort.Tensor;
    const powers = Array.from(logits.data as Float32Array, Math.exp);
    const sum = powers.reduce((a, b) => a + b, 0);
    const probabilities = ['a', 'b', 'c'].map((label) => prediction?.probabilities[label] ?? Number.NaN);
    probabilities.forEach((value, i) => {
      expect(value).toBeCloseTo((powers[i] as number) / sum, 5);
    });
    await bundle.release();
  });

  it('is refused for support normalization: what stays as exported has moments of its own', async () => {
    await expect(compile(opaque(), { normalization: 'support' })).rejects.toThrow(
      /normalization "support": expected a model of which all is read/,
    );
  });
});

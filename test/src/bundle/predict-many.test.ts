import type { Bundle } from '@whet/runtime';
import { randomImages, supportCheckpoint, tinyCheckpoint, writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { relativeError } from '../parity/reference.js';
import { type CountedBundle, openCounted } from './counted-bundle.js';

const normalizations = [
  ['population', () => tinyCheckpoint()],
  ['support', () => supportCheckpoint()],
] as const;

describe.each(normalizations)('predictions for many profiles, %s moments', (normalization, checkpoint) => {
  let counted: CountedBundle;
  let bundle: Bundle;
  beforeAll(async () => {
    counted = await openCounted(await writeTinyBundle(checkpoint()));
    bundle = counted.bundle;
  });
  afterAll(() => bundle.release());

  const profileOf = async (name: string, pattern: string) => {
    const examples = randomImages(name, 4).map((image, i) => ({ label: `${name} ${i % 2}`, image }));
    return (await bundle.adapt(examples, { pattern, steps: 2 })).profile;
  };

  it('are those of each profile by itself, in the order of the requests', async () => {
    const patterns = Object.keys(bundle.manifest.patterns);
    const requests = await Promise.all(
      Array.from({ length: 12 }, async (_, i) => ({
        profile: await profileOf(`user ${i}`, patterns[i % patterns.length] as string),
        // Some ask nothing, and one more than fits into a batch.
        images: randomImages(`query ${i}`, i === 5 ? 70 : i % 4),
      })),
    );
    const together = await bundle.predictMany(requests);
    expect(together.map(({ length }) => length)).toEqual(requests.map(({ images }) => images.length));
    for (const [i, { profile, images }] of requests.entries()) {
      const alone = await bundle.predict(profile, images);
      for (const [row, { label, probabilities }] of alone.entries()) {
        expect(together[i]?.[row]?.label).toBe(label);
        const got = Object.values(together[i]?.[row]?.probabilities ?? {});
        expect(relativeError(got, Object.values(probabilities))).toBeLessThan(1e-5);
      }
    }
  });

  it('run what is frozen once where no profile takes part in it', async () => {
    const requests = await Promise.all(
      Array.from({ length: 5 }, async (_, i) => ({
        profile: await profileOf(`user ${i}`, 'head'),
        images: randomImages(`query ${i}`, 1),
      })),
    );
    counted.runs = 0;
    await bundle.predictMany(requests);
    expect(counted.runs).toBe(normalization === 'support' ? 5 : 1);
  });

  it('name the request and the image that do not fit', async () => {
    const profile = await profileOf('user', 'head');
    const [image] = randomImages('query', 1) as [Float32Array];
    const requests = [
      { profile, images: [image] },
      { profile, images: [image, image.subarray(1)] },
    ];
    await expect(bundle.predictMany(requests)).rejects.toMatchObject({
      field: 'requests[1].images[1]',
      message: 'expected 144 values [1, 12, 12], got 143',
    });
  });
});

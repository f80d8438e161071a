import { join } from 'node:path';
import { bundlesDirectory, OMNIGLOT_BUNDLE } from '@whet/models';
import { decodeImage } from '@whet/runtime/images';
import { loadBundle } from '@whet/runtime/node';
import { charactersDirectory, loadDemoImages } from '@whet/tools/demo/demo-images';
import { describe, expect, it } from 'vitest';

const directory = join(bundlesDirectory, OMNIGLOT_BUNDLE);

describe(`the shipped bundle ${OMNIGLOT_BUNDLE}`, () => {
  it('says how it was made and what was measured, 5-way from 1 and 5 examples, on 600 test tasks', async () => {
    const bundle = await loadBundle(directory);
    const { manifest } = bundle;
    await bundle.release();
    expect(manifest.provenance).toMatchObject({ commands: expect.any(Array), config: { seed: expect.any(Number) } });
    const own = manifest.measurements.filter((m) => m.pattern === manifest.defaultPattern && m.split === 'test');
    const accuracy = (shots: number) =>
      own.find((m) => m.ways === 5 && m.shots === shots && m.tasks >= 600 && m.steps > 0)?.accuracy;
    expect(accuracy(1)).toBeGreaterThanOrEqual(0.96);
    expect(accuracy(5)).toBeGreaterThanOrEqual(0.985);
  });

  it('adapts by every pattern to demo characters, for 2, 5 and 12 classes, far better than guessing', async () => {
    const bundle = await loadBundle(directory);
    const images = [...(await loadDemoImages(charactersDirectory)).entries()];
    for (const ways of [2, 5, 12]) {
      const tensors = await Promise.all(
        images.slice(0, ways).map(async ([label, drawings]) => ({
          label,
          tensors: await Promise.all(
            drawings.slice(0, 8).map(({ bytes }) => decodeImage(bytes, bundle.manifest.preprocessing)),
          ),
        })),
      );
      // The first class has two examples, the others three: uneven on purpose.
      const examples = tensors.flatMap(({ label, tensors: own }, i) =>
        own.slice(0, i === 0 ? 2 : 3).map((image) => ({ label, image })),
      );
      for (const pattern of Object.keys(bundle.manifest.patterns)) {
        const { profile } = await bundle.adapt(examples, { pattern });
        let hits = 0;
        for (const { label, tensors: own } of tensors) {
          const predictions = await bundle.predict(profile, own.slice(3));
          hits += predictions.filter((prediction) => prediction.label === label).length;
        }
        expect(hits / (5 * ways), `${ways}-way ${pattern}`).toBeGreaterThan(Math.min(0.8, 3 / ways));
      }
    }
    await bundle.release();
  });
});

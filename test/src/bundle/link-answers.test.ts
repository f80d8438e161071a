import { join } from 'node:path';
import { bundlesDirectory, PHOTOS_BUNDLE } from '@whet/models';
import type { Bundle, EncodedImage, Prediction } from '@whet/runtime';
import { decodeImage } from '@whet/runtime/images';
import { loadBundle } from '@whet/runtime/node';
import { loadDemoImages, thingsDirectory } from '@whet/tools/demo/demo-images';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** The page's sources are a project of its own, with a browser's types. */
const COARSER = new URL('../../../server/page/src/state/coarser.ts', import.meta.url).pathname;
const { coarser } = (await import(COARSER)) as { coarser: (profile: Uint8Array) => Uint8Array };

const [WAYS, SHOTS] = [5, 5];

describe(`what a link leaves out of a profile of ${PHOTOS_BUNDLE}`, () => {
  let bundle: Bundle;
  let things: (readonly [label: string, images: readonly EncodedImage[]])[];
  beforeAll(async () => {
    bundle = await loadBundle(join(bundlesDirectory, PHOTOS_BUNDLE), { threads: 1, patterns: ['head'] });
    const all: typeof things = [];
    for (const [label, pictures] of await loadDemoImages(thingsDirectory)) {
      const images: Float32Array[] = [];
      for (const { bytes } of pictures) images.push(await decodeImage(bytes, bundle.manifest.preprocessing));
      all.push([label, await bundle.encode(images, { pattern: 'head' })]);
    }
    things = all;
  });
  afterAll(() => bundle.release());

  it('changes few answers about the demo pictures, and none that it was sure of', async () => {
    const best = ({ probabilities }: Prediction) => Math.max(...Object.values(probabilities));
    // How far a probability moved, and how probable a class was that is another now.
    let [asked, changed, farthest, surest] = [0, 0, 0, 0];
    for (let from = 0; from + WAYS <= things.length; from++) {
      const task = things.slice(from, from + WAYS);
      const examples = task.flatMap(([label, images]) => images.slice(0, SHOTS).map((image) => ({ label, image })));
      const { profile } = await bundle.adapt(examples, { pattern: 'head' });
      const inLink = bundle.profileFromBytes(coarser(profile.toBytes()));
      const queries = task.flatMap(([, images]) => images.slice(SHOTS));
      const [whole, rounded] = [await bundle.predict(profile, queries), await bundle.predict(inLink, queries)];
      asked += queries.length;
      for (const [i, one] of whole.entries()) {
        const other = rounded[i] as Prediction;
        for (const [name, value] of Object.entries(one.probabilities)) {
          farthest = Math.max(farthest, Math.abs(value - (other.probabilities[name] ?? 9)));
        }
        if (one.label === other.label) continue;
        changed++;
        surest = Math.max(surest, best(one));
      }
    }
    expect(asked).toBe(1600);
    // 4 on AVX-512; one that is as near to two things changes with the last digits elsewhere.
    expect(changed).toBeLessThanOrEqual(8);
    expect(surest).toBeLessThan(0.6);
    expect(farthest).toBeLessThan(0.05);
  });
});

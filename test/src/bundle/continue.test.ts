import type { Bundle, Example } from '@whet/runtime';
import { loadBundle } from '@whet/runtime/node';
import { randomImages, supportCheckpoint, tinyCheckpoint, writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { relativeError } from '../parity/reference.js';

const kinds = [
  ['prototype head, population moments', () => tinyCheckpoint()],
  ['shared head, support moments', () => supportCheckpoint('shared')],
] as const;

describe.each(kinds)('adapting from a profile, %s', (_name, checkpoint) => {
  let bundle: Bundle;
  let examples: Example[];
  beforeAll(async () => {
    bundle = await loadBundle(await writeTinyBundle(checkpoint()), { threads: 1 });
    examples = randomImages('examples', 6).map((image, i) => ({ label: `class ${i % 3}`, image }));
  });
  afterAll(() => bundle.release());
  const patterns = () => Object.keys(bundle.manifest.patterns);

  it('takes the steps that are missing: 2 and 3 of the same examples are 5 at once', async () => {
    for (const pattern of patterns()) {
      const { profile: whole, losses } = await bundle.adapt(examples, { pattern, steps: 5, rate: 0.01 });
      const { profile: part } = await bundle.adapt(examples, { pattern, steps: 2, rate: 0.01 });
      const next = await bundle.adapt(examples, { from: part, steps: 3, rate: 0.01 });
      expect(relativeError(next.losses, losses.slice(2))).toBeLessThan(1e-5);
      expect(next.profile.steps).toBe(5);
      expect(next.profile.pattern).toBe(pattern);
      for (const [name, { data }] of whole.values) {
        expect(relativeError([...(next.profile.values.get(name)?.data ?? [])], [...data])).toBeLessThan(1e-4);
      }
    }
  });

  it('keeps the classes it has, in their order, adds others, and counts examples of all', async () => {
    const { profile } = await bundle.adapt(examples, { steps: 1 });
    const some = randomImages('more', 3).map((image, i) => ({
      label: ['new', 'class 2', 'newer'][i] as string,
      image,
    }));
    const { profile: next, added } = await bundle.adapt(some, { from: profile, steps: 0 });
    expect(next.classes).toEqual(['class 0', 'class 1', 'class 2', 'new', 'newer']);
    expect(next.examples).toEqual([2, 2, 3, 1, 1]);
    expect(added).toEqual(['new', 'newer']);
    const head = profile.values.get('head.weight')?.data ?? [];
    expect(next.values.get('head.weight')?.data.slice(0, head.length)).toEqual(head);
    expect(bundle.profileFromBytes(next.toBytes()).classes).toEqual(next.classes);
    const [prediction] = await bundle.predict(next, randomImages('query', 1));
    expect(Object.keys(prediction?.probabilities ?? {})).toEqual(next.classes);
  });

  it('takes examples of one class only', async () => {
    const { profile } = await bundle.adapt(examples);
    const { profile: next } = await bundle.adapt(examples.slice(0, 1), { from: profile });
    expect(next.examples).toEqual([3, 2, 2]);
  });

  it('refuses another pattern, and a profile of another bundle', async () => {
    const [first, second] = patterns() as [string, string];
    const { profile } = await bundle.adapt(examples, { pattern: first });
    await expect(bundle.adapt(examples, { from: profile, pattern: second })).rejects.toThrow(`expected "${first}"`);
    const foreign = Object.assign(Object.create(profile), { bundle: '0'.repeat(64) });
    await expect(bundle.adapt(examples, { from: foreign })).rejects.toMatchObject({ name: 'ProfileError' });
  });
});

import type { Bundle, Example, ImageInput, PatternManifest } from '@whet/runtime';
import { asPictures, maySpare } from '@whet/runtime/format';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { tryBundle } from '../../../runtime/src/web/choose.js';
import { photographs } from './photographs.js';

const { pictures, plain, bundleOf } = photographs(5);
let bundle: Bundle;
beforeAll(async () => {
  bundle = await bundleOf();
});
afterAll(() => bundle.release());

const patternOf = (name: string) => bundle.manifest.patterns[name] as PatternManifest;
const numbers = (name: string, labels: string, asked = {}) => [...asPictures(patternOf(name), [...labels], asked)];

describe('examples of which views are made', () => {
  it('are the first of each class where steps may be spared, and else those that are alone in theirs', () => {
    expect(numbers('last', 'aabba')).toEqual([0, 2]);
    expect(numbers('last', 'aabba', { always: true })).toEqual([]);
    expect(numbers('last', 'bab', { always: true })).toEqual([1]);
    expect(numbers('head', 'bab')).toEqual([1]);
    expect(numbers('last', 'bab', { steps: 0 })).toEqual([]);
    expect(numbers('last', 'bab', { views: 0 })).toEqual([]);
    expect(numbers('last', 'bab', { steps: 0, views: 2 })).toEqual([0, 1, 2]);
  });

  it.each([
    ['plain ones of five', () => plain([5, 5]), true],
    ['plain ones of one beside five', () => plain([1, 5]), true],
    ['grainy ones', () => pictures({ a: 4, b: 3, c: 1 }), false],
  ])('are enough as pictures: the same comes of %s where the others were encoded before', async (_, make, isSpared) => {
    const examples = make();
    for (const pattern of ['head', 'last']) {
      for (const always of [false, true]) {
        const asked = { pattern, always };
        const kept = asPictures(
          patternOf(pattern),
          examples.map(({ label }) => label),
          asked,
        );
        const mixed: Example<ImageInput>[] = [];
        for (const [i, { label, image }] of examples.entries()) {
          const [encoded] = kept.has(i) ? [image] : await bundle.encode([image], { pattern });
          mixed.push({ label, image: encoded as ImageInput });
        }
        const whole = await bundle.adapt(examples, asked);
        const { profile, spared, losses } = await bundle.adapt(mixed, asked);
        expect([spared, losses.length]).toEqual([whole.spared, whole.losses.length]);
        expect(spared !== undefined).toBe(isSpared && maySpare(patternOf(pattern), asked));
        for (const [name, { data }] of whole.profile.values) {
          const own = profile.values.get(name)?.data ?? [];
          for (const [i, value] of data.entries()) expect(own[i]).toBeCloseTo(value, 4);
        }
      }
    }
  });
});

it('steps are always taken where backends are compared by the time of them', async () => {
  const adapt = vi.spyOn(bundle, 'adapt');
  await tryBundle(bundle);
  expect(adapt.mock.calls.length).toBeGreaterThan(1);
  for (const [, options] of adapt.mock.calls) expect(options).toMatchObject({ always: true });
  adapt.mockRestore();
});

import { type Bundle, InputError, ProfileError } from '@whet/runtime';
import { readSafetensors, writeSafetensors } from '@whet/runtime/format';
import { loadBundle } from '@whet/runtime/node';
import { supportCheckpoint, writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileBytes } from '../compile/compile-helpers.js';
import { photographs } from './photographs.js';

const { model, pictures } = photographs(13, 0.4);
let bundle: Bundle;
beforeAll(async () => {
  const patterns = { head: ['none'], last: ['last:1'], all: ['all'] };
  const { directory } = await compileBytes(model, { patterns, rate: 0.01, limits: { maxExamples: 120 } });
  bundle = await loadBundle(directory, { threads: 1 });
});
afterAll(() => bundle.release());

const all = pictures({ a: 12, b: 12, c: 12, d: 12 });
const some = (labels: string, from: number, to: number) =>
  all.filter(({ label }, i) => labels.includes(label) && i % 12 >= from && i % 12 < to);

describe('what a profile remembers', () => {
  it('makes going on what all examples at once would have made, where all of them are remembered', async () => {
    const first = await bundle.adapt(some('ab', 0, 4), { pattern: 'head', remember: 4 });
    const { profile, solved, added, heldBack } = await bundle.adapt(some('cd', 0, 4), { from: first.profile });
    const whole = await bundle.adapt(some('abcd', 0, 4), { pattern: 'head' });
    expect([solved, added, heldBack?.asked]).toEqual([true, ['c', 'd'], 16]);
    expect(profile.examples).toEqual([4, 4, 4, 4]);
    const asked = some('abcd', 4, 12).map(({ image }) => image);
    const [one, other] = [await bundle.predict(profile, asked), await bundle.predict(whole.profile, asked)];
    for (const [i, { probabilities, familiarity }] of one.entries()) {
      // Remembered as bytes.
      for (const [name, value] of Object.entries(other[i]?.probabilities ?? {})) {
        expect(Math.abs((probabilities[name] as number) - value)).toBeLessThan(0.05);
      }
      expect(familiarity).toBeCloseTo(other[i]?.familiarity as number, 1);
    }
  });

  it.each(['head', 'last'])('keeps classes that were learned first: %s', async (pattern) => {
    const right = async (remember: number) => {
      let profile = (await bundle.adapt(some('ab', 0, 6), { pattern, remember })).profile;
      for (const label of ['c', 'd']) {
        ({ profile } = await bundle.adapt(some(label, 0, 6), { from: profile }));
        profile = bundle.profileFromBytes(profile.toBytes());
      }
      const asked = some('ab', 6, 12);
      const answers = await bundle.predict(
        profile,
        asked.map(({ image }) => image),
      );
      return answers.filter(({ label }, i) => label === asked[i]?.label).length;
    };
    expect(await right(6)).toBeGreaterThanOrEqual(await right(0));
  });

  it('is as many of each class as were asked for, goes on being so, and is forgotten by 0', async () => {
    const shape = (profile: { values: ReadonlyMap<string, { shape: readonly number[] }> }) =>
      profile.values.get('memory.features')?.shape;
    const first = await bundle.adapt(some('ab', 0, 6), { pattern: 'head', remember: 2 });
    expect(shape(first.profile)).toEqual([4, 8]);
    const second = await bundle.adapt(some('abc', 6, 9), { from: first.profile });
    expect(shape(second.profile)).toEqual([6, 8]);
    expect(second.profile.examples).toEqual([9, 9, 3]);
    const third = await bundle.adapt(some('d', 0, 1), { from: second.profile, remember: 3 });
    // Of classes without new examples there are no more than were remembered.
    expect(shape(third.profile)).toEqual([2 + 2 + 2 + 1, 8]);
    // What was asked for goes on, also where there were fewer at first, as far as there is room for all.
    const grown = await bundle.adapt(some('abcd', 6, 9), { from: third.profile });
    expect(shape(grown.profile)).toEqual([3 * 4, 8]);
    const many = await bundle.adapt(some('ab', 0, 12), { pattern: 'head', remember: 12 });
    const wide = await bundle.adapt(
      some('abcd', 0, 12).map(({ image }, i) => ({ image, label: `class ${i % 12}` })),
      { from: many.profile },
    );
    expect(wide.profile.classes).toHaveLength(14);
    expect(shape(wide.profile)).toEqual([14 * 4, 8]);
    const last = await bundle.adapt(some('d', 1, 2), { from: third.profile, remember: 0 });
    expect(shape(last.profile)).toBeUndefined();
    const plain = await bundle.adapt(some('ab', 0, 6), { pattern: 'head' });
    expect(plain.profile.values.has('memory.features')).toBe(false);
  });

  it('is chosen so that the mean of a class is kept', async () => {
    const examples = some('ab', 0, 12);
    const encoded = await bundle.encode(
      examples.map(({ image }) => image),
      { pattern: 'head' },
    );
    const unit = (row: ArrayLike<number>) => {
      const size = Math.hypot(...Array.from(row));
      return Array.from(row, (value) => value / size);
    };
    const mean = (rows: number[][]) =>
      (rows[0] as number[]).map((_, i) => rows.reduce((sum, row) => sum + (row[i] as number), 0) / rows.length);
    const away = (one: number[], other: number[]) => Math.hypot(...one.map((value, i) => value - (other[i] as number)));
    const of = (label: string) =>
      encoded.filter((_, i) => examples[i]?.label === label).map(({ features }) => unit(features));
    const { profile } = await bundle.adapt(examples, { pattern: 'head', remember: 3 });
    const kept = profile.values.get('memory.features')?.data as Float32Array;
    const rows = Array.from({ length: 6 }, (_, i) => unit(kept.subarray(i * 8, (i + 1) * 8)));
    for (const [way, label] of ['a', 'b'].entries()) {
      const target = mean(of(label));
      const chosen = away(mean(rows.slice(3 * way, 3 * way + 3)), target);
      // Any three in a row are further away in the mean.
      const others = Array.from({ length: 10 }, (_, i) => away(mean(of(label).slice(i, i + 3)), target));
      expect(chosen).toBeLessThan(others.reduce((a, b) => a + b, 0) / others.length);
    }
  });

  it('is stored as bytes, and is none of a bundle’s where it does not fit', async () => {
    const { profile } = await bundle.adapt(some('ab', 0, 4), { pattern: 'head', remember: 4 });
    const file = readSafetensors(profile.toBytes());
    expect(file.tensors.get('memory.features')?.dtype).toBe('I8');
    expect(bundle.profileFromBytes(profile.toBytes()).values.get('memory.features')).toEqual(
      profile.values.get('memory.features'),
    );
    const broken = (name: string, change: (data: Float32Array) => Float32Array, shape?: number[]) => {
      const tensors = new Map(file.tensors);
      const old = tensors.get(name) as NonNullable<ReturnType<typeof tensors.get>>;
      const data = change((old.data as Float32Array).slice());
      tensors.set(name, { dtype: old.dtype, shape: shape ?? [data.length], data });
      return writeSafetensors({ ...file, tensors });
    };
    expect(() => bundle.profileFromBytes(broken('memory.labels', (data) => data.fill(2)))).toThrow(
      new ProfileError('profile: "memory.labels": expected numbers of its 2 classes, got 2'),
    );
    expect(() => bundle.profileFromBytes(broken('memory.labels', (data) => data.slice(1)))).toThrow(
      '"memory.features": expected shape [7,8], got [8,8]',
    );
    expect(() => bundle.profileFromBytes(broken('memory.labels', () => new Float32Array(121)))).toThrow(
      '"memory.labels": expected at most 120, got 121',
    );
  });

  it('is refused where it is larger than an adaptation, no number, or of a frozen part that examples normalize', async () => {
    const adapt = (remember: number) => bundle.adapt(some('ab', 0, 4), { pattern: 'head', remember });
    await expect(adapt(31)).rejects.toThrow(
      new InputError(
        'remember',
        'expected at most 60 in all, half of the examples of an adaptation, got 31 of each of 2 classes',
      ),
    );
    await expect(adapt(1.5)).rejects.toThrow('expected a whole number of 0 or more, got 1.5');
    const { profile } = await bundle.adapt(some('abcd', 0, 12), { pattern: 'head', remember: 12 });
    const many = Array.from({ length: 80 }, (_, i) => all[i % 48] as (typeof all)[number]);
    await expect(bundle.adapt(many, { from: profile })).rejects.toThrow(
      'expected at most 72 examples beside 48 that are remembered, got 80',
    );
    await expect(bundle.adapt(some('ab', 0, 4), { pattern: 'all', remember: 1 })).rejects.toThrow(
      'expected 0, or a pattern with a frozen part, got 1 of "all", whose features are the pictures themselves',
    );
    const support = await loadBundle(await writeTinyBundle(supportCheckpoint()), { threads: 1 });
    const image = new Float32Array(support.imageLength);
    const examples = ['x', 'y'].map((label, i) => ({ label, image: image.map((_, at) => Math.sin(at + i)) }));
    await expect(support.adapt(examples, { pattern: 'head', remember: 1 })).rejects.toThrow(
      /expected 0, or a pattern whose features depend on an image alone, got 1 of "head"/,
    );
    await support.release();
  });
});

describe('an anchor', () => {
  it('is refused where the head is made anew of what is remembered, and nothing else moves', async () => {
    const { profile } = await bundle.adapt(some('ab', 0, 4), { pattern: 'head', remember: 4 });
    await expect(bundle.adapt(some('ab', 4, 8), { from: profile, anchor: 0.5 })).rejects.toThrow(
      'expected 0 where a head is made anew of what is remembered, got 0.5',
    );
  });

  it('pulls moved values back to those that were gone on from', async () => {
    const { profile } = await bundle.adapt(some('ab', 0, 6), { pattern: 'last', always: true });
    const go = (anchor: number) => bundle.adapt(some('ab', 6, 12), { from: profile, anchor });
    const [free, half] = [await go(0), await go(0.5)];
    for (const name of bundle.manifest.patterns['last']?.moving.map((each) => each.name) ?? []) {
      const [at, from, to] = [half, { profile }, free].map(
        (each) => each.profile.values.get(name)?.data as Float32Array,
      );
      for (const [i, value] of (at as Float32Array).entries()) {
        expect(value).toBeCloseTo(((from?.[i] as number) + (to?.[i] as number)) / 2, 4);
      }
    }
    await expect(go(1)).rejects.toThrow('expected 0 or more and less than 1, got 1');
    await expect(bundle.adapt(some('ab', 0, 6), { anchor: 0.5 })).rejects.toThrow(
      'expected with a profile to go on from, got none',
    );
  });
});

import { type Bundle, type Example, InputError } from '@whet/runtime';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { photographs } from './photographs.js';

const { pictures, plain, bundleOf } = photographs(5);
let bundle: Bundle;
beforeAll(async () => {
  bundle = await bundleOf();
});
afterAll(() => bundle.release());

describe('steps below the head', () => {
  it.each<[string, readonly [number, number]]>([
    ['of five examples', [5, 5]],
    ['of one example', [1, 1]],
    ['of one beside five', [1, 5]],
  ])('are spared where views leave them nothing to learn, %s', async (_, counts) => {
    const examples = plain(counts);
    const { spared, losses, loss, solved, profile } = await bundle.adapt(examples, { pattern: 'last', rate: 1 });
    expect(spared).toMatch(/^views of the examples have a loss of 0\.0\d\d, which leaves nothing to learn$/);
    expect([losses, loss, solved, profile.steps, profile.pattern]).toEqual([[], undefined, true, 0, 'last']);
    const { profile: head } = await bundle.adapt(examples, { pattern: 'head' });
    expect([...head.values.keys()].filter((name) => name.startsWith('familiar.')).length).toBe(2);
    for (const name of head.values.keys()) {
      const [own = [], others = []] = [profile, head].map(({ values }) => values.get(name)?.data);
      // A line between pictures that are all but the same is one of rounding.
      const digits = name === 'familiar.line' ? 1 : 4;
      for (const [i, value] of [...own].entries()) expect(value).toBeCloseTo(others[i] ?? 0, digits);
    }
  });

  it('are taken where they are always to be, or views are not told apart', async () => {
    const always = await bundle.adapt(plain([5, 5]), { pattern: 'last', always: true });
    expect([always.spared, always.losses.length]).toEqual([undefined, 10]);
    const grainy = await bundle.adapt(pictures({ a: 5, b: 5 }), { pattern: 'last' });
    expect([grainy.spared, grainy.losses.length]).toEqual([undefined, 10]);
  });

  it('are taken where nothing tells: of images that were encoded before, or without views', async () => {
    const examples = plain([5, 5]);
    const encoded = await bundle.encode(
      examples.map(({ image }) => image),
      { pattern: 'last' },
    );
    const given = encoded.map((image, i) => ({ image, label: (examples[i] as Example).label }));
    const without = [
      await bundle.adapt(given, { pattern: 'last' }),
      await bundle.adapt(examples, { pattern: 'last', views: 0 }),
    ];
    for (const { spared, losses } of without) expect([spared, losses.length]).toEqual([undefined, 10]);
  });

  it('are taken where a class has no views, though the others are told', async () => {
    const grainy = pictures({ a: 5, b: 5 });
    const encoded = await bundle.encode(
      grainy.map(({ image }) => image),
      { pattern: 'last' },
    );
    const mixed = [...plain([5, 5]), ...encoded.map((image, i) => ({ image, label: (grainy[i] as Example).label }))];
    const { spared, losses } = await bundle.adapt(mixed, { pattern: 'last' });
    expect([spared, losses.length]).toEqual([undefined, 10]);
  });

  it('are spared nothing where none are asked for', async () => {
    const { spared, solved } = await bundle.adapt(plain([5, 5]), { pattern: 'last', steps: 0 });
    expect([spared, solved]).toEqual([undefined, false]);
  });

  it.each([Number.NaN, 0, -1])('and a rate of %s is refused all the same', async (rate) => {
    await expect(bundle.adapt(plain([5, 5]), { pattern: 'last', rate })).rejects.toThrow(InputError);
  });
});

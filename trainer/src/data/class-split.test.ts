import { expect, it } from 'vitest';
import { splitByClass } from './class-split.js';

const named = (count: number) => Array.from({ length: count }, (_, i) => ({ name: `class ${i}` }));

it.each([
  [4, [2, 2, 0]],
  [5, [3, 2, 0]],
  [6, [2, 2, 2]],
  [10, [6, 2, 2]],
  [100, [60, 20, 20]],
])('%i classes are split into so many to train on, to validate and to test on', (count, sizes) => {
  const classes = named(count);
  const { train, validation, test } = splitByClass('photos', classes, 0);
  expect([train, validation, test].map((each) => each.length)).toEqual(sizes);
  expect(new Set([...train, ...validation, ...test])).toEqual(new Set(classes));
  expect(train).toEqual(classes.filter((each) => train.includes(each)));
});

it('another seed makes another split, and a further class moves few of the others', () => {
  const splitOf = (count: number, seed: number) => {
    const splits = splitByClass('photos', named(count), seed);
    return new Map(Object.entries(splits).flatMap(([split, all]) => all.map(({ name }) => [name, split])));
  };
  const [one, other, more] = [splitOf(50, 0), splitOf(50, 1), splitOf(51, 0)];
  const moved = (to: ReadonlyMap<string, string>) => [...one].filter(([name, split]) => to.get(name) !== split).length;
  expect(splitOf(50, 0)).toEqual(one);
  expect(moved(other)).toBeGreaterThan(5);
  expect(moved(more)).toBeLessThanOrEqual(2);
});

it('too few classes are refused with what would do', () => {
  expect(() => splitByClass('photos', [{ name: 'cat' }], 0)).toThrow(
    'photos: expected several classes to tell apart, got one, cat; add others beside it',
  );
  expect(() => splitByClass('photos', [{ name: 'cat' }, { name: 'dog' }, { name: 'eel' }], 0)).toThrow(
    'photos: expected 4 classes or more, so that some are trained on and others validate, got 3 (cat, dog, eel); ' +
      'to tell just these apart, `whet adapt --examples` needs no training',
  );
});

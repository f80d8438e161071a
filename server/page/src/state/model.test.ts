import { describe, expect, it } from 'vitest';
import { classesOf } from './classes.test.helper.js';
import { adaptProblem, examplesKey, freeThingName, isSameName } from './model.js';

describe('classes', () => {
  const limits = { maxClasses: 3, maxExamples: 5 };

  it('without pictures change nothing of what is learned', () => {
    const of = (all: Record<string, string>) => examplesKey({ pattern: 'head', classes: classesOf(all) });
    expect(of({ cup: 'ab', key: 'c', pen: '' })).toBe(of({ cup: 'ab', key: 'c' }));
    expect(of({ cup: 'ab', key: 'c', pen: 'd' })).not.toBe(of({ cup: 'ab', key: 'c' }));
    expect(adaptProblem(classesOf({ cup: 'ab', key: 'c', pen: '' }), limits, 0)).toBeUndefined();
  });

  it.each([
    [{ cup: '', key: '' }, 'Show it two things to begin.'],
    [{ cup: 'abc', key: '' }, 'Now show it a second thing.'],
    [{ a: 'a', b: 'b', c: 'c', d: 'd' }, 'It can tell at most 3 things apart.'],
    [{ cup: 'abcd', key: 'ef' }, 'It takes at most 5 pictures: remove some.'],
  ])('that cannot be learned from say what is missing: %o', (all, problem) => {
    expect(adaptProblem(classesOf(all as Record<string, string>), limits, 0)).toBe(problem);
  });

  it('whose pictures are on another device are named', () => {
    const away = classesOf({ cup: '', key: 'd' }).map((one) => (one.id === 'cup' ? { ...one, elsewhere: 3 } : one));
    expect(adaptProblem(away, limits, 0)).toMatch(/^It learned cup on another device/);
  });

  it('never have one name twice, however it is written', () => {
    for (const [one, other] of [
      ['café', 'cafe\u0301'],
      ['cup', 'c\u200bup'],
    ] as const)
      expect(isSameName(one, other)).toBe(true);
    expect(isSameName('cup', 'cap')).toBe(false);
    expect(freeThingName(classesOf({ 'Thing 1': '', 'Thing 2': '' }))).toBe('Thing 3');
    expect(freeThingName(classesOf({ 'Thing 2': '' }))).toBe('Thing 3');
  });
});

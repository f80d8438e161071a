import { describe, expect, it } from 'vitest';
import { classesOf } from './classes.test.helper.js';
import type { ClassOf } from './model.js';
import { inverse } from './undo.js';

/** Names of classes, with those of their pictures. */
const shown = (classes: readonly ClassOf[]): Record<string, string> =>
  Object.fromEntries(classes.map(({ name, pictures }) => [name, pictures.map(({ id }) => id).join('')]));

const renamed = (classes: readonly ClassOf[], from: string, to: string): ClassOf[] =>
  classes.map((one) => (one.id === from ? { ...one, name: to } : one));

describe('taking a change of classes back', () => {
  const before = classesOf({ cup: 'abc', key: 'de' });

  it.each([
    ['pictures that came', { cup: 'abcxy', key: 'de' }],
    ['pictures that went', { cup: 'b', key: '' }],
    ['pictures that moved', { cup: 'c', key: 'deab' }],
    ['a class that came', { cup: 'abc', key: 'de', pen: 'xy' }],
    ['a class that went, in its place', { key: 'de' }],
    ['all of them', {}],
    ['the order of pictures that moved into the middle', { cup: 'ac', key: 'dbe' }],
  ] as const)('brings back what was: %s', (_, after) => {
    const made = classesOf(after as Record<string, string>);
    expect(shown(inverse(before, made)(made))).toEqual(shown(before));
    expect(inverse(before, made)(made).map(({ id }) => id)).toEqual(['cup', 'key']);
  });

  it('brings a name back, but none that another class has by now', () => {
    const after = renamed(before, 'cup', 'mug');
    expect(shown(inverse(before, after)(after))).toEqual(shown(before));
    const taken = renamed(after, 'key', 'c\u200bup');
    expect(shown(inverse(before, after)(taken))).toEqual({ mug: 'abc', 'c\u200bup': 'de' });
  });

  it('leaves what others changed meanwhile', () => {
    const after = classesOf({ cup: 'abcx', key: 'de' });
    const undo = inverse(before, after);
    // Another tab added, removed and named things.
    expect(shown(undo(classesOf({ cup: 'bcxz', key: 'd', pen: 'q' })))).toEqual({ cup: 'bcz', key: 'd', pen: 'q' });
    expect(shown(undo(renamed(after, 'cup', 'mug')))).toEqual({ mug: 'abc', key: 'de' });
  });

  it('keeps a class that came where something else is in it by now', () => {
    const after = classesOf({ cup: 'abc', key: 'de', pen: 'x' });
    const undo = inverse(before, after);
    expect(shown(undo(classesOf({ cup: 'abc', key: 'de', pen: 'xy' })))).toEqual({ cup: 'abc', key: 'de', pen: 'y' });
  });

  it('puts pictures of a class that went into one of its name, where somebody made that again', () => {
    const after = classesOf({ key: 'de' });
    const again = renamed(classesOf({ key: 'de', other: 'z' }), 'other', 'c\u200bup');
    expect(shown(inverse(before, after)(again))).toEqual({ key: 'de', 'c\u200bup': 'abcz' });
  });

  it('adds no picture twice, and none that somebody deleted after it had moved', () => {
    const after = classesOf({ cup: 'bc', key: 'dea' });
    const undo = inverse(before, after);
    expect(shown(undo(classesOf({ cup: 'bc', key: 'de' })))).toEqual({ cup: 'bc', key: 'de' });
    expect(shown(undo(undo(after)))).toEqual(shown(before));
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])('is exact for a chain of changes, the last one first (%i)', (seed) => {
    // A generator of its own, so that a fault comes again.
    let state = seed * 7919;
    const next = (below: number) => {
      state = (state * 1103515245 + 12345) % 2147483648;
      return Math.floor((state / 2147483648) * below);
    };
    const chain = [before];
    let made = 0;
    for (let i = 0; i < 12; i++) {
      const now = chain.at(-1) as ClassOf[];
      const any = now[next(now.length)];
      const letter = String.fromCharCode(0x3b1 + made);
      made++;
      const changes: (() => ClassOf[])[] = [
        () => [...now, ...classesOf({ [`new-${letter}`]: letter })],
        () => now.filter((one) => one !== any),
        () => renamed(now, any?.id ?? '', `name-${letter}`),
        () => now.map((one) => (one === any ? { ...one, pictures: one.pictures.slice(1) } : one)),
        () =>
          now.map((one) =>
            one === any
              ? { ...one, pictures: [...one.pictures, ...(classesOf({ x: letter })[0]?.pictures ?? [])] }
              : one,
          ),
      ];
      chain.push(changes[next(changes.length)]?.() as ClassOf[]);
    }
    for (let i = chain.length - 1; i > 0; i--) {
      const [was, is] = [chain[i - 1], chain[i]] as [ClassOf[], ClassOf[]];
      const back = inverse(was, is)(is);
      expect(shown(back)).toEqual(shown(was));
      expect(back.map(({ id }) => id)).toEqual(was.map(({ id }) => id));
    }
  });
});

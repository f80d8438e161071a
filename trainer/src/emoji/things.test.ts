import { describe, expect, it } from 'vitest';
import type { Icon, IconSet } from './icon-sets.js';
import { findThings, splitOf } from './things.js';

const plain = { left: 0, top: 0, width: 16, height: 16, hFlip: false, vFlip: false, rotate: 0 };

/** A set of icons by their names, and of other names for some of them. */
function set(style: string, names: readonly string[], aliases: Readonly<Record<string, string>> = {}): IconSet {
  const icon = (name: string): Icon => ({ body: `<!--${name}-->`, ...plain });
  return {
    style,
    title: style,
    package: `@iconify-json/${style}`,
    packageVersion: '1.0.0',
    author: { name: 'somebody' },
    licence: { title: 'MIT', spdx: 'MIT' },
    icons: new Map([
      ...names.map((name) => [name, { id: name, icon: icon(name) }] as const),
      ...Object.entries(aliases).map(([name, id]) => [name, { id, icon: icon(id) }] as const),
    ]),
  };
}
const twice = (...names: string[]) => [set('a', names), set('b', names)];
const named = (sets: readonly IconSet[], least = 2) => findThings(sets, least).map(({ name }) => name);

describe('findThings', () => {
  it('joins names by their letters and digits, under the one that reads best, in the order of names', () => {
    const sets = [set('a', ['zebra', 'bathtub', '1st-place']), set('b', ['bath-tub', 'Zebra', '1stplace'])];
    expect(named(sets)).toEqual(['1st-place', 'bath-tub', 'zebra']);
  });

  it('asks for so many sets, and takes one drawing of each', () => {
    const sets = [set('a', ['ant', 'bee']), set('b', ['ant', 'bee']), set('c', ['bee', 'cat'])];
    expect(named(sets, 1)).toEqual(['ant', 'bee', 'cat']);
    expect(named(sets, 2)).toEqual(['ant', 'bee']);
    expect(findThings(sets, 3).map(({ drawings }) => drawings.map((each) => each.set.style))).toEqual([
      ['a', 'b', 'c'],
    ]);
  });

  it('counts other names too, and gives a drawing to one thing alone', () => {
    const sets = [set('a', ['bear'], { 'bear-face': 'bear' }), set('b', ['bear-face']), set('c', ['bear-face'])];
    const things = findThings(sets, 1);
    expect(things.map(({ name, drawings }) => [name, drawings.map(({ id }) => id)])).toEqual([
      ['bear-face', ['bear', 'bear-face', 'bear-face']],
    ]);
  });

  it('takes the name under which more of them stand, so that an alias does not mix two things', () => {
    const sets = [
      set('a', ['game'], { cricket: 'game' }),
      set('b', ['game', 'cricket']),
      set('c', ['cricket', 'game']),
    ];
    const things = findThings([...sets, set('d', ['game'], { cricket: 'game' })], 2);
    expect(things.map(({ name, drawings }) => [name, drawings.map(({ id }) => id)])).toEqual([
      ['cricket', ['cricket', 'cricket']],
      ['game', ['game', 'game', 'game', 'game']],
    ]);
  });

  it.each([
    'flag-norway',
    'flag-for-norway',
    'regional-indicator-a',
    'keycap-3',
    'two-oclock',
    'two-thirty',
    'family-man-woman-boy',
    'kiss-woman-man',
    'couple-with-heart-man-man',
    'hand-dark-skin-tone',
    'person-medium-light-skin-tone-beard',
    'hand-tone3',
    'person-walking-facing-right',
  ])('takes %s for no thing', (name) => {
    expect(named(twice(name, 'ant'))).toEqual(['ant']);
  });

  it.each(['flag-in-hole', 'crossed-flags', 'family', 'kiss-mark', 'clock', 'keyboard', 'police-car-light', 'toner'])(
    'takes %s for a thing',
    (name) => {
      expect(named(twice(name, 'police-car'))).toContain(name);
    },
  );

  it('leaves out colours of skin that stand behind a name alone, where all five do', () => {
    const tones = ['light', 'medium-light', 'medium', 'medium-dark', 'dark'].map((tone) => `hand-${tone}`);
    expect(named(twice('hand', ...tones))).toEqual(['hand']);
    expect(named(twice('hand', 'hand-light', 'hand-dark'))).toEqual(['hand', 'hand-dark', 'hand-light']);
  });

  it('leaves out men and women of what is there as a person', () => {
    const names = ['woman-running', 'person-running', 'man-artist', 'artist', 'man-dancing', 'woman'];
    expect(named(twice(...names))).toEqual(['artist', 'man-dancing', 'person-running', 'woman']);
  });

  it('leaves out what differs by its size alone', () => {
    const names = ['black-small-square', 'black-large-square', 'black-medium-small-square', 'white-square'];
    expect(named(twice(...names))).toEqual(['black-large-square', 'white-square']);
  });
});

describe('splitOf', () => {
  it('is two thirds, a sixth and a sixth of all names', () => {
    const count = 6000;
    const splits = Array.from({ length: count }, (_, i) => splitOf(`thing ${i}`));
    const shareOf = (split: string) => splits.filter((each) => each === split).length / count;
    for (const [split, share] of [
      ['train', 2 / 3],
      ['validation', 1 / 6],
      ['test', 1 / 6],
    ] as const) {
      // Four standard deviations.
      expect(Math.abs(shareOf(split) - share)).toBeLessThan(4 * Math.sqrt((share * (1 - share)) / count));
    }
  });

  it('never changes: what was trained on stays so', () => {
    const names = ['anchor', 'bear', 'cactus', 'dolphin', 'eagle', 'fire', 'guitar', 'hammer'];
    expect(names.map(splitOf)).toMatchInlineSnapshot(`
      [
        "train",
        "validation",
        "train",
        "test",
        "train",
        "train",
        "train",
        "train",
      ]
    `);
    expect(splitOf('bath-tub')).toBe(splitOf('bathtub'));
  });
});

import { createHash } from 'node:crypto';
import type { SplitName } from '../data/dataset.js';
import type { IconSet, NamedIcon } from './icon-sets.js';

/** A thing as one team draws it. */
export interface ThingDrawing extends NamedIcon {
  readonly set: IconSet;
}

/** What several teams drew under one name. */
export interface Thing {
  readonly name: string;
  readonly split: SplitName;
  readonly drawings: readonly ThingDrawing[];
}

/** Letters and digits of a name: `bath-tub` of one set is `bathtub` of another. */
const keyOf = (name: string): string => name.toLowerCase().replaceAll(/[^\p{L}\p{N}]/gu, '');

const TONES = ['light', 'medium-light', 'medium', 'medium-dark', 'dark'];
const TONE = new RegExp(`(^|-)((${TONES.join('|')})-skin-tone|skin-tone-\\d|tone-?\\d)(-|$)`);
const PLAIN_TONE = new RegExp(`-(${TONES.join('|')})$`);
/** Flags of places, keys of a telephone, clocks that differ by their hands, and people who differ by who is beside them. */
const NO_THING =
  /^(flag-(?!in-hole)|regional-indicator-|keycap-|(family|kiss|couple)-.*(man|woman|person|adult|boy|girl|child))|-(oclock|thirty)$/;
const SEX = /^(man|woman|men|women)-/;
/** A drawing may be of any size. */
const SIZE = /(^|-)(small|medium|large)(?=-|$)/g;

/** Whether a name is another look of one that stands in the same set. */
function isVariant(name: string, names: { has(name: string): boolean }): boolean {
  if (TONE.test(name) || name.endsWith('-facing-right')) return true;
  // Of one look by its colour alone there are five, whereas a light of a police car is one.
  if (PLAIN_TONE.test(name) && TONES.every((tone) => names.has(name.replace(PLAIN_TONE, `-${tone}`)))) return true;
  const rest = name.replace(SEX, '');
  return rest !== name && [rest, `person-${rest}`, `people-${rest}`].some((other) => names.has(other));
}

/**
 * The things that `least` or more of the sets draw, in the order of their names. A thing is what stands under one name, by its letters and
 * digits, in several sets, whose other names count too. No thing are skin tones, men and women of what is there as a person, flags of places, keys,
 * faces of clocks, and what another is but for its size. A drawing is of one thing: of two names for it, that which more sets use, and more
 * of them first.
 */
export function findThings(sets: readonly IconSet[], least: number): Thing[] {
  const named = new Map<string, { name: string; readonly drawings: Map<IconSet, NamedIcon> }>();
  for (const set of sets) {
    for (const [name, drawing] of set.icons) {
      if (NO_THING.test(name) || isVariant(name, set.icons)) continue;
      const key = keyOf(name);
      const entry = named.get(key) ?? { name, drawings: new Map() };
      named.set(key, entry);
      // The name with the most words is the one that reads best.
      if (name.length > entry.name.length) entry.name = name;
      if (!entry.drawings.has(set)) entry.drawings.set(set, drawing);
    }
  }
  const taken = new Set<string>();
  const sizeless = new Set<string>();
  const things: Thing[] = [];
  const ownNames = ({
    name,
    drawings,
  }: {
    readonly name: string;
    readonly drawings: ReadonlyMap<IconSet, NamedIcon>;
  }) => [...drawings.values()].filter(({ id }) => keyOf(id) === keyOf(name)).length;
  const byUse = [...named.values()].sort(
    (a, b) =>
      b.drawings.size - a.drawings.size || ownNames(b) - ownNames(a) || (keyOf(a.name) < keyOf(b.name) ? -1 : 1),
  );
  for (const { name, drawings } of byUse) {
    const own = [...drawings]
      .filter(([{ style }, { id }]) => !taken.has(`${style}:${id}`))
      .map(([set, drawing]) => ({ set, ...drawing }));
    if (own.length < least) continue;
    for (const { set, id } of own) taken.add(`${set.style}:${id}`);
    const bare = keyOf(name.replaceAll(SIZE, ''));
    if (sizeless.has(bare)) continue;
    sizeless.add(bare);
    things.push({ name, split: splitOf(name), drawings: own });
  }
  return things.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Two thirds of all names are `train`, a sixth `validation`, a sixth `test`; which one depends on the name alone. */
export function splitOf(name: string): SplitName {
  const sixth = createHash('sha256').update(keyOf(name)).digest().readUInt32LE() % 6;
  return sixth < 4 ? 'train' : sixth === 4 ? 'validation' : 'test';
}

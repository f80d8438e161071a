import type { LinkKind } from './link-kinds.js';

/** A part of a chain: places of its first and its last link. */
export interface Span {
  readonly first: number;
  readonly last: number;
}

/** A link that is a layer or a join, or several that are one block. */
interface Part extends Span {
  readonly name: string;
  readonly isJoin: boolean;
  /** Multiplies what it has made of images, so that joins above it may belong to it. */
  readonly attends: boolean;
  /** With its feed-forward part. */
  readonly isComplete?: boolean;
}

/** Kinds that take turns in a block, at most. */
const MOST_TURNS = 8;

/** The kind of a join, and the layers it has. */
type Shape = readonly [kind: string, layers: readonly string[]];

const keyOf = (body: readonly string[]): string => `join(${body.join(' ')})`;
const layersIn = (body: readonly string[]): string[] => body.filter((name) => name !== 'transpose');

/** A body that a row of layers has at `from`, or that ends before it where `backward`; within `least` and `most`. */
function shapeAt(
  row: readonly Part[],
  [least, most]: readonly [number, number],
  shapes: readonly Shape[],
  backward: boolean,
): readonly [key: string, length: number] | undefined {
  for (const [key, shape] of shapes) {
    const from = backward ? most - shape.length : least;
    if (shape.length > most - least) continue;
    if (shape.every((name, i) => row[from + i]?.name === name)) return [key, shape.length];
  }
  return undefined;
}

const merged = (parts: readonly Part[], name: string): Part => ({
  name,
  isJoin: true,
  attends: parts.some(({ attends }) => attends),
  first: (parts[0] as Part).first,
  last: (parts.at(-1) as Part).last,
});

/** Longest first, as a shorter one may be how a longer one begins. */
const longestFirst = (shapes: readonly Shape[]): Shape[] =>
  shapes.filter(([, shape]) => shape.length > 1).sort(([, a], [, b]) => b.length - a.length);

/**
 * A row of layers with those put together that repeat the layers of a join: first what stands right above the join `below` it,
 * and above what was put together, then right below the one `above`.
 */
function matchRow(row: readonly Part[], shapes: readonly Shape[], below: boolean, above: boolean): Part[] {
  let range: readonly [number, number] = [0, row.length];
  const before: Part[] = [];
  const after: Part[] = [];
  for (let found = below && shapeAt(row, range, shapes, false); found; found = shapeAt(row, range, shapes, false)) {
    const [key, length] = found;
    before.push(merged(row.slice(range[0], range[0] + length), key));
    range = [range[0] + length, range[1]];
  }
  for (let found = above && shapeAt(row, range, shapes, true); found; found = shapeAt(row, range, shapes, true)) {
    const [key, length] = found;
    after.unshift(merged(row.slice(range[1] - length, range[1]), key));
    range = [range[0], range[1] - length];
  }
  return [...before, ...row.slice(...range), ...after];
}

/** Layers without a join put together where they repeat those of one. */
function withUnjoined(parts: readonly Part[], bodies: readonly (readonly string[])[]): Part[] {
  const whole = [...new Map(bodies.map((body) => [keyOf(body), layersIn(body)]))];
  const shapes = longestFirst(whole);
  // The first block of a network may have as many channels as it is given, and leaves out the layer that makes more.
  const shortened = longestFirst([...whole, ...whole.map(([key, shape]): Shape => [key, shape.slice(1)])]);
  const found: Part[] = [];
  let row: Part[] = [];
  let below = false;
  for (const part of parts) {
    if (!part.isJoin) {
      row.push(part);
      continue;
    }
    found.push(...matchRow(row, below ? shapes : shortened, below, true), part);
    row = [];
    below = true;
  }
  return [...found, ...matchRow(row, shapes, below, false)];
}

/**
 * How much of an image each place sees of what a join adds: 2 where others are near it or attended to, 1 where products of
 * turned axes may see them, 0 where products only mix the channels of the place.
 */
function reachOf(name: string): number {
  if (!/^join\((pointwise|transpose| )+\)$/.test(name)) return 2;
  return name.includes('transpose') ? 1 : 0;
}

/** Each join of nothing but products (a feed-forward part) put together with the one right below it that reaches further. */
function withFeedForward(parts: readonly Part[]): Part[] {
  const found: Part[] = [];
  for (const part of parts) {
    const below = found.at(-1);
    const reach = reachOf(part.name);
    if (below?.isJoin && part.isJoin && reach < 2 && reach < reachOf(below.name) && !below.isComplete) {
      found.splice(-1, 1, { ...merged([below, part], `${below.name} ${part.name}`), isComplete: true });
    } else found.push(part);
  }
  return found;
}

const isPeriodic = (names: readonly string[], period: number): boolean =>
  names.every((name, i) => i < period || name === names[i - period]);

/** Whether a run of names is a shorter one, several times. */
function isRepeated(names: readonly string[]): boolean {
  for (let period = 1; period <= names.length / 2; period++) {
    if (names.length % period === 0 && isPeriodic(names, period)) return true;
  }
  return false;
}

/** Runs of parts, none `taken`, in which each `period` of kinds is the one before again: two units or more. */
function unitsOf(
  parts: readonly Part[],
  taken: ReadonlySet<Part>,
  period: number,
  isUnit: (unit: readonly Part[]) => boolean,
): Part[][] {
  const found: Part[][] = [];
  let start = 0;
  while (start + 2 * period <= parts.length) {
    const continues = (i: number) =>
      !taken.has(parts[i] as Part) && (i < start + period || parts[i]?.name === parts[i - period]?.name);
    let end = start;
    if (isUnit(parts.slice(start, start + period))) while (end < parts.length && continues(end)) end++;
    const count = Math.floor((end - start) / period);
    if (count < 2) {
      start++;
      continue;
    }
    for (let i = 0; i < count; i++) found.push(parts.slice(start + i * period, start + (i + 1) * period));
    start += count * period;
  }
  return found;
}

const spanOf = (parts: readonly Part[]): Span => ({
  first: (parts[0] as Part).first,
  last: (parts.at(-1) as Part).last,
});
const inOrder = (units: readonly (readonly Part[])[]): Span[] => units.map(spanOf).sort((a, b) => a.first - b.first);

/** Units of kinds in turns, the shortest first; then each of `alone` that is in none. */
function inTurns(parts: readonly Part[], isUnit: (unit: readonly Part[]) => boolean, alone: readonly Part[]): Span[] {
  const taken = new Set<Part>();
  const units: Part[][] = [];
  for (let period = 1; period <= MOST_TURNS; period++) {
    for (const unit of unitsOf(parts, taken, period, isUnit)) {
      units.push(unit);
      for (const part of unit) taken.add(part);
    }
  }
  return inOrder([...units, ...alone.filter((part) => !taken.has(part)).map((part) => [part])]);
}

/** Layers up to a pooling that makes an image smaller. */
function upToPools(parts: readonly Part[]): Span[] {
  const units: Part[][] = [];
  let layers: Part[] = [];
  for (const part of parts) {
    layers.push(part);
    if (part.name !== 'pool') continue;
    if (layers.length > 1) units.push(layers);
    layers = [];
  }
  return inOrder(units);
}

/** The blocks of a chain by the kinds of its links, as `sectionsOf` says, from the image upward; none where fewer than two are found. */
export function repeatingUnits(kinds: readonly (LinkKind | undefined)[]): Span[] {
  const parts = kinds.flatMap((kind, i): Part[] => {
    if (!kind) return [];
    const isJoin = kind.name === 'join';
    const attends = [kind.name, ...kind.body].includes('attention');
    return [{ name: isJoin ? keyOf(kind.body) : kind.name, isJoin, attends, first: i, last: i }];
  });
  const bodies = kinds.flatMap((kind) => (kind?.name === 'join' ? [kind.body] : []));
  const isOneKind = (unit: readonly Part[]) => isRepeated(unit.map(({ name }) => name));
  const withoutPools = (from: readonly Part[]) => from.filter(({ name }) => name !== 'pool');
  if (bodies.length > 0) {
    const all = withFeedForward(withoutPools(withUnjoined(parts, bodies)));
    const joins = all.filter(({ isJoin }) => isJoin);
    const isTurn = (unit: readonly Part[]) => {
      const joined = unit.filter(({ isJoin }) => isJoin);
      return joined.length > 0 && (joined.length === 1 || unit.some(({ attends }) => attends)) && !isOneKind(unit);
    };
    const units = inTurns(all, isTurn, joins);
    return units.length > 1 ? units : [];
  }
  const layers = parts.filter(({ name }) => name !== 'row');
  const turns = inTurns(withoutPools(layers), (unit) => unit.length > 1 && !isOneKind(unit), []);
  if (turns.length > 1) return turns;
  const pooled = upToPools(layers);
  return pooled.length > 1 ? pooled : [];
}

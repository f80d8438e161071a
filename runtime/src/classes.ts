import { InputError } from './errors.js';
import { labelKey } from './label.js';
import type { Manifest } from './manifest.js';

/** The classes that examples are of, in the order of a head's rows. */
export interface ExampleClasses {
  /** The known classes first, then those that the examples add, as they come. */
  readonly names: readonly string[];
  /** Row of each example. */
  readonly rows: Int32Array;
}

/**
 * The classes that are known before (a kept head's own, or those of a profile to go on from) and those of the examples,
 * which are told apart by `labelKey`.
 * Throws {@link InputError} where there are fewer than two classes, or more than the bundle takes.
 */
export function classesOf(
  labels: readonly string[],
  manifest: Manifest,
  own: readonly string[] = manifest.labels ?? [],
): ExampleClasses {
  const names = [...own];
  const rows = new Map(own.map((name, row) => [labelKey(name), row]));
  const found = Int32Array.from(labels, (label) => {
    const key = labelKey(label);
    const row = rows.get(key) ?? names.push(label) - 1;
    rows.set(key, row);
    return row;
  });
  const { maxClasses } = manifest.limits;
  if (names.length < 2) {
    throw new InputError('examples', `expected examples of at least 2 classes, got only "${names[0]}"`);
  }
  if (names.length > maxClasses) {
    const whose = own === manifest.labels ? "the bundle's own" : "the profile's";
    const added = own.length > 0 ? `, ${own.length} of them ${whose}` : '';
    throw new InputError('examples', `expected at most ${maxClasses} classes, got ${names.length}${added}`);
  }
  return { names, rows: found };
}

/** How many rows there are of each of so many classes. */
export function countsOf(rows: Int32Array, ways: number): number[] {
  const counts = new Array<number>(ways).fill(0);
  for (const row of rows) counts[row] = (counts[row] as number) + 1;
  return counts;
}

import { labelKey } from '@whet/runtime/format';
import { DataError, type SplitName } from './dataset.js';
import { generatorFor } from './random.js';

/** Classes without which there is nothing to tell apart in training, and none in validation. */
const LEAST = 4;
/** Classes from which on some are kept to test on. */
const TESTED = 6;
/** The share of validation, and that of test. */
const HELD_BACK = 0.2;

/**
 * Classes that came without splits, split by class: a fifth for validation and a fifth to test on, two at least, the others to train on; of fewer than six none
 * to test on. Names and seed decide, by a rank for each name, so that a further class moves few of the others. Each split keeps the order it was given.
 *
 * @throws {DataError} where there are too few, saying what would do.
 */
export function splitByClass<T extends { readonly name: string }>(
  where: string,
  classes: readonly T[],
  seed: number,
): Record<SplitName, readonly T[]> {
  const names = classes.map(({ name }) => name);
  if (names.length === 1) {
    throw new DataError(`${where}: expected several classes to tell apart, got one, ${names[0]}; add others beside it`);
  }
  if (names.length < LEAST) {
    throw new DataError(
      `${where}: expected ${LEAST} classes or more, so that some are trained on and others validate, got ${names.length} ` +
        `(${names.join(', ')}); to tell just these apart, \`whet adapt --examples\` needs no training`,
    );
  }
  const rankOf = (name: string) => generatorFor(seed, `class-split/${labelKey(name)}`, 0).uniform();
  const ranked = names.map((name) => ({ name, rank: rankOf(name) }));
  ranked.sort((a, b) => a.rank - b.rank || (a.name < b.name ? -1 : 1));
  const held = Math.max(2, Math.round(HELD_BACK * names.length));
  const tested = names.length < TESTED ? 0 : held;
  const of = new Map(
    ranked.map(({ name }, i) => [name, i < tested ? 'test' : i < tested + held ? 'validation' : 'train']),
  );
  const part = (split: SplitName) => classes.filter(({ name }) => of.get(name) === split);
  return { train: part('train'), validation: part('validation'), test: part('test') };
}

import { type AdaptedValues, adaptPattern, movesHeadAlone, startBelow } from './adapt.js';
import { InputError } from './errors.js';
import { type Asked, cooled, type HeldBack, heldBackOf, temperatureOf } from './held-back.js';
import { leftOutLogits } from './objectives.js';
import type { Pattern } from './pattern.js';
import { askable, presentClasses, type Rows } from './rows.js';
import { askSolved } from './solve.js';
import type { AdaptOptions } from './types.js';

/** Throws {@link InputError} for steps, a rate, views or a budget that are none. */
export function checkSteps({ steps = 0, rate = 1, views = 0, budgetMs = 0 }: AdaptOptions): void {
  for (const [name, value] of Object.entries({ steps, views })) {
    if (Number.isSafeInteger(value) && value >= 0) continue;
    throw new InputError(name, `expected a whole number of 0 or more, got ${value}`);
  }
  if (!(Number.isFinite(rate) && rate > 0)) throw new InputError('rate', `expected a positive number, got ${rate}`);
  if (!(budgetMs >= 0)) throw new InputError('budgetMs', `expected milliseconds, 0 or more, got ${budgetMs}`);
}

/** What a pattern made of a task. */
export interface AdaptedPattern {
  readonly pattern: Pattern;
  readonly adapted: AdaptedValues;
  /** Gradient steps; 0 for a head in closed form with nothing moving below it. */
  readonly steps: number;
  /** Of the examples, each asked about with classes that are made without it, before any step below the head. */
  readonly heldBack: HeldBack | undefined;
  readonly auto?: undefined;
}

/** What the start takes examples for by classes that they are no part of; undefined where no class has two. */
export async function askStart(pattern: Pattern, rows: Rows, options: AdaptOptions): Promise<Asked | undefined> {
  const present = presentClasses(rows);
  const counts = askable(present).map((asked, i) => asked * (rows.support[i] as number));
  if (!pattern.leftOut || present.ways < 2 || !counts.includes(1)) return undefined;
  const logits = await leftOutLogits(pattern, present, startBelow(pattern, options.from));
  return { logits, labels: present.labels, counts };
}

/** Adapts one pattern. */
export async function adaptOne(
  pattern: Pattern,
  encode: (pattern: Pattern) => Promise<Rows>,
  options: AdaptOptions,
): Promise<AdaptedPattern> {
  const { steps = pattern.manifest.steps, rate = pattern.manifest.rate } = options;
  const rows = await encode(pattern);
  const adapted = await adaptPattern(pattern, rows, { ...options, steps, rate });
  const asked = adapted.solved
    ? await askSolved(pattern, rows, startBelow(pattern))
    : await askStart(pattern, rows, options);
  const heldBack = asked && heldBackOf(asked);
  if (!adapted.solved || !movesHeadAlone(pattern)) return { pattern, adapted, steps, heldBack };
  // What was asked is what the head is, so that its probabilities can be as sure as it was right.
  const values = asked ? cooled(adapted.values, temperatureOf(asked)) : adapted.values;
  return { pattern, adapted: { ...adapted, values }, steps: 0, heldBack };
}

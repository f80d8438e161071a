import { type AdaptedValues, adaptPattern, startBelow } from './adapt.js';
import { InputError } from './errors.js';
import { type HeldBack, heldBackOf } from './held-back.js';
import { leftOutLogits } from './objectives.js';
import type { Pattern } from './pattern.js';
import { askable, presentClasses, type Rows } from './rows.js';
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
  readonly steps: number;
  /** Of the examples, each asked about with classes that are made without it, before any step. */
  readonly heldBack: HeldBack | undefined;
  readonly auto?: undefined;
}

/** How many of the examples the start gets right by classes that they are no part of; undefined where no class has two. */
async function leaveOneOut(pattern: Pattern, rows: Rows, options: AdaptOptions): Promise<HeldBack | undefined> {
  const present = presentClasses(rows);
  const counts = askable(present).map((asked, i) => asked * (rows.support[i] as number));
  if (!pattern.leftOut || present.ways < 2 || !counts.includes(1)) return undefined;
  const logits = await leftOutLogits(pattern, present, startBelow(pattern, options.from));
  return heldBackOf({ logits, labels: present.labels, counts });
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
  return { pattern, adapted, steps, heldBack: await leaveOneOut(pattern, rows, options) };
}

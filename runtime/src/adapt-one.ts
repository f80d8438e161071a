import { type AdaptedValues, adaptPattern, movesHeadAlone, type StepsOptions, startBelow } from './adapt.js';
import { maySpare } from './as-pictures.js';
import { InputError } from './errors.js';
import { type Asked, cooled, type HeldBack, heldBackOf, temperatureOf } from './held-back.js';
import { leftOutLogits } from './objectives.js';
import type { Pattern } from './pattern.js';
import type { ProfileValue } from './profile.js';
import type { OfViews, Reason } from './reasons.js';
import {
  askable,
  presentClasses,
  type Rows,
  type ViewOptions,
  viewedRows,
  withoutFirst,
  withoutViews,
} from './rows.js';
import { askSolved, canSolve, tooMany } from './solve.js';
import type { AdaptOptions } from './types.js';

/** Throws {@link InputError} for steps, a rate, views or a budget that are none. */
export function checkSteps({ steps = 0, rate = 1, views = 0, budgetMs = 0, anchor = 0, from }: AdaptOptions): void {
  for (const [name, value] of Object.entries({ steps, views })) {
    if (Number.isSafeInteger(value) && value >= 0) continue;
    throw new InputError(name, `expected a whole number of 0 or more, got ${value}`);
  }
  if (!(Number.isFinite(rate) && rate > 0)) throw new InputError('rate', `expected a positive number, got ${rate}`);
  if (!(anchor >= 0 && anchor < 1)) {
    throw new InputError('anchor', `expected 0 or more and less than 1, got ${anchor}`);
  }
  if (anchor > 0 && !from) throw new InputError('anchor', 'expected with a profile to go on from, got none');
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
  /** Why no step was taken where some were asked for. */
  readonly why: Reason | undefined;
  readonly auto?: undefined;
}

/** What a task's examples are encoded by. */
export interface TaskEncoder {
  /** The examples, encoded for a pattern, with views of those that are alone in their class. */
  readonly encode: (pattern: Pattern) => Promise<Rows>;
  /** The same rows with further views of examples. */
  readonly addViews: (pattern: Pattern, rows: Rows, of: ViewOptions['of']) => Promise<Rows>;
}

/**
 * Cross-entropy of views of one example of each class, asked about with that one, from which on there is something to learn beyond what
 * the network tells already: below it, steps below the head make heads worse. Of 40 tasks of five classes (EfficientNet-Lite0), 38 of
 * photographs of CIFAR-100's validation classes are below, of hand signs none, of Omniglot's background characters 4.
 */
const VIEWS_APART = 0.045;

/** Whether views of examples say that the network tells them apart already. */
export const leavesNothing = ({ loss }: HeldBack): boolean => loss < VIEWS_APART;

/** What views of examples say. */
export const ofViews = (views: HeldBack): OfViews => ({ loss: views.loss, leavesNothing: leavesNothing(views) });

/** Options of an adaptation that may start at a profile's values below the head, which is made of the examples all the same. */
export type Starting = AdaptOptions &
  Pick<StepsOptions, 'startsAt'> & {
    /** How many of the first rows a profile to go on from remembers, where its head is not made anew of them; 0 when absent. */
    readonly remembered?: number;
  };

/** What the start takes examples for by classes that they are no part of; undefined where no class has two. */
export async function askStart(pattern: Pattern, rows: Rows, options: Starting): Promise<Asked | undefined> {
  // Examples of a profile that is gone on from are not there to be asked about.
  if (options.from) return undefined;
  const present = presentClasses(rows);
  const counts = askable(present).map((asked, i) => asked * (rows.support[i] as number));
  if (!pattern.leftOut || present.ways < 2 || !counts.includes(1)) return undefined;
  const logits = await leftOutLogits(pattern, present, startBelow(pattern, options.startsAt));
  return { logits, labels: present.labels, counts };
}

/** How well the start tells views of one example of each class; undefined where a class has none. */
export async function askViews(
  pattern: Pattern,
  rows: Rows,
  startsAt?: Starting['startsAt'],
): Promise<HeldBack | undefined> {
  const viewed = presentClasses(viewedRows(rows));
  // A class of which there are no views may be like another.
  if (!pattern.leftOut || viewed.ways < 2 || viewed.ways < presentClasses(rows).ways) return undefined;
  const logits = await leftOutLogits(pattern, viewed, startBelow(pattern, startsAt));
  return heldBackOf({ logits, labels: viewed.labels, counts: viewed.support.map((value) => 1 - value) });
}

/**
 * How much less sure a head in closed form is right to be: by the loss of views at the start where every class has one example, and where
 * steps went before it. On CIFAR-100's validation classes, hand signs and Omniglot's background characters, 40 tasks each, the best scales of
 * its outputs are 10, 5 and 9 from one example and its views; from five 8, 6 and 9 after steps of Lite0's last block. After steps with smoothed
 * labels from one example, the loss of views alone leaves a calibration error of 2.4 points on Omniglot's validation characters (30 tasks).
 */
const [BY_VIEWS, MOVED] = [2, 1.4];

async function unaskedTemperature(pattern: Pattern, rows: Rows, { solved, losses }: AdaptedValues): Promise<number> {
  if (!solved) return 1;
  const isAsked = askable(withoutViews(rows)).includes(1);
  if (isAsked) return losses.length > 0 ? MOVED : 1;
  const views = await askViews(pattern, rows);
  return 1 + BY_VIEWS * (views?.loss ?? 0);
}

/**
 * What a profile stores: the values, of the head as sure as its answers were right, and what tells pictures of other classes. `started` is what
 * the start took the examples for, where that is known.
 */
export async function finished(
  pattern: Pattern,
  rows: Rows,
  adapted: AdaptedValues,
  { asked, started }: { readonly asked: Asked | undefined; readonly started: Asked | undefined },
  { from, startsAt, signal }: Starting,
): Promise<Map<string, ProfileValue>> {
  signal?.throwIfAborted();
  const moved = (adapted.losses.length > 0 || startsAt !== undefined) && !movesHeadAlone(pattern);
  const temperature = asked ? temperatureOf(asked) : await unaskedTemperature(pattern, rows, adapted);
  const familiar = from
    ? undefined
    : await (await import('./familiar.js')).familiarity(pattern, rows, adapted, {
        moved,
        asked: adapted.solved ? asked : undefined,
        started: adapted.solved ? undefined : started,
      });
  return new Map([...cooled(adapted.values, temperature), ...(familiar ?? [])]);
}

/**
 * Why a profile that goes on is better off without steps, where none are asked for: on examples of some of its classes alone they make it forget
 * the others. Of EfficientNet-Lite0 that learned 20 of CIFAR-100's classes in five stages, 57 % of pictures are right after steps of its head,
 * 77 by mean directions, as many as of one that learned all at once.
 */
function wouldForget(
  pattern: Pattern,
  { labels, examples }: Rows,
  { from, steps, always, remembered = 0 }: Starting,
): Reason | undefined {
  if (!from || !pattern.solve || steps !== undefined || always) return undefined;
  const present = new Set(labels.filter((_, i) => (examples[i] as number) >= remembered));
  const left = from.classes.filter((_, row) => !present.has(row)).length;
  if (left === 0) return undefined;
  return { code: 'would-forget', classes: left };
}

/** Why steps below the head are better left out; undefined where they may help, none are asked for or nothing tells. */
async function reasonToSpare(
  pattern: Pattern,
  { addViews }: TaskEncoder,
  rows: Rows,
  options: Starting,
): Promise<Reason | undefined> {
  if (options.from) return wouldForget(pattern, rows, options);
  const wanted = options.always ? 0 : (options.steps ?? pattern.manifest.steps);
  if (wanted > 0 && movesHeadAlone(pattern) && pattern.solve && !canSolve(pattern, rows)) {
    return { code: 'too-many', ...tooMany(rows) };
  }
  if (!maySpare(pattern.manifest, options)) return undefined;
  const views = await askViews(pattern, await addViews(pattern, rows, 'first'), options.startsAt);
  return views && leavesNothing(views) ? { code: 'views', ...ofViews(views) } : undefined;
}

/** Adapts one pattern. */
export async function adaptOne(pattern: Pattern, task: TaskEncoder, options: Starting): Promise<AdaptedPattern> {
  const { steps: wanted = pattern.manifest.steps, rate = pattern.manifest.rate } = options;
  const encoded = await task.encode(pattern);
  const why = await reasonToSpare(pattern, task, encoded, options);
  const isSpared = why !== undefined;
  // What is remembered is part of the mean directions already.
  const rows = isSpared && options.remembered ? withoutFirst(encoded, options.remembered) : encoded;
  const steps = isSpared ? 0 : wanted;
  const adapted = await adaptPattern(pattern, rows, { ...options, steps, rate, solves: isSpared, means: isSpared });
  const asked = adapted.solved
    ? await askSolved(pattern, rows, startBelow(pattern, options.startsAt))
    : await askStart(pattern, rows, options);
  const heldBack = asked && heldBackOf(asked);
  const isHeadAlone = adapted.solved && (isSpared || movesHeadAlone(pattern));
  // What was asked of a head alone is what it is, so that its probabilities can be as sure as it was right.
  const told = { asked: isHeadAlone ? asked : undefined, started: adapted.solved ? undefined : asked };
  const values = await finished(pattern, rows, adapted, told, options);
  return { pattern, adapted: { ...adapted, values }, steps: isHeadAlone ? 0 : steps, heldBack, why };
}

import {
  type AdaptedValues,
  adaptPattern,
  endsSolved,
  movesHeadAlone,
  type StepsOptions,
  startBelow,
} from './adapt.js';
import { askStart, askViews, finished, leavesNothing, ofViews, type TaskEncoder } from './adapt-one.js';
import { type Asked, type HeldBack, heldBackOf } from './held-back.js';
import type { Pattern } from './pattern.js';
import { type Policy, ruleFor } from './policy.js';
import { type Reason, sayReason } from './reasons.js';
import { type Rows, withoutSpareViews, withoutViews } from './rows.js';
import { askSolved, canSolve, tooMany } from './solve.js';
import { gainOf, type Split, splitRows, tryOn } from './trials.js';
import type { AdaptOptions } from './types.js';

/** One thing that was tried on a part of the examples, and asked about the others. */
export interface PatternTrial {
  readonly pattern: string;
  /** Gradient steps; 0 for the start, at which nothing but the head is made of the examples, and for a head in closed form. */
  readonly steps: number;
  /** Whether the head is one in closed form. */
  readonly solved: boolean;
  /** Views of each example that it was adapted to besides; 0 where only those were viewed that are alone in their class. */
  readonly withViews: number;
  /** Of the examples that it had not seen; undefined where every class has but one, or the time was up. */
  readonly heldBack: HeldBack | undefined;
  /** Of the start: of views of the first example of each class, asked about with that one. */
  readonly views?: HeldBack | undefined;
  readonly milliseconds: number;
}

/** What was tried and why the profile has the pattern that it has. */
export interface AutoReport {
  readonly trials: readonly PatternTrial[];
  /** In English; `why` of the result is the same as data. */
  readonly reason: string;
}

export interface AutoTask extends TaskEncoder {
  /** From the one that moves least to the one that moves most; each moves what the one before it does. */
  readonly patterns: readonly Pattern[];
  readonly budgetMs: number;
  readonly options: AdaptOptions;
  /** What meta-training found about tasks; trials alone decide when absent. */
  readonly policy?: Policy | undefined;
}

export interface Chosen {
  readonly pattern: Pattern;
  readonly adapted: AdaptedValues;
  readonly steps: number;
  /** Of examples, asked about by what was adapted to the others. */
  readonly heldBack: HeldBack | undefined;
  readonly auto: AutoReport;
  readonly why: Reason;
}

/** Thrown out of a trial that takes longer than there is time for. */
class OutOfTime extends Error {}

/** Options of a pattern's own steps, that end when the time is up. */
function within(pattern: Pattern, options: AdaptOptions, until: number): StepsOptions {
  const onStep = () => {
    if (performance.now() > until) throw new OutOfTime();
  };
  const { signal } = options;
  return { ...stepsOf(pattern, options), onStep, ...(signal ? { signal } : {}) };
}

const stepsOf = (
  { manifest }: Pattern,
  { steps = manifest.steps, rate = manifest.rate }: AdaptOptions,
): { readonly steps: number; readonly rate: number } => ({ steps, rate });

async function tryWithin(pattern: Pattern, rows: Rows, split: Split, options: StepsOptions) {
  try {
    return await tryOn(pattern, rows, split, options);
  } catch (error) {
    if (error instanceof OutOfTime) return undefined;
    throw error;
  }
}

/** What is adapted to all examples in the end. */
interface Candidate {
  readonly pattern: Pattern;
  readonly rows: Rows;
  /** What its head is: as it starts, in closed form without a step, or where the pattern's own steps end. */
  readonly ends: 'started' | 'solved' | 'stepped';
  /** What it took examples for that it had not seen; undefined where there are no others. */
  readonly asked: Asked | undefined;
}

/** How a candidate is adapted. */
const optionsOf = ({ pattern, ends }: Candidate, { signal, ...options }: AdaptOptions): StepsOptions => ({
  ...stepsOf(pattern, options),
  ...(ends === 'stepped' ? {} : { steps: 0, solves: ends === 'solved' }),
  ...(signal ? { signal } : {}),
});

interface Found {
  readonly best: Candidate;
  readonly reason: Reason;
  /** What is taken where steps of the best take longer than there is time for. */
  readonly otherwise?: Candidate | undefined;
  /** Whether a policy takes the head as it starts for its end, so that it is to be as sure as its answers were right. */
  readonly isEnd?: boolean;
}

/** A search on its way. */
interface Search {
  readonly task: AutoTask;
  readonly until: number;
  readonly trials: PatternTrial[];
}

/** Adds a trial to those that were made, with what it was asked and the milliseconds since it began. */
function noteTrial(
  { trials }: Search,
  { name }: Pattern,
  asked: Asked | undefined,
  began: number,
  said: Partial<PatternTrial> = {},
): void {
  const heldBack = asked && heldBackOf(asked);
  const milliseconds = performance.now() - began;
  trials.push({ pattern: name, steps: 0, solved: false, withViews: 0, ...said, heldBack, milliseconds });
}

/** Whether what was asked lost by no more than the standard error. */
function holds(from: Asked | undefined, to: Asked | undefined): boolean {
  if (!from || !to) return true;
  const { mean, error } = gainOf(from, to);
  return mean >= -error;
}

const viewsOfEach = ({ support, examples }: Rows): number =>
  Math.round((support.length - new Set(examples).size) / new Set(examples).size);

/**
 * The head in closed form, and where the network does not tell views of the examples, one that is made of views of all of them too: each
 * of them unless it loses by more than the standard error on examples that it has not seen.
 */
async function chooseHead(search: Search, start: Candidate, encoded: Rows) {
  const { task, until } = search;
  const { pattern } = start;
  const below = startBelow(pattern);
  let began = performance.now();
  const rows = withoutSpareViews(encoded);
  const asked = await askSolved(pattern, rows, below);
  noteTrial(search, pattern, asked, began, { solved: true });
  const solved = { pattern, rows, ends: 'solved' as const, asked };
  const best = holds(start.asked, asked) ? solved : start;
  began = performance.now();
  if (began >= until) return { best, views: undefined };
  const viewed = await task.addViews(pattern, encoded, 'first');
  const views = await askViews(pattern, viewed);
  if (!asked || !views || leavesNothing(views) || performance.now() >= until) return { best, views };
  const all = await task.addViews(pattern, viewed, 'all');
  if (all === viewed || !canSolve(pattern, all)) return { best, views };
  const answers = await askSolved(pattern, all, below);
  noteTrial(search, pattern, answers, began, { solved: true, withViews: viewsOfEach(all) });
  const made = { pattern, rows: all, ends: 'solved' as const, asked: answers };
  return { best: holds(best.asked, answers) ? made : best, views };
}

/** What the bundle's policy says of a task by its views, as far as there is time. */
async function chooseByPolicy(
  search: Search,
  {
    start,
    encoded,
    views,
    viewing,
    policy,
  }: { start: Candidate; encoded: Rows; views: HeldBack; viewing: number; policy: Policy },
): Promise<Found> {
  const { task, until } = search;
  const { pattern } = start;
  const rule = ruleFor(policy, start.asked !== undefined, views.loss);
  if ('head' in rule && rule.head === 'started') {
    return { best: start, isEnd: true, reason: { code: 'start-is-best', ...ofViews(views) } };
  }
  const below = startBelow(pattern);
  let began = performance.now();
  const rows = start.asked ? withoutSpareViews(encoded) : encoded;
  const asked = await askSolved(pattern, rows, below);
  noteTrial(search, pattern, asked, began, { solved: true });
  const solved = { pattern, rows, ends: 'solved' as const, asked };
  if ('head' in rule && rule.head === 'solved') return { best: solved, reason: { code: 'views', ...ofViews(views) } };
  // Views of all take as much longer than those of the first as there are more of them.
  const more = new Set(encoded.examples).size / encoded.ways - 1;
  const wanted = 'head' in rule ? viewing * more : 0;
  if (performance.now() + wanted >= until)
    return { best: solved, reason: { code: 'budget-spent', budgetMs: task.budgetMs } };
  if ('head' in rule) {
    began = performance.now();
    const all = await task.addViews(pattern, encoded, 'all');
    if (!canSolve(pattern, all)) {
      return { best: solved, reason: { code: 'views-too-many', ...ofViews(views), ...tooMany(all) } };
    }
    const answers = await askSolved(pattern, all, below);
    noteTrial(search, pattern, answers, began, { solved: true, withViews: viewsOfEach(all) });
    return {
      best: { pattern, rows: all, ends: 'solved', asked: answers },
      reason: { code: 'head-of-views', ...ofViews(views) },
    };
  }
  const next = task.patterns.find(({ name }) => name === rule.steps);
  if (!next) return { best: solved, reason: { code: 'not-loaded', ...ofViews(views), pattern: rule.steps } };
  return {
    best: { pattern: next, rows: await task.encode(next), ends: 'stepped', asked: undefined },
    otherwise: solved,
    reason: { code: 'steps', ...ofViews(views), pattern: next.name },
  };
}

/** Where every class has one example: the first pattern that moves more than the head, where steps have something to learn. */
async function chooseByViews({ task }: Search, best: Candidate, views: HeldBack | undefined): Promise<Found> {
  const next = task.patterns.find((pattern) => !movesHeadAlone(pattern));
  if (!next || !views) return { best, reason: { code: 'nothing-to-ask' } };
  if (leavesNothing(views)) return { best, reason: { code: 'views', ...ofViews(views) } };
  const rows = await task.encode(next);
  return {
    best: { pattern: next, rows, ends: 'stepped', asked: undefined },
    reason: { code: 'steps-can-learn', ...ofViews(views) },
  };
}

/** Tries patterns on half of the examples of each class, as long as the others surely gain and there is time. */
async function chooseBySteps(search: Search, found: Candidate, patterns: readonly Pattern[]): Promise<Found> {
  const { task, until } = search;
  const { options, budgetMs } = task;
  let best = found;
  let asked: Asked | undefined;
  for (const pattern of patterns) {
    const { steps } = stepsOf(pattern, options);
    if (steps === 0) continue;
    const from = performance.now();
    // What is chosen is adapted to all examples afterwards, which takes about twice as long as the trial.
    const third = from + (until - from) / 3;
    if (from >= third) return { best, reason: { code: 'budget-spent', budgetMs } };
    asked ??= await tryOn(best.pattern, best.rows, splitRows(best.rows), optionsOf(best, options));
    const rows = withoutSpareViews(await task.encode(pattern));
    const answers = await tryWithin(pattern, rows, splitRows(rows), within(pattern, options, third));
    noteTrial(search, pattern, answers, from, { steps, solved: endsSolved(pattern, rows, { steps, rate: 1 }) });
    if (!answers) {
      return { best, reason: { code: 'over-budget', pattern: pattern.name, budgetMs } };
    }
    const { mean, error } = gainOf(asked, answers);
    if (mean <= error) {
      if (pattern === task.patterns[0]) continue;
      return { best, reason: { code: 'gains-too-little', pattern: pattern.name } };
    }
    best = { pattern, rows, ends: 'stepped', asked: answers };
    asked = answers;
  }
  return {
    best,
    reason: best.ends === 'stepped' ? { code: 'gains', pattern: best.pattern.name } : { code: 'no-steps-gain' },
  };
}

async function search(task: AutoTask, began: number): Promise<Found & { readonly trials: readonly PatternTrial[] }> {
  const { patterns, budgetMs } = task;
  const first = patterns[0] as Pattern;
  const none = { steps: 0, rate: first.manifest.rate };
  const encoded = await task.encode(first);
  const rows = withoutViews(encoded);
  const split = splitRows(rows);
  const told = { task, until: began + budgetMs, trials: [] as PatternTrial[] };
  const startAsked = first.leftOut ? await askStart(first, rows, none) : undefined;
  const asked = startAsked ?? (split.asked.length > 0 ? await tryOn(first, rows, split, none) : undefined);
  noteTrial(told, first, asked, began);
  const start = { pattern: first, rows, ends: 'started' as const, asked };
  const { trials } = told;
  if (budgetMs === 0) return { best: start, trials, reason: { code: 'budget-spent', budgetMs } };
  if (task.options.steps === 0) return { best: start, trials, reason: { code: 'no-steps-wanted' } };
  if (first.solve && !canSolve(first, encoded)) {
    return { best: start, trials, reason: { code: 'too-many', ...tooMany(encoded) } };
  }
  const { policy } = task;
  if (policy && first.solve && first.leftOut && performance.now() < told.until) {
    const from = performance.now();
    const viewed = await task.addViews(first, encoded, 'first');
    const views = await askViews(first, viewed);
    trials[0] = { ...(trials[0] as PatternTrial), views };
    const viewing = performance.now() - from;
    if (views) return { ...(await chooseByPolicy(told, { start, encoded: viewed, views, viewing, policy })), trials };
  }
  const { best, views } = first.solve
    ? await chooseHead(told, start, encoded)
    : { best: start, views: await askViews(first, await task.addViews(first, encoded, 'first')) };
  trials[0] = { ...(trials[0] as PatternTrial), views };
  if (performance.now() >= told.until) return { best, trials, reason: { code: 'budget-spent', budgetMs } };
  if (!asked) return { ...(await chooseByViews(told, best, views)), trials };
  if (first.solve && views) {
    const code = leavesNothing(views) ? 'views' : 'tried-head-of-views';
    return { best, trials, reason: { code, ...ofViews(views) } };
  }
  return { ...(await chooseBySteps(told, best, first.solve ? patterns.slice(1) : patterns)), trials };
}

/** Adapts what was chosen to all examples, or what is to be taken where its steps would end after the budget. */
async function adaptWithin(
  { options, budgetMs }: AutoTask,
  { best, otherwise, reason }: Found,
  began: number,
): Promise<{ readonly best: Candidate; readonly adapted: AdaptedValues; readonly reason: Reason }> {
  const adapt = (one: Candidate, more: Partial<StepsOptions> = {}) =>
    adaptPattern(one.pattern, one.rows, { ...options, ...optionsOf(one, options), ...more });
  if (!otherwise || !Number.isFinite(budgetMs)) return { best, adapted: await adapt(best), reason };
  try {
    const onStep = (step: number, loss: number) => {
      if (performance.now() > began + budgetMs) throw new OutOfTime();
      options.onStep?.(step, loss);
    };
    return { best, adapted: await adapt(best, { onStep }), reason };
  } catch (error) {
    if (!(error instanceof OutOfTime)) throw error;
    const spent = reason.code === 'steps' ? { ...reason, code: 'steps-over-budget' as const, budgetMs } : reason;
    return { best: otherwise, adapted: await adapt(otherwise), reason: spent };
  }
}

/**
 * Chooses what moves. Where the bundle has a policy, that says what the loss of views of the examples calls for. Without one, views of one example of each class, asked about at the start, say whether there is something to learn beyond what the
 * network tells already. Where a bundle has heads in closed form, the head is one, made of views of all examples too where there is; where
 * each class has one example, steps of the first pattern below the head go before it. Elsewhere, also where examples have no pixels to make
 * views of, patterns are tried on half of the examples, from the one that moves least to those that move more, as long as the other half gains and there is time. What is chosen is adapted to all examples, and its
 * probabilities are made as sure as its answers were right.
 */
export async function adaptAuto(task: AutoTask): Promise<Chosen> {
  const began = performance.now();
  const { best: wanted, otherwise, isEnd = false, trials, reason: why } = await search(task, began);
  const { best, adapted, reason } = await adaptWithin(task, { best: wanted, otherwise, reason: why }, began);
  const { pattern, rows, ends, asked } = best;
  // A head as it starts is as sure as its scale makes it.
  const told = ends === 'started' && !isEnd ? undefined : asked;
  const started = ends === 'started' ? asked : undefined;
  const values = await finished(pattern, rows, adapted, { asked: told, started }, task.options);
  return {
    pattern,
    adapted: { ...adapted, values },
    steps:
      ends === 'stepped' && !(adapted.solved && movesHeadAlone(pattern)) ? stepsOf(pattern, task.options).steps : 0,
    heldBack: asked && heldBackOf(asked),
    auto: { trials, reason: sayReason(reason) },
    why: reason,
  };
}

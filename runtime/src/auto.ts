import { type AdaptedValues, adaptPattern, type StepsOptions, startBelow } from './adapt.js';
import { type Asked, type HeldBack, heldBackOf, temperatureOf } from './held-back.js';
import { leftOutLogits } from './objectives.js';
import type { Pattern } from './pattern.js';
import type { ProfileValue } from './profile.js';
import { presentClasses, type Rows, type ViewOptions, viewedRows, withoutSpareViews } from './rows.js';
import { gainOf, type Split, splitRows, tryOn } from './trials.js';
import type { AdaptOptions } from './types.js';

/** One pattern that was tried on a part of the examples, and asked about the others. */
export interface PatternTrial {
  readonly pattern: string;
  /** 0 for the start, at which nothing but the head is made of the examples. */
  readonly steps: number;
  /** Of the examples that it had not seen; undefined where every class has but one, or the time was up. */
  readonly heldBack: HeldBack | undefined;
  /** Of the start: of views of the first example of each class, asked about with that one. */
  readonly views?: HeldBack | undefined;
  readonly milliseconds: number;
}

/** What was tried and why the profile has the pattern that it has. */
export interface AutoReport {
  readonly trials: readonly PatternTrial[];
  readonly reason: string;
}

export interface AutoTask {
  /** From the one that moves least to the one that moves most; each moves what the one before it does. */
  readonly patterns: readonly Pattern[];
  /** The examples, encoded for a pattern, and views of those that are alone in their class, or of the first of each. */
  readonly encode: (pattern: Pattern, views?: ViewOptions['of']) => Promise<Rows>;
  readonly budgetMs: number;
  readonly options: AdaptOptions;
}

export interface Chosen {
  readonly pattern: Pattern;
  readonly adapted: AdaptedValues;
  readonly steps: number;
  /** Of examples, asked about by what was adapted to the others. */
  readonly heldBack: HeldBack | undefined;
  readonly auto: AutoReport;
}

const movingEntries = ({ manifest }: Pattern): number => manifest.moving.reduce((sum, { moving }) => sum + moving, 0);

/** From the pattern that moves least to the one that moves most. */
export const nested = (patterns: readonly Pattern[]): Pattern[] =>
  [...patterns].sort((a, b) => movingEntries(a) - movingEntries(b));

/** Thrown out of a trial that takes longer than there is time for. */
class OutOfTime extends Error {}

/** Options of a pattern's own steps, that end when the time is up. */
function within(pattern: Pattern, options: AdaptOptions, until: number): StepsOptions {
  const { steps = pattern.manifest.steps, rate = pattern.manifest.rate } = options;
  const onStep = () => {
    if (performance.now() > until) throw new OutOfTime();
  };
  const { signal } = options;
  return { steps, rate, onStep, ...(signal ? { signal } : {}) };
}

async function tryWithin(pattern: Pattern, rows: Rows, split: Split, options: StepsOptions) {
  try {
    return await tryOn(pattern, rows, split, options);
  } catch (error) {
    if (error instanceof OutOfTime) return undefined;
    throw error;
  }
}

const roundMs = (milliseconds: number): string => `${Math.round(milliseconds)} ms`;

interface Choice {
  /** Undefined for the start. */
  readonly chosen: Pattern | undefined;
  /** What it answered of examples that it had not seen; undefined where views decided. */
  readonly answers?: Asked | undefined;
  readonly report: AutoReport;
}

/**
 * Cross-entropy of views of one example of each class, asked about with that one, from which on steps have something to learn. Of
 * an ImageNet network's photographs nine in ten tasks are below, of hand signs none, of characters one in ten.
 */
const VIEWS_APART = 0.06;

/** How well the start tells views of one example of each class; undefined where there are none. */
async function askViews(pattern: Pattern, rows: Rows): Promise<HeldBack | undefined> {
  const viewed = presentClasses(viewedRows(rows));
  if (!pattern.leftOut || viewed.ways < 2) return undefined;
  const logits = await leftOutLogits(pattern, viewed, startBelow(pattern));
  return heldBackOf({ logits, labels: viewed.labels, counts: viewed.support.map((value) => 1 - value) });
}

/** What is asked about: examples that were held back, with how well the start answers; none where every class has one. */
interface Evidence {
  readonly start: PatternTrial;
  readonly asked: Asked | undefined;
}

const ofViews = ({ loss }: HeldBack): string => `views of the examples have a loss of ${loss.toFixed(3)}`;

/**
 * Tries the head alone first, whose steps take next to no time, then each pattern that moves more. What a network tells from one picture says
 * beforehand whether steps pay: where it does not tell views of the examples, the first pattern below the head is taken unless it loses by more
 * than the standard error; where it does, only if it gains by more than that. A deeper one is tried only where the one before surely gained.
 */
async function chooseByTrials(task: AutoTask, { start, asked }: Evidence, until: number): Promise<Choice> {
  const { patterns, encode, budgetMs, options } = task;
  const [first, next] = patterns as [Pattern, Pattern | undefined];
  const views = next && (await askViews(next, await encode(next)));
  const trials = [{ ...start, views }];
  let best: { readonly asked: Asked | undefined; readonly pattern: Pattern | undefined } = {
    asked,
    pattern: undefined,
  };
  const because = (reason: string): Choice => {
    return { chosen: best.pattern, answers: best.pattern && best.asked, report: { trials, reason } };
  };
  const isFar = views !== undefined && views.loss >= VIEWS_APART;
  if (!asked) {
    if (!next || !views) return because('there is nothing to ask about: one example of each class, and no views');
    if (isFar) best = { asked: undefined, pattern: next };
    return because(`${ofViews(views)}, ${isFar ? 'from which steps can learn' : 'which leaves nothing to learn'}`);
  }
  for (const pattern of patterns) {
    const steps = options.steps ?? pattern.manifest.steps;
    if (steps === 0) continue;
    const from = performance.now();
    // What is chosen is adapted to all examples afterwards, which takes about twice as long as the trial.
    const third = from + (until - from) / 3;
    if (from >= third) return because(`the budget of ${roundMs(budgetMs)} is spent`);
    const rows = withoutSpareViews(await encode(pattern));
    const answers = await tryWithin(pattern, rows, splitRows(rows), within(pattern, options, third));
    const heldBack = answers && heldBackOf(answers);
    trials.push({ pattern: pattern.name, steps, heldBack, views: undefined, milliseconds: performance.now() - from });
    if (!answers) return because(`"${pattern.name}" takes more than is left of the budget of ${roundMs(budgetMs)}`);
    const isNext = pattern === next;
    const { mean, error } = gainOf(isNext ? asked : (best.asked ?? asked), answers);
    const least = isFar ? (isNext ? -error : 0) : error;
    if (mean > least) best = { asked: answers, pattern };
    if (pattern === first) continue;
    if (mean <= least) return because(`examples that were held back do not gain by "${pattern.name}"`);
    if (mean <= error) return because(`examples that were held back gain little by "${pattern.name}"`);
  }
  return because(best.pattern ? `"${best.pattern.name}" gains, and nothing moves more` : 'no steps gain');
}

/**
 * Chooses what moves: starts with a head and nothing else moving, and goes on from the pattern that moves least to those that move more, as
 * long as examples that a pattern has not seen gain by its steps and there is time. A pattern is tried on half of the examples of each class and
 * asked about the others; what is chosen is adapted to all of them, and its probabilities are made as sure as those answers were right. With one
 * example a class, views of the examples decide.
 */
export async function adaptAuto(task: AutoTask): Promise<Chosen> {
  const { patterns, budgetMs, options } = task;
  const began = performance.now();
  const [first, next] = patterns as [Pattern, Pattern | undefined];
  const kept = new Map<Pattern, Promise<Rows>>();
  const encode = (pattern: Pattern): Promise<Rows> => {
    const rows = kept.get(pattern) ?? task.encode(pattern, pattern === next ? 'first' : 'lone');
    kept.set(pattern, rows);
    return rows;
  };
  const none = { ...options, steps: 0, rate: first.manifest.rate };
  const rows = await encode(first);
  const started = await adaptPattern(first, rows, none);
  const split = splitRows(rows);
  const asked = split.asked.length > 0 ? await tryOn(first, rows, split, none) : undefined;
  const heldBack = asked && heldBackOf(asked);
  const start = { pattern: first.name, steps: 0, heldBack, milliseconds: performance.now() - began };
  const { chosen, answers, report } =
    budgetMs === 0
      ? { chosen: undefined, answers: undefined, report: { trials: [start], reason: 'the budget of 0 ms is spent' } }
      : await chooseByTrials({ ...task, encode }, { start, asked }, began + budgetMs);
  const trial = report.trials.find(({ pattern, steps }) =>
    chosen ? pattern === chosen.name && steps > 0 : steps === 0,
  );
  const told = { heldBack: trial?.heldBack, auto: report };
  if (!chosen) return { pattern: first, adapted: started, steps: 0, ...told };
  const { steps = chosen.manifest.steps, rate = chosen.manifest.rate } = options;
  const adapted = await adaptPattern(chosen, withoutSpareViews(await encode(chosen)), { ...options, steps, rate });
  return { pattern: chosen, adapted: answers ? cooled(adapted, temperatureOf(answers)) : adapted, steps, ...told };
}

/** The same with logits divided by a temperature. Steps make a profile surer of its examples than it is right about others. */
function cooled(adapted: AdaptedValues, temperature: number): AdaptedValues {
  const values = new Map(adapted.values);
  for (const name of ['head.weight', 'head.bias']) {
    const { shape, data } = values.get(name) as ProfileValue;
    values.set(name, { shape, data: data.map((value) => value / temperature) });
  }
  return { ...adapted, values };
}

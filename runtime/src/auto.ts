import { type AdaptedValues, adaptPattern, type StepsOptions, startBelow } from './adapt.js';
import { type Asked, type HeldBack, heldBackOf, temperatureOf } from './held-back.js';
import { leftOutLogits } from './objectives.js';
import type { Pattern } from './pattern.js';
import type { ProfileValue } from './profile.js';
import type { Rows } from './rows.js';
import { gainOf, type Split, splitRows, tryOn } from './trials.js';
import type { AdaptOptions } from './types.js';

/** One pattern that was tried on a part of the examples, and asked about the others. */
export interface PatternTrial {
  readonly pattern: string;
  /** 0 for the start, at which nothing but the head is made of the examples. */
  readonly steps: number;
  /** Of the examples that it had not seen; undefined where every class has but one, or the time was up. */
  readonly heldBack: HeldBack | undefined;
  /** Of views of examples that are alone in their class, asked about at the start; where these decided. */
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
  /** The examples, encoded for a pattern. */
  readonly encode: (pattern: Pattern) => Promise<Rows>;
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

/** Cross-entropy of views of examples, asked about with prototypes of the examples, from which on steps have something to learn. */
const VIEWS_APART = 0.06;

/** With one example of each class, the only question is whether the start tells views of it apart already. */
async function chooseByViews(start: PatternTrial, rows: Rows, pattern: Pattern): Promise<Choice> {
  const counts = rows.support.map((value) => 1 - value);
  const logits = pattern.leftOut && (await leftOutLogits(pattern, rows, startBelow(pattern)));
  const views = logits && heldBackOf({ logits, labels: rows.labels, counts });
  const trials = [{ ...start, views }];
  if (!views) {
    const reason = 'there is nothing to ask about: one example of each class, and no views';
    return { chosen: undefined, report: { trials, reason } };
  }
  const apart = views.loss < VIEWS_APART;
  const loss = views.loss.toFixed(3);
  const why = apart ? 'which leaves nothing to learn' : 'from which steps can learn';
  const reason = `views of the examples have a loss of ${loss}, ${why}`;
  return { chosen: apart ? undefined : pattern, report: { trials, reason } };
}

/**
 * Tries the head alone first, whose steps take next to no time, then each pattern that moves more. Steps pay more often than not, and more
 * with all examples than with a part of them: the first pattern below the head is taken unless it loses by more than the standard error,
 * a deeper one only where it gains, and it is tried only where the one before gained by more than that.
 */
async function chooseByTrials(task: AutoTask, start: PatternTrial, asked: Asked, split: Split, until: number) {
  const { patterns, encode, budgetMs, options } = task;
  const trials = [start];
  let best = { asked, pattern: undefined as Pattern | undefined };
  const because = (reason: string): Choice => {
    return { chosen: best.pattern, answers: best.asked, report: { trials, reason } };
  };
  for (const [place, pattern] of patterns.entries()) {
    const steps = options.steps ?? pattern.manifest.steps;
    if (steps === 0) continue;
    const from = performance.now();
    // What is chosen is adapted to all examples afterwards, which takes about twice as long as the trial.
    const third = from + (until - from) / 3;
    if (from >= third) return because(`the budget of ${roundMs(budgetMs)} is spent`);
    const rows = await encode(pattern);
    const answers = await tryWithin(pattern, rows, split, within(pattern, options, third));
    const heldBack = answers && heldBackOf(answers);
    trials.push({ pattern: pattern.name, steps, heldBack, milliseconds: performance.now() - from });
    if (!answers) return because(`"${pattern.name}" takes more than is left of the budget of ${roundMs(budgetMs)}`);
    const { mean, error } = gainOf(place === 1 ? asked : best.asked, answers);
    if (mean > (place === 1 ? -error : 0)) best = { asked: answers, pattern };
    else if (place > 0) return because(`examples that were held back lose by "${pattern.name}"`);
    if (place > 0 && mean <= error) return because(`examples that were held back gain little by "${pattern.name}"`);
  }
  return because(best.pattern ? `"${best.pattern.name}" gains, and nothing moves more` : 'no steps gain');
}

/**
 * Chooses what moves: starts with a head and nothing else moving, and goes on from the pattern that moves least to those that move more, as
 * long as examples that a pattern has not seen gain by its steps and there is time. A pattern is tried on half of the examples of each class and
 * asked about the others; what is chosen is adapted to all of them, and its probabilities are made as sure as those answers were right. With one
 * example a class, views decide.
 */
export async function adaptAuto(task: AutoTask): Promise<Chosen> {
  const { patterns, budgetMs, options } = task;
  const began = performance.now();
  const [first, next] = patterns as [Pattern, Pattern | undefined];
  const kept = new Map<Pattern, Promise<Rows>>();
  const encode = (pattern: Pattern): Promise<Rows> => {
    const rows = kept.get(pattern) ?? task.encode(pattern);
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
  const stay = (reason: string): Choice => ({ chosen: undefined, report: { trials: [start], reason } });
  const choose = async (): Promise<Choice> => {
    if (budgetMs === 0) return stay(`the budget of ${roundMs(budgetMs)} is spent`);
    if (asked) return chooseByTrials({ ...task, encode }, start, asked, split, began + budgetMs);
    return next ? chooseByViews(start, await encode(next), next) : stay('one example of each class, and one pattern');
  };
  const { chosen, answers, report } = await choose();
  const trial = report.trials.find(({ pattern, steps }) =>
    chosen ? pattern === chosen.name && steps > 0 : steps === 0,
  );
  const told = { heldBack: trial?.heldBack, auto: report };
  if (!chosen) return { pattern: first, adapted: started, steps: 0, ...told };
  const { steps = chosen.manifest.steps, rate = chosen.manifest.rate } = options;
  const adapted = await adaptPattern(chosen, await encode(chosen), { ...options, steps, rate });
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

import { Tensor } from 'onnxruntime-common';
import { type AdaptedValues, adaptPattern, type StepsOptions, startBelow } from './adapt.js';
import { type Asked, askedRows, type HeldBack, heldBackOf, temperatureOf } from './held-back.js';
import { leftOutLogits } from './objectives.js';
import type { Pattern } from './pattern.js';
import type { ProfileValue } from './profile.js';
import { rowLoss } from './row-loss.js';
import { type Rows, takeRows } from './rows.js';
import { runSession } from './run-session.js';
import { dataOf } from './tensors.js';
import type { AdaptOptions } from './types.js';

/** One pattern that was tried on a part of the examples, and asked about the others. */
export interface PatternTrial {
  readonly pattern: string;
  /** 0 for the start, at which nothing but the head is made of the examples. */
  readonly steps: number;
  /** Of the examples that it had not seen; undefined where every class has but one. */
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
  /** Of the examples, each asked about by what was adapted to the other half. */
  readonly heldBack: HeldBack | undefined;
  readonly auto: AutoReport;
}

const movingEntries = ({ manifest }: Pattern): number => manifest.moving.reduce((sum, { moving }) => sum + moving, 0);

/** From the pattern that moves least to the one that moves most. */
export const nested = (patterns: readonly Pattern[]): Pattern[] =>
  patterns.slice().sort((a, b) => movingEntries(a) - movingEntries(b));

/** How many standard errors the examples that were held back have to gain for a deeper pattern to be taken. */
const CERTAINTY = 1;

/** Two halves of the examples of every class that has more than one; those that are alone are in both. */
function halvesOf(rows: Rows): readonly [readonly number[], readonly number[]] {
  const seen = new Map<number, number>();
  const place = new Map<number, number>();
  for (const [i, example] of rows.examples.entries()) {
    if (place.has(example)) continue;
    const label = rows.labels[i] as number;
    place.set(example, seen.get(label) ?? 0);
    seen.set(label, (seen.get(label) ?? 0) + 1);
  }
  const half = (which: 0 | 1) =>
    [...rows.examples.keys()].filter((i) => {
      const alone = seen.get(rows.labels[i] as number) === 1;
      return alone || (place.get(rows.examples[i] as number) as number) % 2 === which;
    });
  return [half(0), half(1)];
}

const tensorsOf = (values: ReadonlyMap<string, ProfileValue>) =>
  Object.fromEntries(Array.from(values, ([name, { shape, data }]) => [name, new Tensor('float32', data, shape)]));

/** Log-probabilities of rows by what others were adapted to. */
async function ask(pattern: Pattern, { values }: Pick<AdaptedValues, 'values'>, rows: Rows): Promise<Asked> {
  const { probabilities } = await runSession(pattern.predict, { ...tensorsOf(values), ...rows.encoded });
  return {
    logits: dataOf(probabilities).map(Math.log),
    labels: rows.labels,
    counts: new Float32Array(rows.labels.length).fill(1),
  };
}

/** Cross-entropies at the temperature that suits them best: what is compared is what was learned, not how sure it is. */
function lossesOf(asked: Asked): number[] {
  const temperature = temperatureOf(asked);
  return askedRows(asked).map(({ row, label }) =>
    rowLoss(
      row.map((value) => value / temperature),
      label,
    ),
  );
}

const join = (parts: readonly Asked[]): Asked => ({
  logits: Float32Array.from(parts.flatMap(({ logits }) => [...logits])),
  labels: Int32Array.from(parts.flatMap(({ labels }) => [...labels])),
  counts: Float32Array.from(parts.flatMap(({ counts }) => [...counts])),
});

/** Mean of differences, and its standard error. */
function meanOf(differences: readonly number[]): { readonly mean: number; readonly error: number } {
  const mean = differences.reduce((sum, value) => sum + value, 0) / differences.length;
  const variance = differences.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (differences.length - 1);
  return { mean, error: Math.sqrt(variance / differences.length) };
}

/** Whether `to` is surely better than `from`, of the same rows. */
function gains(from: Asked, to: Asked): boolean {
  const [before, after] = [lossesOf(from), lossesOf(to)];
  const { mean, error } = meanOf(before.map((loss, i) => loss - (after[i] as number)));
  return mean > CERTAINTY * error;
}

/** Both halves, each adapted to by itself and asked about the other; one only, where that gains nothing. */
async function cross(
  pattern: Pattern,
  rows: Rows,
  options: StepsOptions,
  known: readonly Asked[] | undefined,
): Promise<Asked[]> {
  const halves = halvesOf(rows);
  const results: Asked[] = [];
  for (const [which, half] of halves.entries()) {
    const other = halves[1 - which] as readonly number[];
    const unseen = takeRows(
      rows,
      other.filter((i) => !half.includes(i)),
    );
    if (unseen.labels.length === 0) continue;
    const adapted = await adaptPattern(pattern, takeRows(rows, half), options);
    results.push(await ask(pattern, adapted, unseen));
    const before = known?.[which];
    if (before && !gains(before, results[which] as Asked)) break;
  }
  return results;
}

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

async function tryPattern(pattern: Pattern, rows: Rows, options: StepsOptions, best: readonly Asked[]) {
  try {
    return await cross(pattern, rows, options, best);
  } catch (error) {
    if (error instanceof OutOfTime) return undefined;
    throw error;
  }
}

const roundMs = (milliseconds: number): string => `${Math.round(milliseconds)} ms`;

/** Cross-entropy of views of examples, asked about with prototypes of the examples, from which on steps have something to learn. */
const VIEWS_APART = 0.07;

/** How well the start tells views of examples that are alone in their class; undefined where there are none. */
async function askViews(pattern: Pattern, rows: Rows): Promise<HeldBack | undefined> {
  if (!pattern.leftOut) return undefined;
  const logits = await leftOutLogits(pattern, rows, startBelow(pattern));
  return heldBackOf({ logits, labels: rows.labels, counts: rows.support.map((value) => 1 - value) });
}

interface Choice {
  readonly chosen: Pattern | undefined;
  /** What examples that were held back were answered, half by half. */
  readonly best: readonly Asked[];
  readonly report: AutoReport;
}

/** With one example of each class, the only question is whether views of it are told apart already. */
async function chooseByViews(
  start: PatternTrial,
  best: readonly Asked[],
  rows: Rows,
  pattern: Pattern,
): Promise<Choice> {
  const told = await askViews(pattern, rows);
  const trials = [{ ...start, views: told }];
  if (!told)
    return {
      chosen: undefined,
      best,
      report: { trials, reason: 'there is nothing to ask about: one example of each class, and no views' },
    };
  const apart = told.loss < VIEWS_APART;
  const loss = told.loss.toFixed(3);
  const reason = `views of the examples have a loss of ${loss}, ${apart ? 'which leaves nothing to learn' : 'from which steps can learn'}`;
  return { chosen: apart ? undefined : pattern, best, report: { trials, reason } };
}

/** What is tried: the head alone first, whose steps take next to no time, and then each pattern that moves more. */
async function chooseByHalves(
  task: AutoTask,
  start: PatternTrial,
  first: readonly Asked[],
  until: number,
): Promise<Choice> {
  const { patterns, encode, budgetMs, options } = task;
  const trials = [start];
  let best = first;
  let chosen: Pattern | undefined;
  const because = (reason: string): Choice => ({ chosen, best, report: { trials, reason } });
  for (const [place, pattern] of patterns.entries()) {
    const steps = options.steps ?? pattern.manifest.steps;
    if (steps === 0) continue;
    const from = performance.now();
    // What is chosen is adapted to all examples afterwards, which takes about as long as both halves.
    const half = from + (until - from) / 2;
    if (from >= half) return because(`the budget of ${roundMs(budgetMs)} is spent`);
    const rows = await encode(pattern);
    const asked = await tryPattern(pattern, rows, within(pattern, options, half), best);
    const heldBack = asked && heldBackOf(join(asked));
    trials.push({ pattern: pattern.name, steps, heldBack, milliseconds: performance.now() - from });
    if (!asked) return because(`"${pattern.name}" takes more than is left of the budget of ${roundMs(budgetMs)}`);
    if (asked.length === best.length && gains(join(best), join(asked))) {
      [best, chosen] = [asked, pattern];
      continue;
    }
    // A head that gains nothing says little of what is below it.
    if (place > 0) return because(`examples that were held back gain nothing by "${pattern.name}"`);
  }
  return because(
    chosen ? `examples that were held back gain most by "${chosen.name}"` : 'no pattern takes steps that gain',
  );
}

/**
 * Chooses what moves: starts with a head and nothing else moving, and goes on from the pattern that moves least to those that move more, as
 * long as examples that a pattern has not seen gain by its steps and there is time. A pattern is tried on half of the examples of each class and
 * asked about the others, and the other way round; what is chosen is adapted to all of them. With one example a class, views decide.
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
  const halves = await cross(first, rows, none, undefined);
  const heldBack = halves.length > 0 ? heldBackOf(join(halves)) : undefined;
  const start = { pattern: first.name, steps: 0, heldBack, milliseconds: performance.now() - began };
  const { chosen, best, report } =
    halves.length === 0 && next && budgetMs > 0
      ? await chooseByViews(start, halves, await encode(next), next)
      : await chooseByHalves({ ...task, encode }, start, halves, began + budgetMs);
  const told = { heldBack: best.length > 0 ? heldBackOf(join(best)) : undefined, auto: report };
  if (!chosen) return { pattern: first, adapted: started, steps: 0, ...told };
  const { steps = chosen.manifest.steps, rate = chosen.manifest.rate } = options;
  const adapted = await adaptPattern(chosen, await encode(chosen), { ...options, steps, rate });
  return { pattern: chosen, adapted, steps, ...told };
}

import { type Interval, meanInterval, median } from '../statistics.js';
import { tasksOf } from './measure-patterns.js';
import { type MeasuredPattern, type PatternResult, SearchError, type SearchOutcome } from './record.js';

export interface ChoiceOptions {
  /** Percentage points that a pattern may be below the reference. */
  readonly budget: number;
  /** What accuracies are compared with: the pattern in which everything moves, or the most accurate one. */
  readonly reference: 'dense' | 'best';
  /** Patterns that there are, where more than those that were to be tried. */
  readonly of?: number;
}

/** The accuracies at the rate whose mean over `tasks` tasks is highest; the first such. A task that diverged counts 0. */
function atBestRate({ accuracies }: Pick<MeasuredPattern, 'accuracies'>, tasks: number) {
  const candidates = accuracies.map(({ rate, tasks: all }) => {
    const given = all.slice(0, tasks);
    const values = given.map((accuracy) => accuracy ?? 0);
    const diverged = given.filter((accuracy) => accuracy === null).length;
    return { rate, values, diverged, accuracy: meanInterval(values) };
  });
  return candidates.reduce((best, each) => (each.accuracy.mean > best.accuracy.mean ? each : best));
}

const isBetter = (a: Scored, b: Scored): boolean =>
  a.accuracy.mean >= b.accuracy.mean &&
  a.milliseconds.adapt <= b.milliseconds.adapt &&
  (a.accuracy.mean > b.accuracy.mean || a.milliseconds.adapt < b.milliseconds.adapt);

type Scored = Pick<PatternResult, 'accuracy' | 'milliseconds' | 'layers'>;

/** Faster first; of equally fast ones the more accurate, then the one that moves fewer layers. */
const bySpeed = (a: Scored, b: Scored): number =>
  a.milliseconds.adapt - b.milliseconds.adapt || b.accuracy.mean - a.accuracy.mean || a.layers.length - b.layers.length;

/** Mean over tasks of one accuracy less another on the same task. */
function pairedDifference(values: readonly number[], reference: readonly number[]): Interval {
  return meanInterval(values.map((value, task) => value - (reference[task] as number)));
}

function afterOneStep(
  oneStep: MeasuredPattern['oneStep'],
  tasks: number,
  reference: readonly number[],
): Pick<PatternResult, 'oneStep'> {
  if (!oneStep) return {};
  const { rate, values, accuracy } = atBestRate(oneStep, tasks);
  const difference = pairedDifference(values, reference);
  return { oneStep: { rate, accuracy, difference, milliseconds: median(oneStep.adapt) } };
}

/**
 * Of the patterns that were measured by now, the fastest whose accuracy is at most `budget` points below the reference's, over the tasks that all of them
 * were measured on; undefined before the first of `expected` was, the dense pattern, which moves most layers and is always
 * within budget of itself. A pattern that diverged on every task is left out; throws {@link SearchError} where that is
 * the dense one.
 */
export function chooseLayerPattern(
  measured: ReadonlyMap<string, MeasuredPattern>,
  expected: readonly string[],
  { budget, reference: kind, of = expected.length }: ChoiceOptions,
): SearchOutcome | undefined {
  const names = expected.filter((name) => tasksOf(measured.get(name)) > 0);
  if (names.length === 0 || names[0] !== expected[0]) return undefined;
  const tasks = Math.min(...names.map((name) => tasksOf(measured.get(name))));
  const scored = names.flatMap((name) => {
    const pattern = measured.get(name) as MeasuredPattern;
    // Without a time it cannot be compared; it never reached the end of its steps either.
    if (pattern.adapt.length === 0) return [];
    const adapt = median(pattern.adapt);
    const rerun = pattern.rerun.length > 0 ? median(pattern.rerun) : adapt;
    const milliseconds = { adapt, encode: median(pattern.encode), rerun };
    return [{ name, layers: pattern.layers, milliseconds, ...atBestRate(pattern, tasks) }];
  });
  const layers = Math.max(...names.map((name) => measured.get(name)?.layers.length ?? 0));
  const dense = scored.find((pattern) => pattern.layers.length === layers);
  if (!dense) throw new SearchError('the dense pattern diverged on every task, at every rate; expected a lower rate');
  const most = Math.max(...scored.map(({ accuracy }) => accuracy.mean));
  const best = scored.filter(({ accuracy }) => accuracy.mean === most).sort(bySpeed)[0] as (typeof scored)[number];
  const reference = kind === 'dense' ? dense : best;
  // Means of shares are not exact: a difference of exactly the budget is within it.
  const least = reference.accuracy.mean - budget / 100 - 1e-9;
  const results = scored.map(({ values, ...each }): PatternResult => {
    const { adapt, rerun } = each.milliseconds;
    return {
      ...each,
      difference: pairedDifference(values, reference.values),
      ...afterOneStep(measured.get(each.name)?.oneStep, tasks, reference.values),
      saved: { masking: dense.milliseconds.adapt - rerun, caching: rerun - adapt },
      withinBudget: each.accuracy.mean >= least,
      pareto: !scored.some((other) => isBetter(other, each)),
    };
  });
  const chosen = results.filter(({ withinBudget }) => withinBudget).sort(bySpeed)[0] as PatternResult;
  return {
    tasks,
    ...(names.length < of ? { of } : {}),
    budget,
    dense: dense.name,
    reference: reference.name,
    chosen: chosen.name,
    results: results.sort(bySpeed),
  };
}

/** What is known of a task: statistics of it, and the share that is right in each way to end. */
export interface KnownTask {
  readonly statistics: Readonly<Record<string, number>>;
  readonly right: Readonly<Record<string, number>>;
}

/** Places of values in their order, from 1; equal ones share the mean of theirs. */
function ranksOf(values: readonly number[]): number[] {
  return values.map((value) => {
    const below = values.filter((other) => other < value).length;
    const same = values.filter((other) => other === value).length;
    return below + (same + 1) / 2;
  });
}

/** Spearman's rank correlation, -1..1; 0 where either has no order. */
export function rankCorrelation(a: readonly number[], b: readonly number[]): number {
  const [x, y] = [ranksOf(a), ranksOf(b)];
  const middle = (a.length + 1) / 2;
  let [both, first, second] = [0, 0, 0];
  x.forEach((rank, i) => {
    const [dx, dy] = [rank - middle, (y[i] as number) - middle];
    both += dx * dy;
    first += dx * dx;
    second += dy * dy;
  });
  return first > 0 && second > 0 ? both / Math.sqrt(first * second) : 0;
}

/** A policy: one end below a bound of a statistic, another from it on. */
interface Bound {
  readonly below: number;
  readonly ends: readonly [string, string];
}

const endFor = ({ below, ends }: Bound, value: number): string => ends[value < below ? 0 : 1];

/** The bound and ends that most is right with on tasks. */
function bestBound(tasks: readonly KnownTask[], statistic: string, ends: readonly string[]): Bound {
  const values = tasks.map((task) => task.statistics[statistic] as number);
  let best: { readonly bound: Bound; readonly right: number } | undefined;
  const sorted = [...new Set(values)].sort((a, b) => a - b);
  const between = sorted.slice(1).map((value, i) => (value + (sorted[i] as number)) / 2);
  for (const below of [Number.NEGATIVE_INFINITY, ...between]) {
    for (const first of ends) {
      for (const second of ends) {
        const bound: Bound = { below, ends: [first, second] };
        const right = tasks.reduce(
          (sum, task, i) => sum + (task.right[endFor(bound, values[i] as number)] as number),
          0,
        );
        if (!best || right > best.right) best = { bound, right };
      }
    }
  }
  if (!best) throw new Error('expected ends to choose among, got none');
  return best.bound;
}

/** The share right of each task by a policy with one bound of a statistic, which the other half of the tasks chose: even ones for odd ones. */
export function crossValidated(tasks: readonly KnownTask[], statistic: string, ends: readonly string[]): number[] {
  const bounds = [1, 0].map((half) =>
    bestBound(
      tasks.filter((_, i) => i % 2 === half),
      statistic,
      ends,
    ),
  );
  return tasks.map((task, i) => {
    const end = endFor(bounds[i % 2] as Bound, task.statistics[statistic] as number);
    return task.right[end] as number;
  });
}

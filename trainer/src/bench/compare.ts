import { isDeepStrictEqual } from 'node:util';
import type { BenchRecord, BenchResult, Timing } from './record.js';

/** Figures of a result that are compared. */
const comparedTimes = ['adapt', 'encode', 'step', 'predict'] as const;
export type ComparedTime = (typeof comparedTimes)[number];

export interface TimeChange {
  /** Medians, milliseconds. */
  readonly before: number;
  readonly after: number;
  /** `after / before`: below 1 is faster. */
  readonly ratio: number;
  /**
   * `faster` or `slower` where the middle halves of the runs do not overlap; `same` where they do; `few` where either has
   * fewer than `ENOUGH_RUNS` runs, of which quartiles say nothing.
   */
  readonly verdict: 'faster' | 'slower' | 'same' | 'few';
}

export interface BenchChange {
  readonly result: BenchResult;
  readonly times: Readonly<Record<ComparedTime, TimeChange>>;
  /** Percentage points of accuracy, and whether the 95 % intervals do not overlap; null where either is unknown. */
  readonly accuracy: { readonly points: number; readonly beyondNoise: boolean } | null;
}

export interface BenchComparison {
  /** What differs beside the times, so that a ratio may not be what it seems: machine, runtimes, bundles, threads. */
  readonly differences: readonly string[];
  /** Results of both, in the second's order. */
  readonly changes: readonly BenchChange[];
  /** Results that only one of the two has. */
  readonly onlyBefore: readonly BenchResult[];
  readonly onlyAfter: readonly BenchResult[];
}

/** Runs that quartiles are taken from; fewer decide nothing. */
const ENOUGH_RUNS = 5;

/** Compares two benches, result by result: those of one bundle, backend, pattern, task and number of steps. */
export function compareBenches(before: BenchRecord, after: BenchRecord): BenchComparison {
  const keyOf = ({ bundle, backend, pattern, ways, shots, steps }: BenchResult, { bundles }: BenchRecord) => {
    // A label may hold what differs between the two: bundles are the same by name, where only one has it.
    const name = bundles.find(({ label }) => label === bundle)?.name ?? bundle;
    const unique = bundles.filter((each) => each.name === name).length === 1;
    return JSON.stringify([unique ? name : bundle, backend, pattern, ways, shots, steps]);
  };
  const old = new Map(before.results.map((result) => [keyOf(result, before), result]));
  const fresh = new Map(after.results.map((result) => [keyOf(result, after), result]));
  const changes = [...fresh].flatMap(([key, result]) => {
    const earlier = old.get(key);
    return earlier ? [changeOf(earlier, result)] : [];
  });
  return {
    differences: differencesOf(before, after),
    changes,
    onlyBefore: [...old].filter(([key]) => !fresh.has(key)).map(([, result]) => result),
    onlyAfter: [...fresh].filter(([key]) => !old.has(key)).map(([, result]) => result),
  };
}

function changeOf(before: BenchResult, after: BenchResult): BenchChange {
  const enough = Math.min(before.runs, after.runs) >= ENOUGH_RUNS;
  const times = Object.fromEntries(
    comparedTimes.map((name) => [name, timeChange(before[name], after[name], enough)]),
  ) as Record<ComparedTime, TimeChange>;
  const [old, fresh] = [before.accuracy, after.accuracy];
  const difference = old && fresh && fresh.mean - old.mean;
  const accuracy =
    difference === null
      ? null
      : {
          points: 100 * difference,
          beyondNoise: Math.abs(difference) > (old?.halfWidth ?? 0) + (fresh?.halfWidth ?? 0),
        };
  return { result: after, times, accuracy };
}

function timeChange(before: Timing, after: Timing, enough: boolean): TimeChange {
  const faster = after.p75 < before.p25 && 'faster';
  const slower = after.p25 > before.p75 && 'slower';
  return {
    before: before.median,
    after: after.median,
    ratio: after.median / before.median,
    verdict: enough ? faster || slower || 'same' : 'few',
  };
}

function differencesOf(before: BenchRecord, after: BenchRecord): string[] {
  const told = (what: string, a: unknown, b: unknown) =>
    isDeepStrictEqual(a, b) ? [] : [`${what}: ${a ?? 'the default'} before, ${b ?? 'the default'} after`];
  const versionOf = ({ backends }: BenchRecord, name: string) => backends.find((each) => each.name === name)?.version;
  const shared = before.backends.filter(({ name }) => versionOf(after, name) !== undefined);
  return [
    ...told('processor', before.machine.cpu, after.machine.cpu),
    ...told('cores', before.machine.cores, after.machine.cores),
    ...told('platform', before.machine.platform, after.machine.platform),
    ...told('Node', before.machine.node, after.machine.node),
    ...shared.flatMap(({ name, version }) => told(`backend ${name}`, version, versionOf(after, name))),
    ...told('threads', before.options.threads, after.options.threads),
    ...before.bundles.flatMap(({ name, version, digest }) => {
      const others = after.bundles.filter((each) => each.name === name);
      if (others.length === 0 || others.some((each) => each.digest === digest)) return [];
      const text = (v: string, d: string) => `${v} (${d.slice(0, 8)})`;
      return others.flatMap((each) => told(`bundle ${name}`, text(version, digest), text(each.version, each.digest)));
    }),
  ];
}

import { median } from '../statistics.js';
import { type OwnMachine, type PeerRecord, peerTaskText, type TimedTask } from './peer-record.js';

/** Whet over another engine: above 1 is behind. */
export interface PeerRatios {
  readonly milliseconds: number;
  /** Undefined where Whet's processor time was not measured. */
  readonly processor: number | undefined;
}

/** What another engine took for the same task, medians in milliseconds, and its ratios or why there are none. */
export type PeerComparison = {
  readonly milliseconds: number;
  readonly processor: number;
} & (
  | { readonly kind: 'same'; readonly ratios: PeerRatios }
  | { readonly kind: 'another machine' }
  | { readonly kind: 'threads not known' }
  /** Losses that differ first before step `at`, counted from 0. */
  | { readonly kind: 'other losses'; readonly at: number; readonly expected: number; readonly got: number }
  | { readonly kind: 'losses not known' }
);

/** How far losses of the same steps may be apart, of their size: four digits are the same. */
const TOLERANCE = 1e-4;
/** And by how much at least: what float32 leaves of a loss near 0 is rounding. */
const ROUNDING = 1e-6;

/** Sets what Whet took beside what a file of another engine says of the same task; undefined where it says nothing. */
export function comparePeer(own: TimedTask, { machine, results }: PeerRecord): PeerComparison | undefined {
  const name = peerTaskText(own.task);
  const result = results.find((each) => peerTaskText(each) === name);
  if (!result) return undefined;
  const times = { milliseconds: median(result.milliseconds), processor: median(result.processor) };
  const { losses } = own;
  if (!losses) return { ...times, kind: 'losses not known' };
  const at = result.losses.findIndex((loss, i) => !isClose(losses[i], loss));
  if (at >= 0 || losses.length !== result.losses.length) {
    const place = at >= 0 ? at : result.losses.length;
    const [expected = Number.NaN, got = Number.NaN] = [losses[place], result.losses[place]];
    return { ...times, kind: 'other losses', at: place, expected, got };
  }
  if (machineDifferences(own.machine, machine).length > 0) return { ...times, kind: 'another machine' };
  if (own.machine.threads === undefined) return { ...times, kind: 'threads not known' };
  const ratios = {
    milliseconds: own.milliseconds / times.milliseconds,
    processor: own.processor === undefined ? undefined : own.processor / times.processor,
  };
  return { ...times, kind: 'same', ratios };
}

const isClose = (expected: number | undefined, got: number): boolean =>
  expected !== undefined && Math.abs(expected - got) <= Math.max(ROUNDING, TOLERANCE * Math.abs(expected));

/** In what machines differ, so that their times say nothing of engines: `processor: A here, B there`. */
export function machineDifferences(here: OwnMachine, there: PeerRecord['machine']): string[] {
  const names = { cpu: 'processor', cores: 'cores', threads: 'threads' } as const;
  return (['cpu', 'cores', 'threads'] as const)
    .filter((field) => here[field] !== undefined && here[field] !== there[field])
    .map((field) => `${names[field]}: ${here[field]} here, ${there[field]} there`);
}

import type { AdaptResult, AdaptTimings, Measurement, Prediction, Profile } from '@whet/runtime';
import { type Interval, meanInterval, median } from '../statistics.js';
import { Calibration } from './calibration.js';

/** What a row did on a task. */
export interface TaskOutcome {
  /** The right class of each query, and what was predicted: at 0 steps, and adapted. */
  readonly expected: readonly string[];
  readonly startPredictions: readonly Prediction[];
  readonly predictions: readonly Prediction[];
  /** Of images of a class that it was not adapted to. */
  readonly strangers?: readonly Prediction[];
  readonly adapted: Pick<AdaptResult, 'profile' | 'losses' | 'loss' | 'spared'>;
  /** That of 0 steps. */
  readonly start?: Profile;
  /** Milliseconds; of `predict` those of each query. */
  readonly times: AdaptTimings & { readonly predict: readonly number[] };
}

/** Accuracy of a row at 0 steps, and what the steps added to it on the same queries. Shares, 0..1. */
export interface InterimRow {
  readonly name: string;
  readonly start: Interval;
  readonly gain: Interval;
}

/** Shares, 0..1; the area is a mean over tasks. */
export interface ToldStrangers {
  /** That an image of a class is more familiar than one of none: the area under the ROC curve. */
  readonly area: number;
  /** Of images of its classes, those that are not called unknown; of the others, those that are. */
  readonly kept: number;
  readonly found: number;
}

/** Figures of a row over tasks. */
export interface MeasuredRow extends InterimRow {
  readonly measurement: Measurement;
  /** The first row whose 0 steps predict the same: its own name, or another's. */
  readonly startOf: string;
  /** Expected calibration errors of all queries. */
  readonly calibration: { readonly start: number; readonly adapted: number };
  /** How images of a further class are told from those of its own; null where there are none, or profiles cannot tell. */
  readonly strangers: ToldStrangers | null;
  /** Tasks whose steps were spared. */
  readonly spared: number;
  /** How far each value below the head moved, as a share of its length at the start: means over tasks. */
  readonly moved: Readonly<Record<string, number>>;
  /** Medians of the support loss before and after the steps; null where there are none. */
  readonly loss: { readonly start: number; readonly end: number } | null;
  /** Of each task. */
  readonly accuracies: readonly number[];
}

/** What is known before anything is measured. */
type Given = Omit<
  Measurement,
  'pattern' | 'steps' | 'accuracy' | 'halfWidth' | 'startAccuracy' | 'milliseconds' | 'storedBytes'
>;

/** How much probabilities of one start may differ by the rounding of two graphs. */
const SAME = 1e-3;

/** Paired differences of two rows on the same tasks. */
export const pairedDifference = (of: readonly number[], from: readonly number[]): Interval =>
  meanInterval(of.map((accuracy, task) => accuracy - (from[task] as number)));

const shareRight = (predictions: readonly Prediction[], expected: readonly string[]): number =>
  predictions.filter(({ label }, i) => label === expected[i]).length / expected.length;

const familiarities = (predictions: readonly Prediction[]): number[] =>
  predictions.flatMap(({ familiarity }) => (familiarity === undefined ? [] : [familiarity]));

const shareOf = (values: readonly number[], is: (value: number) => boolean): number =>
  values.filter(is).length / values.length;

/** The share of pairs of which the first is above the second, pairs of the same value half. */
function rocArea(above: readonly number[], below: readonly number[]): number {
  const wins: number[] = above.flatMap((one) => below.map((other) => (one > other ? 1 : one === other ? 0.5 : 0)));
  return wins.reduce((sum, value) => sum + value, 0) / wins.length;
}

/** `|v - s| / |s|` of each value that both profiles have, but the head's. */
function shareMoved({ values }: Profile, start: Profile): [string, number][] {
  return [...values].flatMap(([name, { data }]): [string, number][] => {
    const from = start.values.get(name)?.data;
    if (from?.length !== data.length || name.startsWith('head.') || name.startsWith('familiar.')) return [];
    let [away, length] = [0, 0];
    for (let i = 0; i < data.length; i++) {
      away += ((data[i] as number) - (from[i] as number)) ** 2;
      length += (from[i] as number) ** 2;
    }
    return [[name, Math.sqrt(away / (length || 1))]];
  });
}

/** Collects what a row does on one task after another. */
export class RowOutcomes {
  readonly #accuracies: number[] = [];
  readonly #starts: number[] = [];
  readonly #calibration = { start: new Calibration(), adapted: new Calibration() };
  readonly #losses = { start: [] as number[], end: [] as number[] };
  readonly #strangers = { area: [] as number[], kept: [] as number[], found: [] as number[] };
  readonly #steps: number[] = [];
  readonly #moved = new Map<string, number[]>();
  readonly #times = { adapt: [] as number[], encode: [] as number[], steps: [] as number[], predict: [] as number[] };
  #storedBytes = 0;
  #spared = 0;
  /** Of the last task; and rows that once had others. */
  #startPredictions: readonly Prediction[] = [];
  readonly #otherStarts = new Set<RowOutcomes>();

  constructor(readonly name: string) {}

  add({ expected, startPredictions, predictions, strangers = [], adapted, start, times }: TaskOutcome): void {
    this.#accuracies.push(shareRight(predictions, expected));
    this.#starts.push(shareRight(startPredictions, expected));
    for (const [calibration, all] of [
      [this.#calibration.start, startPredictions],
      [this.#calibration.adapted, predictions],
    ] as const) {
      for (const [i, { label, probabilities }] of all.entries()) {
        calibration.add(probabilities[label] as number, label === expected[i]);
      }
    }
    const [own, others] = [familiarities(predictions), familiarities(strangers)];
    if (own.length > 0 && others.length > 0) {
      this.#strangers.area.push(rocArea(own, others));
      this.#strangers.kept.push(shareOf(own, (value) => value >= 0));
      this.#strangers.found.push(shareOf(others, (value) => value < 0));
    }
    const { profile, losses, loss, spared } = adapted;
    if (spared !== undefined) this.#spared += 1;
    if (losses.length > 0 && loss !== undefined) {
      this.#losses.start.push(losses[0] as number);
      this.#losses.end.push(loss);
    }
    const moved = start?.pattern === profile.pattern ? shareMoved(profile, start) : [];
    for (const [name, share] of moved) this.#moved.set(name, [...(this.#moved.get(name) ?? []), share]);
    this.#steps.push(profile.steps);
    this.#times.adapt.push(times.total);
    this.#times.encode.push(times.encode);
    this.#times.steps.push(times.steps);
    this.#times.predict.push(...times.predict);
    this.#storedBytes = Math.max(this.#storedBytes, profile.byteLength);
    this.#startPredictions = startPredictions;
  }

  /** Notes whether this row's 0 steps predicted as those of other rows on the last task. */
  compareStart(others: readonly RowOutcomes[]): void {
    for (const other of others) if (!this.#startsAs(other)) this.#otherStarts.add(other);
  }

  /** What is known after some tasks of all. */
  get interim(): InterimRow {
    const start = meanInterval(this.#starts);
    return { name: this.name, start, gain: pairedDifference(this.#accuracies, this.#starts) };
  }

  /** All figures; `before` are rows that stand above, whose starts were compared. */
  measured(given: Given, before: readonly RowOutcomes[]): MeasuredRow {
    const { mean: accuracy, halfWidth } = meanInterval(this.#accuracies);
    const { start } = this.interim;
    const { adapt, encode, steps, predict } = this.#times;
    const measurement: Measurement = {
      pattern: this.name,
      ...given,
      steps: Math.round(median(this.#steps)),
      accuracy,
      halfWidth,
      startAccuracy: start.mean,
      milliseconds: {
        adapt: median(adapt),
        encode: median(encode),
        steps: median(steps),
        predict: median(predict),
      },
      storedBytes: this.#storedBytes,
    };
    return {
      ...this.interim,
      measurement,
      startOf: (before.find((other) => !this.#otherStarts.has(other)) ?? this).name,
      calibration: { start: this.#calibration.start.error, adapted: this.#calibration.adapted.error },
      strangers: this.#strangers.area.length > 0 ? this.#toldStrangers : null,
      spared: this.#spared,
      moved: Object.fromEntries([...this.#moved].map(([name, shares]) => [name, meanInterval(shares).mean])),
      loss: this.#losses.start.length > 0 ? { start: median(this.#losses.start), end: median(this.#losses.end) } : null,
      accuracies: [...this.#accuracies],
    };
  }

  get #toldStrangers(): ToldStrangers {
    const { area, kept, found } = this.#strangers;
    return { area: meanInterval(area).mean, kept: meanInterval(kept).mean, found: meanInterval(found).mean };
  }

  /** Whether both predicted the same of the last task at 0 steps. */
  #startsAs(other: RowOutcomes): boolean {
    return this.#startPredictions.every(({ probabilities }, i) => {
      const others = other.#startPredictions[i]?.probabilities ?? {};
      return Object.entries(probabilities).every(
        ([label, probability]) => Math.abs(probability - (others[label] ?? Number.NaN)) <= SAME,
      );
    });
  }
}

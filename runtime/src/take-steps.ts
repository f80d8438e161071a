import { Tensor } from 'onnxruntime-common';
import { InputError } from './errors.js';
import { areFinite } from './finite.js';
import { countsSteps } from './optimizer.js';
import type { Pattern } from './pattern.js';
import { scheduled } from './schedule.js';
import type { StepGraph } from './step-graph.js';
import { ABSOLUTE, RELATIVE } from './step-loop.js';
import { dataOf, type TensorFeeds } from './tensors.js';
import type { AdaptOptions } from './types.js';

const highest = (loss: number): number => loss * (1 + RELATIVE) + ABSOLUTE;
const rises = (loss: number, from: number): boolean => !(loss <= highest(from));

export const notFinite = (got: string): InputError =>
  new InputError('examples', `expected images of which the network computes finite values, got ${got}`);

const allFinite = (values: TensorFeeds): boolean => Object.values(values).every((value) => areFinite(dataOf(value)));

/** Half-way between two points: as far from the first as half the rate leads. A loop, as values are millions. */
function halfWay(from: TensorFeeds, to: TensorFeeds): TensorFeeds {
  return Object.fromEntries(
    Object.entries(from).map(([name, value]) => {
      const [a, b] = [dataOf(value), dataOf(to[name] as Tensor)];
      const middle = new Float32Array(a.length);
      for (let i = 0; i < middle.length; i++) middle[i] = ((a[i] as number) + (b[i] as number)) / 2;
      return [name, new Tensor('float32', middle, value.dims)];
    }),
  );
}

/** The optimizer's states before the first step. */
function statesOf({ states }: Pattern, values: TensorFeeds): TensorFeeds {
  return Object.fromEntries(
    [...states].flatMap(([value, names]) => {
      const { dims, size } = values[value] as Tensor;
      return names.map((name) => [name, new Tensor('float32', new Float32Array(size), dims)]);
    }),
  );
}

/** Milliseconds of steps in one run where someone hears of them, or may end them: after that long they are heard. */
const PART_MS = 250;

/** Steps of one run at most. */
const MOST = 10_000;

/** Milliseconds that a step took for each example the last time. */
const measured = new WeakMap<StepGraph, number>();

/** What steps make smaller. */
export interface Objective {
  /** What a step graph reads besides values and states. */
  readonly feeds: TensorFeeds;
  /** The loss with given values. */
  readonly lossAt: (values: TensorFeeds) => Promise<number>;
}

export interface Stepped {
  readonly values: TensorFeeds;
  /** Of the examples before each step; of one that was taken back, that of the values gone back to. */
  readonly losses: readonly number[];
  /** Of the examples with `values`; undefined where no step was taken. */
  readonly loss: number | undefined;
  /** How many times the rate was halved. */
  readonly halved: number;
}

/**
 * Takes gradient steps that cannot hurt: where the loss of the examples rises, or is no number, the values go half-way back to the best
 * ones, from which the rate is halved. The last step counts where the loss after it is no higher. Throws {@link InputError} where
 * the loss at the start is no number.
 */
export async function takeSteps(
  pattern: Pattern,
  objective: Objective,
  start: TensorFeeds,
  { steps, rate, signal, onStep }: AdaptOptions & { readonly steps: number; readonly rate: number },
): Promise<Stepped> {
  const losses: number[] = [];
  if (steps === 0) return { values: start, losses, loss: undefined, halved: 0 };

  const { optimizer = 'sgd', schedule = 'constant' } = pattern.manifest;
  const isCounted = countsSteps(optimizer);
  let best: { readonly loss: number; readonly values: TensorFeeds } | undefined;
  let halved = 0;
  let carried: TensorFeeds = { ...start, ...statesOf(pattern, start) };
  const valuesOf = (from: TensorFeeds) =>
    Object.fromEntries(Object.keys(start).map((name) => [name, from[name] as Tensor]));
  const rows = objective.feeds['features']?.dims[0] ?? 1;
  // Where nobody hears of steps, or may end them, all are one run.
  const isWatched = signal !== undefined || onStep !== undefined;
  const partOf = (ms: number) => (isWatched ? Math.max(1, Math.floor(PART_MS / (ms * rows))) : steps);
  let part = partOf(measured.get(pattern.step) ?? PART_MS);
  while (losses.length < steps) {
    signal?.throwIfAborted();
    const asked = Math.min(part, pattern.step.most, MOST, steps - losses.length);
    const numbers = Array.from({ length: asked }, (_, i) => losses.length + i + 1);
    const began = performance.now();
    const taken = await pattern.step.take(objective.feeds, carried, best?.values ?? valuesOf(carried), {
      rates: numbers.map((step) => (rate / 2 ** halved) * scheduled(schedule, step, steps)),
      counts: isCounted ? numbers.map((step) => step - halved) : [],
      limit: best ? highest(best.loss) : Number.POSITIVE_INFINITY,
    });
    const milliseconds = (performance.now() - began) / (taken.losses.length * rows);
    measured.set(pattern.step, milliseconds);
    part = partOf(milliseconds);
    const reached = valuesOf(taken.before);
    const last = taken.losses.length - 1;
    for (const [i, loss] of taken.losses.entries()) {
      if (best && i === last && rises(loss, best.loss)) {
        best = { loss: best.loss, values: taken.earlier };
        carried = { ...taken.before, ...halfWay(best.values, reached) };
        halved++;
      } else {
        if (!Number.isFinite(loss)) throw notFinite(`a loss of ${loss} before step ${losses.length + 1}`);
        best = { loss, values: reached };
        carried = taken.last;
      }
      losses.push(best.loss);
      onStep?.(losses.length, best.loss);
    }
    // From out of the range of numbers, which shows first in the loss, there is no way back by halves.
    if (halved > 0 && !allFinite(valuesOf(carried))) break;
  }
  signal?.throwIfAborted();
  const reached = best as NonNullable<typeof best>;
  const values = valuesOf(carried);
  if (allFinite(values)) {
    const loss = await objective.lossAt(values);
    if (!rises(loss, reached.loss)) return { values, losses, loss, halved };
  }
  return { values: reached.values, losses, loss: reached.loss, halved };
}

import { Tensor } from 'onnxruntime-common';
import { InputError } from './errors.js';
import { areFinite } from './finite.js';
import { countsSteps } from './optimizer.js';
import { nextName, type Pattern } from './pattern.js';
import { runSession } from './run-session.js';
import { scheduled } from './schedule.js';
import { dataOf, type TensorFeeds } from './tensors.js';
import type { AdaptOptions } from './types.js';

/** How much a loss may seem to rise by rounding alone: the last one is of probabilities, those before of their logarithms. */
const [RELATIVE, ABSOLUTE] = [1e-5, 1e-6];
const rises = (loss: number, from: number): boolean => !(loss <= from * (1 + RELATIVE) + ABSOLUTE);

const scalar = (value: number): Tensor => new Tensor('float32', Float32Array.of(value), []);

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

const nextOf = (values: TensorFeeds, outputs: TensorFeeds): TensorFeeds =>
  Object.fromEntries(Object.keys(values).map((name) => [name, outputs[nextName(name)] as Tensor]));

/** The optimizer's states before the first step. */
function statesOf({ states }: Pattern, values: TensorFeeds): TensorFeeds {
  return Object.fromEntries(
    [...states].flatMap(([value, names]) => {
      const { dims, size } = values[value] as Tensor;
      return names.map((name) => [name, new Tensor('float32', new Float32Array(size), dims)]);
    }),
  );
}

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
  const counts = countsSteps(optimizer);
  let best: { readonly values: TensorFeeds; readonly loss: number } | undefined;
  let halved = 0;
  let [values, states] = [start, statesOf(pattern, start)];
  for (let step = 1; step <= steps; step++) {
    signal?.throwIfAborted();
    const count = counts ? { count: scalar(step - halved) } : {};
    const now = (rate / 2 ** halved) * scheduled(schedule, step, steps);
    const outputs = await runSession(pattern.step, {
      ...objective.feeds,
      ...count,
      rate: scalar(now),
      ...values,
      ...states,
    });
    const loss = dataOf(outputs['loss'] as Tensor)[0] as number;
    if (best && rises(loss, best.loss)) {
      halved++;
      values = halfWay(best.values, values);
    } else {
      if (!Number.isFinite(loss)) throw notFinite(`a loss of ${loss} before step ${step}`);
      best = { values, loss };
      [values, states] = [nextOf(values, outputs), nextOf(states, outputs)];
    }
    losses.push(best.loss);
    onStep?.(step, best.loss);
    // From out of the range of numbers, which shows first in the loss, there is no way back by halves.
    if (halved > 0 && !allFinite(values)) break;
  }
  signal?.throwIfAborted();
  const reached = best as NonNullable<typeof best>;
  if (allFinite(values)) {
    const loss = await objective.lossAt(values);
    if (!rises(loss, reached.loss)) return { values, losses, loss, halved };
  }
  return { values: reached.values, losses, loss: reached.loss, halved };
}

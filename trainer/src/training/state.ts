import type { Backbone, Initializer, ParameterSpec } from '@whet/models';
import { generatorFor, type Random } from '../data/random.js';
import { metaParameters } from '../task/task-graph.js';
import { type AdamState, adamState } from './adam.js';
import { backboneOf, type RunConfig, taskSettings } from './config.js';

/** Population moments of one normalization, per channel. */
export interface PopulationMoments {
  readonly mean: Float32Array;
  readonly variance: Float32Array;
}

/** What a run has learned so far. */
export interface TrainingState {
  /** Outer steps done. */
  step: number;
  /** The best validation accuracy so far, 0..1; undefined before the first validation. */
  bestValidation: number | undefined;
  /** Validations in a row that were not better. */
  validationsSinceBest: number;
  /** How often the outer rates were halved, because steps diverged. */
  halved: number;
  readonly parameters: ReadonlyMap<string, AdamState>;
  readonly moments: ReadonlyMap<string, PopulationMoments>;
}

export function allSpecs(config: RunConfig, backbone?: Backbone): ParameterSpec[] {
  const { start, learned } = metaParameters(taskSettings(config, config.shots[0] as number, backbone));
  return [...start, ...learned];
}

function initialValue(initializer: Initializer, size: number, random: Random): Float32Array {
  if (initializer.kind === 'given') return initializer.values.slice();
  if (initializer.kind === 'constant') return new Float32Array(size).fill(initializer.value);
  return Float32Array.from({ length: size }, () => initializer.deviation * random.normal());
}

/** A fresh state: parameters as a file has them, or drawn by their initializers from the run's seed. */
export function initialState(config: RunConfig, backbone?: Backbone): TrainingState {
  const parameters = new Map<string, AdamState>();
  for (const { name, shape, initializer } of allSpecs(config, backbone)) {
    const size = shape.reduce((a, b) => a * b, 1);
    const random = generatorFor(config.seed, `initialize/${name}`, 0);
    parameters.set(name, adamState(initialValue(initializer, size, random)));
  }
  const moments = new Map<string, PopulationMoments>();
  for (const { name, channels, moments: given } of backboneOf(config, backbone).normalizations) {
    const mean = given?.mean.slice() ?? new Float32Array(channels);
    moments.set(name, { mean, variance: given?.variance.slice() ?? new Float32Array(channels).fill(1) });
  }
  return { step: 0, bestValidation: undefined, validationsSinceBest: 0, halved: 0, parameters, moments };
}

/**
 * Moves population moments towards those of a task by `rate`, in place: the moments of the mixture of both
 * distributions, so that the spread of means between tasks counts as variance.
 */
export function mixMoments(moments: PopulationMoments, mean: Float32Array, variance: Float32Array, rate: number): void {
  for (let i = 0; i < mean.length; i++) {
    const oldMean = moments.mean[i] as number;
    const difference = (mean[i] as number) - oldMean;
    const oldVariance = moments.variance[i] as number;
    moments.mean[i] = oldMean + rate * difference;
    moments.variance[i] =
      (1 - rate) * oldVariance + rate * (variance[i] as number) + rate * (1 - rate) * difference * difference;
  }
}

import type { ParameterSpec } from '@whet/models';
import { generatorFor } from '../data/random.js';
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
  readonly parameters: ReadonlyMap<string, AdamState>;
  readonly moments: ReadonlyMap<string, PopulationMoments>;
}

export function allSpecs(config: RunConfig): ParameterSpec[] {
  const { start, learned } = metaParameters(taskSettings(config, config.shots[0] as number));
  return [...start, ...learned];
}

/** A fresh state: parameters drawn by their initializers from the run's seed. */
export function initialState(config: RunConfig): TrainingState {
  const parameters = new Map<string, AdamState>();
  for (const { name, shape, initializer } of allSpecs(config)) {
    const size = shape.reduce((a, b) => a * b, 1);
    const random = generatorFor(config.seed, `initialize/${name}`, 0);
    const value =
      initializer.kind === 'constant'
        ? new Float32Array(size).fill(initializer.value)
        : Float32Array.from({ length: size }, () => initializer.deviation * random.normal());
    parameters.set(name, adamState(value));
  }
  const moments = new Map<string, PopulationMoments>();
  for (const { name, channels } of backboneOf(config).normalizations) {
    moments.set(name, { mean: new Float32Array(channels), variance: new Float32Array(channels).fill(1) });
  }
  return { step: 0, bestValidation: undefined, validationsSinceBest: 0, parameters, moments };
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

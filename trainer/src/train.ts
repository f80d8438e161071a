import type { Backend } from '@whet/compiler';
import { oneHot } from '@whet/runtime';
import { adamStep } from './adam.js';
import { saveCheckpoint } from './checkpoint.js';
import { backboneOf, type RunConfig, taskSettings } from './config.js';
import type { Dataset } from './data/dataset.js';
import { type Episode, EpisodeSampler } from './data/episodes.js';
import { accuracyOf, type Interval, meanInterval } from './evaluation.js';
import { frozenShare } from './masks.js';
import type { MetricsFile } from './metrics.js';
import { mixMoments, type TrainingState } from './state.js';
import { evaluationGraph, metaGradientGraph, momentInputs } from './task-graph.js';
import { type TaskRunner, taskRunner } from './task-runner.js';

/** Key of the validation graph among the runners by number of shots, which are 1 or more. */
const VALIDATION = 0;

/** A run whose loss is no longer a number. The last checkpoint is intact. */
export class DivergedError extends Error {
  override readonly name = 'DivergedError';
}

export interface TrainingProgress {
  /** Outer steps done, and how many there will be. */
  readonly step: number;
  readonly outerSteps: number;
  /** Means over the tasks since the last validation. */
  readonly loss: number;
  readonly accuracy: number;
  /** Outer steps per second since the last report. */
  readonly rate: number;
  /** Frozen share of each layer's weights, 0..1, for rules that learn masks. */
  readonly frozen: Readonly<Record<string, number>>;
  readonly validation?: Interval & { readonly protocol: RunConfig['normalization'] };
}

export interface TrainOptions {
  readonly config: RunConfig;
  readonly state: TrainingState;
  readonly dataset: Dataset;
  readonly backend: Backend;
  readonly metrics?: MetricsFile;
  /** Where checkpoints go: `last`, and `best` by validation accuracy. */
  readonly checkpoints?: { readonly last: string; readonly best: string };
  readonly onProgress?: (progress: TrainingProgress) => void;
  readonly signal?: AbortSignal;
}

function episodeFeeds(episode: Episode, ways: number): Map<string, Float32Array> {
  return new Map([
    ['support', episode.supportImages],
    ['supportLabels', oneHot(episode.supportLabels, ways)],
    ['query', episode.queryImages],
    ['queryLabels', oneHot(episode.queryLabels, ways)],
  ]);
}

function stateFeeds(state: TrainingState): Map<string, Float32Array> {
  const feeds = new Map<string, Float32Array>();
  for (const [name, { value }] of state.parameters) feeds.set(name, value);
  for (const [name, { mean, variance }] of state.moments) {
    const inputs = momentInputs(name);
    feeds.set(inputs.mean, mean).set(inputs.variance, variance);
  }
  return feeds;
}

function outerRate({ outerRate: rate, schedule, outerSteps }: RunConfig, step: number): number {
  return schedule === 'constant' ? rate : rate * 0.5 * (1 + Math.cos((Math.PI * step) / outerSteps));
}

/**
 * Accuracy on validation classes without rotations, normalized as the run is: under `support` and `population` every
 * query image by itself, under `transductive` with each other.
 */
async function validate(options: TrainOptions, runner: TaskRunner, sampler: EpisodeSampler): Promise<Interval> {
  const { config, state } = options;
  const { ways, shots, queries, tasks } = config.validation;
  const feeds = stateFeeds(state);
  const accuracies: number[] = [];
  for (let index = 0; index < tasks; index++) {
    const episode = sampler.episode({ ways, shots, queries }, index);
    const outputs = await runner.run(new Map([...feeds, ...episodeFeeds(episode, ways)]));
    accuracies.push(accuracyOf(outputs.get('logits') as Float32Array, episode.queryLabels, ways));
  }
  return meanInterval(accuracies);
}

/**
 * Meta-trains in place, from `state.step` to `config.outerSteps`: each outer step averages the meta-gradients of
 * `tasksPerStep` tasks and takes one step of Adam. Episode streams depend on (seed, step) alone, so a resumed run sees
 * exactly the tasks that an uninterrupted one would. Throws {@link DivergedError} at the first loss or
 * gradient that is not finite.
 */
export async function train(options: TrainOptions): Promise<void> {
  const { config, state, dataset, backend, signal } = options;
  const { ways, shots, queries } = config.validation;
  const { seed, rotations, augment } = config;
  const sampler = new EpisodeSampler(dataset, 'train', { seed, rotations, ...(augment ? { augment } : {}) });
  const validationSampler = new EpisodeSampler(dataset, 'validation', { seed: 0, rotations: false });
  // A shape the data cannot fill shows now, not at the first validation.
  for (const each of config.shots) sampler.episode({ ways: config.ways, shots: each, queries: config.queries }, 0);
  validationSampler.episode({ ways, shots, queries }, 0);

  const runners = new Map<number, TaskRunner>();
  const window = { loss: 0, accuracy: 0, tasks: 0 };
  let pace = { steps: 0, since: performance.now() };
  try {
    for (const each of new Set(config.shots)) {
      runners.set(each, await taskRunner(backend, metaGradientGraph(taskSettings(config, each))));
    }
    const evaluation = await taskRunner(backend, evaluationGraph({ ...taskSettings(config, shots), ways, queries }));
    runners.set(VALIDATION, evaluation);
    pace.since = performance.now();
    while (state.step < config.outerSteps) {
      if (signal?.aborted) break;
      const taken = await outerStep(options, runners, sampler);
      window.loss += taken.loss;
      window.accuracy += taken.accuracy;
      window.tasks += config.tasksPerStep;
      pace.steps++;
      const validating = state.step % config.validation.every === 0 || state.step === config.outerSteps;
      if (!validating && performance.now() - pace.since < 1000) continue;
      const seconds = (performance.now() - pace.since) / 1000;
      const validation = validating ? await validate(options, evaluation, validationSampler) : undefined;
      const progress: TrainingProgress = {
        step: state.step,
        outerSteps: config.outerSteps,
        loss: window.loss / window.tasks,
        accuracy: window.accuracy / window.tasks,
        rate: pace.steps / seconds,
        frozen: frozenShare(config, state),
        ...(validation ? { validation: { ...validation, protocol: config.normalization } } : {}),
      };
      if (validation) {
        await options.metrics?.append({ ...progress, time: new Date().toISOString() });
        const improved = validation.mean > (state.bestValidation ?? Number.NEGATIVE_INFINITY);
        if (improved) state.bestValidation = validation.mean;
        if (options.checkpoints) {
          if (improved) await saveCheckpoint(options.checkpoints.best, { config, state });
          await saveCheckpoint(options.checkpoints.last, { config, state });
        }
      }
      options.onProgress?.(progress);
      if (validating) Object.assign(window, { loss: 0, accuracy: 0, tasks: 0 });
      pace = { steps: 0, since: performance.now() };
    }
    if (options.checkpoints) await saveCheckpoint(options.checkpoints.last, { config, state });
  } finally {
    for (const runner of runners.values()) await runner.release();
  }
}

async function outerStep(
  { config, state }: TrainOptions,
  runners: ReadonlyMap<number, TaskRunner>,
  sampler: EpisodeSampler,
): Promise<{ loss: number; accuracy: number }> {
  const { ways, queries, tasksPerStep } = config;
  const shots = config.shots[state.step % config.shots.length] as number;
  const runner = runners.get(shots) as TaskRunner;
  const feeds = stateFeeds(state);
  const sums = new Map([...state.parameters].map(([name, { value }]) => [name, new Float32Array(value.length)]));
  const taken = { loss: 0, accuracy: 0 };
  for (let task = 0; task < tasksPerStep; task++) {
    const episode = sampler.episode({ ways, shots, queries }, state.step * tasksPerStep + task);
    const outputs = await runner.run(new Map([...feeds, ...episodeFeeds(episode, ways)]));
    const loss = outputs.get('loss')?.[0] ?? Number.NaN;
    if (!Number.isFinite(loss)) {
      throw new DivergedError(`outer step ${state.step + 1}: the loss of task ${task} is ${loss}; lower the rates`);
    }
    taken.loss += loss;
    taken.accuracy += accuracyOf(outputs.get('logits') as Float32Array, episode.queryLabels, ways);
    for (const [name, sum] of sums) {
      const gradient = outputs.get(`grad/${name}`);
      if (gradient) for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + (gradient[i] as number);
    }
    for (const { name } of backboneOf(config).normalizations) {
      const moments = state.moments.get(name);
      const mean = outputs.get(`${name}.mean@support`);
      const variance = outputs.get(`${name}.variance@support`);
      if (moments && mean && variance) mixMoments(moments, mean, variance, config.momentRate);
    }
  }
  for (const [name, sum] of sums) {
    const bad = sum.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) throw new DivergedError(`outer step ${state.step + 1}: the gradient of "${name}" is ${sum[bad]}`);
  }
  const rate = outerRate(config, state.step);
  state.step++;
  for (const [name, sum] of sums) {
    for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) / tasksPerStep;
    const parameter = state.parameters.get(name);
    if (!parameter) continue;
    const share = name.startsWith('mask/') ? config.maskRate / config.outerRate : 1;
    adamStep(parameter, sum, rate * share, state.step);
  }
  return taken;
}

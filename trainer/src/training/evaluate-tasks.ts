import type { Backend } from '@whet/compiler';
import type { Backbone } from '@whet/models';
import { momentNames } from '@whet/runtime/format';
import type { Dataset, SplitName } from '../data/dataset.js';
import type { EpisodeShape } from '../data/draw.js';
import { EpisodeSampler } from '../data/episodes.js';
import { type TaskBatch, taskBatch } from '../data/task-batches.js';
import { type Interval, meanInterval } from '../statistics.js';
import type { NormalizationMode } from '../task/normalizations.js';
import type { Rule } from '../task/rules.js';
import { runAll, type TaskRunner, taskRunner } from '../task/task-runner.js';
import { evaluationGraph } from '../task/training-graphs.js';
import { type RunConfig, taskSettings } from './config.js';
import type { TrainingState } from './state.js';

/** The arrays of some tasks, by the names of a task graph's inputs. */
export function taskFeeds({ support, supportLabels, query, queryLabels }: TaskBatch): [string, Float32Array][] {
  return Object.entries({ support, supportLabels, query, queryLabels });
}

/** What a run has learned so far, by the names of a task graph's inputs. */
export function stateFeeds(state: TrainingState): Map<string, Float32Array> {
  const feeds = new Map<string, Float32Array>();
  for (const [name, { value }] of state.parameters) feeds.set(name, value);
  for (const [name, { mean, variance }] of state.moments) {
    const inputs = momentNames(name);
    feeds.set(inputs.mean, mean).set(inputs.variance, variance);
  }
  return feeds;
}

/** Share of rows of `logits [rows, ways]` whose largest entry is at the row's label. */
export function accuracyOf(logits: Float32Array, labels: Int32Array, ways: number): number {
  let hits = 0;
  for (let row = 0; row < labels.length; row++) {
    let best = 0;
    for (let way = 1; way < ways; way++) {
      if ((logits[row * ways + way] as number) > (logits[row * ways + best] as number)) best = way;
    }
    if (best === labels[row]) hits++;
  }
  return hits / labels.length;
}

/** Accuracy over the first `tasks` episodes of a sampler, on a graph of {@link evaluationGraph}. */
export async function accuracyOver(
  runner: TaskRunner,
  state: TrainingState,
  sampler: EpisodeSampler,
  shape: EpisodeShape,
  tasks: number,
  onTask?: (done: number) => void,
): Promise<Interval> {
  const feeds = stateFeeds(state);
  const accuracies: number[] = [];
  const labels: Int32Array[] = [];
  function* draw() {
    for (let index = 0; index < tasks; index++) {
      const episode = sampler.episode(shape, index);
      labels.push(episode.queryLabels);
      yield new Map([...feeds, ...taskFeeds(taskBatch([episode], shape.ways))]);
    }
  }
  for await (const outputs of runAll(runner, draw())) {
    const expected = labels[accuracies.length] as Int32Array;
    accuracies.push(accuracyOf(outputs.get('logits') as Float32Array, expected, shape.ways));
    onTask?.(accuracies.length);
  }
  return meanInterval(accuracies);
}

export interface EvaluateTasksOptions {
  readonly config: RunConfig;
  readonly state: TrainingState;
  /** The network, where it was read from a file. */
  readonly backbone?: Backbone | undefined;
  readonly dataset: Dataset;
  readonly backend: Backend;
  readonly split: SplitName;
  readonly tasks: number;
  /** Ways, shots and queries; those of the run's validation when absent. */
  readonly shape?: EpisodeShape;
  /** Whose moments normalize; the run's own when absent. `transductive` takes the query images' together. */
  readonly normalization?: NormalizationMode;
  /** Which weights move; the run's own rule when absent. */
  readonly rule?: Rule;
  /** Inner steps and rate; the run's own when absent. */
  readonly steps?: number;
  readonly rate?: number;
  /** Of the tasks; 0 when absent. */
  readonly seed?: number;
  /** Called after each task, with how many are done. */
  readonly onTask?: (done: number) => void;
}

/** The first tasks of a split, and a graph that adapts a run as it stands to one of them; to be released. */
export async function openEvaluation(options: Omit<EvaluateTasksOptions, 'tasks'>) {
  const { config, dataset, backend, split, shape = config.validation } = options;
  const { ways, shots, queries } = shape;
  const sampler = new EpisodeSampler(dataset, split, { seed: options.seed ?? 0, rotations: false });
  const settings = taskSettings(config, shots, options.backbone);
  const graph = evaluationGraph({
    ...settings,
    ways,
    queries,
    rule: options.rule ?? settings.rule,
    normalization: options.normalization ?? settings.normalization,
    steps: options.steps ?? settings.steps,
    innerRate: options.rate ?? settings.innerRate,
  });
  // Shapes that the data cannot fill show before anything is compiled.
  sampler.episode({ ways, shots, queries }, 0);
  return { sampler, runner: await taskRunner(backend, graph), shape: { ways, shots, queries } };
}

/**
 * Accuracy of a run as it stands on tasks of a split, without rotations. Under `support` and `population` every query
 * image is normalized by itself. Throws `DataError` where the split has too few classes or images.
 */
export async function evaluateTasks(options: EvaluateTasksOptions): Promise<Interval> {
  const { runner, sampler, shape } = await openEvaluation(options);
  try {
    return await accuracyOver(runner, options.state, sampler, shape, options.tasks, options.onTask);
  } finally {
    await runner.release();
  }
}

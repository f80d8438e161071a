import { oneHot } from '@whet/runtime/format';
import type { Dataset } from './dataset.js';
import type { EpisodeShape } from './draw.js';
import { type Episode, EpisodeSampler, type EpisodeSamplerOptions } from './episodes.js';

/** Some tasks side by side, as a training graph takes them: one task after the other in every array. */
export interface TaskBatch {
  readonly tasks: number;
  /** `[T, ways * shots, C, H, W]` and one-hot `[T, ways * shots, ways]` */
  readonly support: Float32Array;
  readonly supportLabels: Float32Array;
  /** `[T, ways * queries, C, H, W]` and one-hot `[T, ways * queries, ways]` */
  readonly query: Float32Array;
  readonly queryLabels: Float32Array;
  /** `[T, ways * queries]`, classes counted from 0. */
  readonly queryClasses: Int32Array;
}

/** What is drawn for an outer step: `count` batches of `tasks` tasks, from episode `first` on. */
export interface BatchRequest {
  readonly shape: EpisodeShape;
  readonly first: number;
  readonly count: number;
  readonly tasks: number;
}

/** Where training takes its tasks from. */
export interface TaskSource {
  /** The batches of `request`. `next` is what will be asked for after it, for a source that works ahead. */
  batches(request: BatchRequest, next?: BatchRequest): Promise<TaskBatch[]>;
  release(): Promise<void>;
}

function joined(parts: readonly Float32Array[]): Float32Array {
  if (parts.length === 1) return parts[0] as Float32Array;
  const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export function taskBatch(episodes: readonly Episode[], ways: number): TaskBatch {
  const collect = (part: (episode: Episode) => Float32Array) => joined(episodes.map(part));
  return {
    tasks: episodes.length,
    support: collect(({ supportImages }) => supportImages),
    supportLabels: collect(({ supportLabels }) => oneHot(supportLabels, ways)),
    query: collect(({ queryImages }) => queryImages),
    queryLabels: collect(({ queryLabels }) => oneHot(queryLabels, ways)),
    queryClasses: Int32Array.from(episodes.flatMap(({ queryLabels }) => Array.from(queryLabels))),
  };
}

export function drawBatches(sampler: EpisodeSampler, { shape, first, count, tasks }: BatchRequest): TaskBatch[] {
  return Array.from({ length: count }, (_, batch) => {
    const indices = Array.from({ length: tasks }, (_, task) => first + batch * tasks + task);
    return taskBatch(
      indices.map((index) => sampler.episode(shape, index)),
      shape.ways,
    );
  });
}

/** Draws tasks of the train split when they are asked for. */
export function directTasks(dataset: Dataset, options: EpisodeSamplerOptions): TaskSource {
  const sampler = new EpisodeSampler(dataset, 'train', options);
  return {
    batches: async (request) => drawBatches(sampler, request),
    release: async () => {},
  };
}

import { type Episode, EpisodeSampler } from '../data/episodes.js';
import { taskBatch } from '../data/task-batches.js';
import { type TaskRunner, taskRunner } from '../task/task-runner.js';
import { traceGraph } from '../task/training-graphs.js';
import { taskSettings } from './config.js';
import { accuracyOf, type EvaluateTasksOptions, stateFeeds, taskFeeds } from './evaluate-tasks.js';
import { alignment, meanCosine } from './feature-change.js';

/** Means over tasks after some inner steps. Losses are cross-entropies in nats. */
export interface TracedStep {
  readonly supportLoss: number;
  readonly queryLoss: number;
  readonly accuracy: number;
}

/** How far adapting moves what a layer yields for the query images: {@link alignment} and {@link meanCosine} of before and after, means over tasks. */
export interface TracedLayer {
  readonly layer: string;
  readonly alignment: number;
  readonly cosine: number;
}

export interface AdaptationTrace {
  readonly tasks: number;
  /** After 0, 1, ... inner steps. */
  readonly steps: readonly TracedStep[];
  /** From the image upward. */
  readonly layers: readonly TracedLayer[];
}

type Outputs = ReadonlyMap<string, Float32Array>;

/** Each whole number from one to below another, in a list of its own. */
const between = (from: number, to: number): number[][] =>
  Array.from({ length: Math.max(0, to - from) }, (_, i) => [from + i]);

const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/**
 * What inner steps do, on the first tasks of a split: the losses after each, and how far they move what the layers yield. Throws `DataError`
 * as `evaluateTasks` does.
 */
export async function traceAdaptation(options: EvaluateTasksOptions): Promise<AdaptationTrace> {
  const { config, state, backbone, dataset, backend, split, tasks, shape = config.validation, seed = 0 } = options;
  const { ways, shots, queries } = shape;
  const own = taskSettings(config, shots, backbone);
  const settings = { ...own, ways, queries, normalization: options.normalization ?? own.normalization };
  const sampler = new EpisodeSampler(dataset, split, { seed, rotations: false });
  const episodes = Array.from({ length: tasks }, (_, index) => sampler.episode(shape, index));
  const learned = stateFeeds(state);
  const images = ways * queries;
  const order = [...settings.backbone.layers, 'head'];
  const changes = order.slice(0, -1).map((layer) => ({ layer, alignments: [] as number[], cosines: [] as number[] }));
  /** What enters a layer is what the one below it yields. */
  const compare = (start: Outputs, end: Outputs): void => {
    for (const [i, { alignments, cosines }] of changes.entries()) {
      const name = `entering/${order[i + 1]}`;
      const [from, to] = [start.get(name), end.get(name)];
      if (!from || !to) continue;
      alignments.push(alignment(from, to, images));
      cosines.push(meanCosine(from, to, images));
    }
  };
  const last = settings.steps;
  /** By steps taken, by task. */
  const queryLosses = Array.from({ length: last + 1 }, (): number[] => []);
  const accuracies = queryLosses.map((): number[] => []);
  const supportLosses: number[][] = [];
  const note = (count: number, { queryLabels }: Episode, outputs: Outputs): void => {
    queryLosses[count]?.push(outputs.get('loss')?.[0] as number);
    accuracies[count]?.push(accuracyOf(outputs.get('logits') as Float32Array, queryLabels, ways));
  };
  // What layers yield is large: of each task before and after, together, and never of all tasks.
  for (const counts of [last > 0 ? [0, last] : [0], ...between(1, last), [last + 1]]) {
    const runners = new Map<number, TaskRunner>();
    try {
      for (const count of counts)
        runners.set(count, await taskRunner(backend, traceGraph({ ...settings, steps: count })));
      for (const episode of episodes) {
        const feeds = new Map([...learned, ...taskFeeds(taskBatch([episode], ways))]);
        const outcomes: Outputs[] = [];
        for (const [count, runner] of runners) {
          const outputs = await runner.run(feeds);
          outcomes.push(outputs);
          if (count <= last) note(count, episode, outputs);
          // One step more than are taken tells the support loss after the last.
          if (count > last)
            supportLosses.push(
              Array.from({ length: count }, (_, step) => outputs.get(`support@${step}`)?.[0] as number),
            );
        }
        const [start, end] = outcomes;
        if (start && end) compare(start, end);
      }
    } finally {
      for (const runner of runners.values()) await runner.release();
    }
    options.onTask?.(counts[0] as number);
  }
  return {
    tasks,
    steps: queryLosses.map((losses, step) => ({
      supportLoss: meanOf(supportLosses.map((own) => own[step] as number)),
      queryLoss: meanOf(losses),
      accuracy: meanOf(accuracies[step] as number[]),
    })),
    layers: changes.flatMap(({ layer, alignments, cosines }) =>
      alignments.length > 0 ? [{ layer, alignment: meanOf(alignments), cosine: meanOf(cosines) }] : [],
    ),
  };
}

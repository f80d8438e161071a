import { taskBatch } from '../data/task-batches.js';
import { type EvaluateTasksOptions, openEvaluation, stateFeeds, taskFeeds } from './evaluate-tasks.js';

/** One query image and what a run takes it for. Images are preprocessed tensors `[C, H, W]`. */
export interface ExamplePrediction {
  readonly image: Float32Array;
  readonly right: boolean;
  /** Probability of the predicted class, 0..1. */
  readonly probability: number;
  /** Classes, each with its first support image in this task. */
  readonly predicted: { readonly name: string; readonly support: Float32Array };
  readonly actual: { readonly name: string; readonly support: Float32Array };
}

export interface PredictExamplesOptions extends EvaluateTasksOptions {
  /** How many of each to look for in the tasks. */
  readonly right: number;
  readonly wrong: number;
}

/** Right ones taken of one task, so that they come from several. */
const RIGHT_PER_TASK = 1;

/**
 * Query images that a run as it stands classifies right and wrong, out of the first `tasks` tasks of a split; fewer where
 * there are not so many. Throws `DataError` as `evaluateTasks` does.
 */
export async function predictExamples(options: PredictExamplesOptions): Promise<ExamplePrediction[]> {
  const { runner, sampler, shape } = await openEvaluation(options);
  const { ways, shots } = shape;
  const feeds = stateFeeds(options.state);
  const found = { right: [] as ExamplePrediction[], wrong: [] as ExamplePrediction[] };
  try {
    for (let index = 0; index < options.tasks; index++) {
      if (found.right.length >= options.right && found.wrong.length >= options.wrong) break;
      const episode = sampler.episode(shape, index);
      const outputs = await runner.run(new Map([...feeds, ...taskFeeds(taskBatch([episode], ways))]));
      options.onTask?.(index + 1);
      const logits = outputs.get('logits') as Float32Array;
      const length = episode.queryImages.length / episode.queryLabels.length;
      const classOf = (way: number) => ({
        name: episode.classes[way] as string,
        support: episode.supportImages.slice(way * shots * length, (way * shots + 1) * length),
      });
      let taken = 0;
      for (const [row, actual] of episode.queryLabels.entries()) {
        const { best, probability } = mostProbable(logits.subarray(row * ways, (row + 1) * ways));
        const right = best === actual;
        const list = right ? found.right : found.wrong;
        if (list.length >= (right ? options.right : options.wrong)) continue;
        if (right && taken++ >= RIGHT_PER_TASK) continue;
        const image = episode.queryImages.slice(row * length, (row + 1) * length);
        list.push({ image, right, probability, predicted: classOf(best), actual: classOf(actual) });
      }
    }
  } finally {
    await runner.release();
  }
  return [...found.wrong, ...found.right];
}

/** The largest of logits, and its share of their softmax. */
function mostProbable(logits: Float32Array): { best: number; probability: number } {
  const best = logits.reduce((most, value, way) => (value > (logits[most] as number) ? way : most), 0);
  const top = logits[best] as number;
  return { best, probability: 1 / logits.reduce((sum, value) => sum + Math.exp(value - top), 0) };
}

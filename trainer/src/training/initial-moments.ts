import { type Backend, type Graph, GraphBuilder, removeUnusedInputs, type Value } from '@whet/compiler';
import { type Backbone, batchMoments } from '@whet/models';
import { momentNames } from '@whet/runtime/format';
import { taskRunner } from '../task/task-runner.js';
import { stateFeeds } from './evaluate-tasks.js';
import type { PopulationMoments, TrainingState } from './state.js';

/** Nothing has been observed yet: the moments are those of a fresh state. */
const isFresh = ({ mean, variance }: PopulationMoments): boolean =>
  mean.every((value) => value === 0) && variance.every((value) => value === 1);

/** Whether some population moments are still those of a fresh state: all of a new run, or of layers it did not start with. */
export const areMomentsFresh = ({ moments }: TrainingState): boolean => [...moments.values()].some(isFresh);

/** Moments of a batch of images in every normalization, each normalized by its own, under the names of the inputs. */
function momentsGraph(backbone: Backbone, count: number): Graph {
  const g = new GraphBuilder();
  const images = g.input('images', [count, ...backbone.imageShape]);
  const weights = new Map(backbone.parameters.map(({ name, shape }) => [name, g.input(name, shape)]));
  const outputs = new Map<string, Value>();
  backbone.build(
    g,
    images,
    (name) => weights.get(name) as Value,
    (name, x) => {
      const moments = batchMoments(g, x);
      const names = momentNames(name);
      outputs.set(names.mean, moments.mean).set(names.variance, moments.variance);
      return moments;
    },
  );
  return removeUnusedInputs({ name: 'initial-moments', inputs: [images, ...weights.values()], outputs }).graph;
}

/**
 * Sets population moments that are still fresh, in place, to those of `images [count, C, H, W]` at the state's weights,
 * so that normalization is one from the first step on (data-dependent initialization, Salimans and Kingma 2016, section 3).
 */
export async function initializeMoments(
  state: TrainingState,
  backbone: Backbone,
  images: Float32Array,
  backend: Backend,
): Promise<void> {
  const count = images.length / backbone.imageShape.reduce((a, b) => a * b, 1);
  const runner = await taskRunner(backend, momentsGraph(backbone, count));
  try {
    const found = await runner.run(new Map([...stateFeeds(state), ['images', images]]));
    for (const [name, { mean, variance }] of [...state.moments].filter(([, moments]) => isFresh(moments))) {
      const names = momentNames(name);
      mean.set(found.get(names.mean) as Float32Array);
      variance.set(found.get(names.variance) as Float32Array);
    }
  } finally {
    await runner.release();
  }
}

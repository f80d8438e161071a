import { GraphBuilder, referenceBackend, type Value } from '@whet/compiler';
import { batchMoments, type MomentSource, type Moments } from '@whet/models';
import { momentNames } from '@whet/runtime/format';
import { describe, expect, it } from 'vitest';
import { ortBackend } from '../backends/ort.js';
import type { Dataset, ImageClass } from '../data/dataset.js';
import { omniglotPreprocessing } from '../data/omniglot.js';
import { generatorFor } from '../data/random.js';
import { taskRunner } from '../task/task-runner.js';
import { backboneOf } from './config.js';
import { stateFeeds } from './evaluate-tasks.js';
import { areMomentsFresh, initializeMoments } from './initial-moments.js';
import { newRun } from './run.js';
import { startFrom, startOf } from './start-from.js';
import { train } from './train.js';

const [SIZE, COUNT] = [16, 6];
const settings = {
  model: { architecture: 'conv4', channels: 4, blocks: 3, imageChannels: 3, imageSize: SIZE },
  rule: 'maml',
  innerSteps: 0,
  ways: 2,
  queries: 1,
  tasksPerStep: 1,
  outerSteps: 1,
  momentRate: 0,
  validation: { every: 1, tasks: 1, ways: 2, shots: 1, queries: 1 },
};

/** Classes of bright noise, each of a level of its own. */
function bright(split: string): ImageClass[] {
  return [0, 1, 2].map((i) => {
    const random = generatorFor(2, split, i);
    const level = 100 + 60 * i;
    const pixels = Uint8Array.from({ length: COUNT * SIZE * SIZE * 3 }, () => level + 35 * random.uniform());
    return { name: `${split} ${i}`, count: COUNT, pixels };
  });
}
const dataset: Dataset = {
  name: 'bright',
  preprocessing: { ...omniglotPreprocessing(SIZE), channels: 3, invert: false, mean: [0, 0, 0], std: [1, 1, 1] },
  splits: { train: bright('train'), validation: bright('validation'), test: bright('test') },
};
const run = (checkpoint: Awaited<ReturnType<typeof newRun>>) =>
  train({ ...checkpoint, dataset, backend: ortBackend({ threads: 1 }) });

describe('the first population moments', () => {
  it('normalize the images that they are taken from as those normalize themselves', async () => {
    const { config, state } = await newRun(settings);
    const backbone = backboneOf(config);
    const random = generatorFor(4, 'images', 0);
    const images = Float32Array.from({ length: COUNT * 3 * SIZE * SIZE }, () => 3 + random.normal());
    await initializeMoments(state, backbone, images, referenceBackend);
    const featuresBy = async (momentsOf: (g: GraphBuilder, inputs: Value[]) => MomentSource) => {
      const g = new GraphBuilder();
      const inputs = [g.input('images', [COUNT, ...backbone.imageShape])];
      const weights = new Map(backbone.parameters.map(({ name, shape }) => [name, g.input(name, shape)]));
      const moments = momentsOf(g, inputs);
      const features = backbone.build(g, inputs[0] as Value, (name) => weights.get(name) as Value, moments);
      const graph = { name: 'f', inputs: [...inputs, ...weights.values()], outputs: new Map([['features', features]]) };
      const runner = await taskRunner(referenceBackend, graph);
      return (await runner.run(new Map([...stateFeeds(state), ['images', images]]))).get('features') as Float32Array;
    };
    const own = await featuresBy((g) => (_name, x) => batchMoments(g, x));
    const stored = await featuresBy((g, inputs) => (name, x): Moments => {
      const names = momentNames(name);
      const [mean, variance] = [names.mean, names.variance].map((each) =>
        g.input(each, [1, x.shape[1] as number, 1, 1]),
      );
      inputs.push(mean as Value, variance as Value);
      return { mean: mean as Value, variance: variance as Value };
    });
    expect(Math.hypot(...stored.map((value, i) => value - (own[i] as number)))).toBeLessThan(1e-4 * Math.hypot(...own));
  });

  it('are taken by a fresh run before its first step', async () => {
    const fresh = await newRun(settings);
    expect(areMomentsFresh(fresh.state)).toBe(true);
    await run(fresh);
    expect(areMomentsFresh(fresh.state)).toBe(false);
  });

  it('are left as they are by a run that starts from another', async () => {
    const other = await newRun(settings);
    await run(other);
    const before = structuredClone(other.state.moments);
    const config = { ...other.config, seed: 7 };
    const state = startFrom(config, startOf(other));
    await run({ config, state });
    expect(state.moments).toEqual(before);
  });

  it('of layers that were not taken over are taken from images, the others are left', async () => {
    const other = await newRun(settings);
    await run(other);
    const state = startFrom(other.config, startOf(other), ['block1']);
    expect(areMomentsFresh(state)).toBe(true);
    const before = structuredClone(state.moments);
    await run({ config: other.config, state });
    expect(state.moments.get('norm1')).toEqual(before.get('norm1'));
    expect(areMomentsFresh(state)).toBe(false);
  });
});

import { expect, it } from 'vitest';
import { ortBackend } from '../backends/ort.js';
import type { Dataset, ImageClass } from '../data/dataset.js';
import { omniglotPreprocessing } from '../data/omniglot.js';
import { generatorFor } from '../data/random.js';
import { newRun } from './run.js';
import { train } from './train.js';

const SIZE = 16;

/** Classes that differ in a grid of 4 x 4 patches, with noise: learnable in a few steps. */
function patches(split: string, count: number): ImageClass[] {
  return Array.from({ length: count }, (_, i) => {
    const random = generatorFor(3, split, i);
    const grid = Array.from({ length: 16 }, () => random.uniform() < 0.5);
    const pixels = Uint8Array.from({ length: 6 * SIZE * SIZE }, (__, at) => {
      const [row, column] = [Math.floor(at / SIZE) % SIZE, at % SIZE];
      const inked = grid[4 * Math.floor(row / 4) + Math.floor(column / 4)] as boolean;
      return inked === random.uniform() < 0.1 ? 255 : 0;
    });
    return { name: `${split} ${i}`, count: 6, pixels };
  });
}

it.each(['support', 'layer'] as const)('a narrow ResNet-12 learns under %s normalization', async (normalization) => {
  const dataset: Dataset = {
    name: 'patches',
    preprocessing: omniglotPreprocessing(SIZE),
    splits: { train: patches('train', 12), validation: patches('validation', 6), test: patches('test', 6) },
  };
  const checkpoint = await newRun({
    model: { architecture: 'resnet12', channels: [4, 4, 8, 8], imageChannels: 1, imageSize: SIZE },
    rule: 'maml',
    normalization,
    innerSteps: 1,
    innerRate: 0.01,
    ways: 3,
    shots: [2],
    queries: 2,
    tasksPerStep: 2,
    outerSteps: 60,
    outerRate: 0.01,
    seed: 5,
    validation: { every: 10, tasks: 2, ways: 3, shots: 2, queries: 2 },
  });
  const losses: number[] = [];
  const onProgress = ({ loss, validation }: { loss: number; validation?: unknown }) => {
    if (validation) losses.push(loss);
  };
  await train({ ...checkpoint, dataset, backend: ortBackend({ threads: 1 }), onProgress });
  expect(losses).toHaveLength(6);
  expect(losses.at(-1)).toBeLessThan(0.75 * (losses[0] as number));
});

import { describe, expect, it } from 'vitest';
import { ortBackend } from '../backends/ort.js';
import { DataError } from '../data/dataset.js';
import { drawings } from '../data/drawings.test.helper.js';
import { EpisodeSampler } from '../data/episodes.js';
import { evaluateTasks } from './evaluate-tasks.js';
import { predictExamples } from './example-predictions.js';
import { newRun } from './run.js';

const SIZE = 8;
const dataset = drawings({ train: 3, validation: 3, test: 3 }, { images: 5 });
const shape = { ways: 3, shots: 2, queries: 3 };

describe('examples of predictions', () => {
  it('are those that the accuracy counts, each with support of its classes', async () => {
    const run = await newRun({
      model: { architecture: 'conv4', channels: 4, blocks: 1, imageSize: SIZE },
      rule: 'maml',
    });
    const options = { ...run, dataset, backend: ortBackend({ threads: 1 }), split: 'test', tasks: 1, shape } as const;
    const done: number[] = [];
    const { mean } = await evaluateTasks({ ...options, onTask: (task) => done.push(task) });
    expect(done).toEqual([1]);
    const examples = await predictExamples({ ...options, right: 5, wrong: 99 });
    expect(examples.filter(({ right }) => !right)).toHaveLength(Math.round(9 * (1 - mean)));
    // One right one a task, so that they come from several.
    expect(examples.filter(({ right }) => right).length).toBeLessThanOrEqual(1);
    const episode = new EpisodeSampler(dataset, 'test', { seed: 0, rotations: false }).episode(shape, 0);
    for (const { right, predicted, actual, probability, image } of examples) {
      expect(predicted.name === actual.name).toBe(right);
      expect(probability).toBeGreaterThanOrEqual(1 / 3);
      expect(probability).toBeLessThanOrEqual(1);
      expect(image).toHaveLength(SIZE * SIZE);
      const way = episode.classes.indexOf(actual.name);
      expect(actual.support).toEqual(episode.supportImages.slice(way * 2 * SIZE * SIZE, (way * 2 + 1) * SIZE * SIZE));
    }
    const few = await predictExamples({ ...options, tasks: 3, right: 2, wrong: 1 });
    expect(few.filter(({ right }) => !right).length).toBeLessThanOrEqual(1);
    const wide = { ...options, shape: { ...shape, ways: 4 }, right: 1, wrong: 1 };
    await expect(predictExamples(wide)).rejects.toThrow(DataError);
  });
});

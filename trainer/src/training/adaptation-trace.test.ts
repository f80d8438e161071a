import { describe, expect, it } from 'vitest';
import { ortBackend } from '../backends/ort.js';
import { DataError } from '../data/dataset.js';
import { drawings } from '../data/drawings.test.helper.js';
import { generatorFor } from '../data/random.js';
import { traceAdaptation } from './adaptation-trace.js';
import { evaluateTasks } from './evaluate-tasks.js';
import { alignment, meanCosine } from './feature-change.js';
import { newRun } from './run.js';

const SIZE = 12;
const dataset = drawings({ train: 3, validation: 3, test: 3 }, { size: SIZE, turned: 0.5 });
const shape = { ways: 3, shots: 2, queries: 3 };

async function trace(settings: Readonly<Record<string, unknown>>) {
  const model = { architecture: 'conv4', channels: 4, blocks: 2, imageSize: SIZE } as const;
  const run = await newRun({ model, innerSteps: 2, innerRate: 0.01, ...settings });
  const options = { ...run, dataset, backend: ortBackend({ threads: 1 }), split: 'test', tasks: 2, shape } as const;
  return { traced: await traceAdaptation(options), options };
}

describe('a trace of adaptation', () => {
  it('tells of every number of steps what an evaluation with as many does, and that the support loss falls', async () => {
    const { traced, options } = await trace({ rule: 'maml' });
    expect(traced.steps).toHaveLength(3);
    for (const [steps, { accuracy }] of traced.steps.entries()) {
      expect(accuracy).toBeCloseTo((await evaluateTasks({ ...options, steps })).mean, 6);
    }
    const losses = traced.steps.map(({ supportLoss }) => supportLoss);
    expect(losses).toEqual([...losses].sort((a, b) => b - a));
    // Layers above move by what is below them, too.
    expect(traced.layers.map(({ layer }) => layer)).toEqual(['block1', 'block2']);
    for (const { cosine, alignment: own } of traced.layers) {
      expect(cosine).toBeLessThan(1 - 1e-6);
      expect(own).toBeLessThan(1 - 1e-6);
    }
  });

  it('sees no layer move where only the head does, under any normalization that it was trained with', async () => {
    for (const normalization of ['support', 'layer', 'population'] as const) {
      const { traced } = await trace({ rule: 'anil', normalization });
      expect(traced.layers.map(({ layer }) => layer)).toEqual(['block1', 'block2']);
      for (const { cosine, alignment: own } of traced.layers) {
        expect(cosine).toBeCloseTo(1, 5);
        expect(own).toBeCloseTo(1, 5);
      }
    }
  });

  it('of no steps tells the start, and of too few classes nothing', async () => {
    const { traced, options } = await trace({ rule: 'maml', innerSteps: 0 });
    expect(traced.steps).toHaveLength(1);
    expect(traced.layers).toEqual([]);
    await expect(traceAdaptation({ ...options, shape: { ...shape, ways: 4 } })).rejects.toThrow(DataError);
  });
});

describe('the change of features', () => {
  const random = generatorFor(1, 'features', 0);
  const features = Float32Array.from({ length: 20 * 2 }, () => random.uniform() - 0.5);

  it('is none by alignment where they are turned and grow, while cosines tell the turn', () => {
    const turned = features.map(
      (_, i) => 3 * (i % 2 === 0 ? (features[i + 1] as number) : -(features[i - 1] as number)),
    );
    expect(alignment(features, turned, 20)).toBeCloseTo(1, 5);
    expect(meanCosine(features, turned, 20)).toBeCloseTo(0, 5);
  });

  it('is large where they have nothing to do with each other', () => {
    const long = Float32Array.from({ length: 20 * 300 }, () => random.uniform() - 0.5);
    expect(alignment(features, long, 20)).toBeLessThan(0.5);
  });

  it('is whole where one side collapsed, and none where both did', () => {
    const [zeros, constant] = [new Float32Array(40), new Float32Array(40).fill(3)];
    for (const collapsed of [zeros, constant]) {
      expect(alignment(collapsed, features, 20)).toBe(0);
      expect(alignment(features, collapsed, 20)).toBe(0);
      expect(alignment(collapsed, zeros, 20)).toBe(1);
    }
    expect(meanCosine(features, zeros, 20)).toBe(0);
    expect(meanCosine(zeros, features, 20)).toBe(0);
    expect(meanCosine(zeros, zeros, 20)).toBe(1);
  });
});

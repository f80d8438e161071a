import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Measurement } from '@whet/runtime';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeSyntheticOmniglot } from './synthetic-omniglot.js';
import { runWhet } from './whet-process.js';

const demo = fileURLToPath(new URL('../../../models/demo/characters', import.meta.url));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-support-cli-'));
  await writeSyntheticOmniglot(join(folder, 'data'), { train: 3, val: 5, test: 3 });
});
afterAll(() => rm(folder, { recursive: true }));

/** Runs `whet` in the test's folder, which is to go well. */
const whet = async (...args: string[]) => {
  const outcome = await runWhet(folder, args);
  expect(outcome).toMatchObject({ code: 0 });
  return outcome;
};

describe('whet, with a network normalized by the support set', () => {
  it('trains, exports, evaluates, adapts and predicts', async () => {
    const model = { architecture: 'conv4', channels: 8, downsample: 'stride' };
    const config = { model, rule: 'sparse-maml', normalization: 'support', innerSteps: 1, ways: 3, tasksPerStep: 1 };
    await writeFile(join(folder, 'config.json'), JSON.stringify(config));
    const trained = await whet(
      'train',
      '--data',
      'data',
      '--run',
      'run',
      '--config',
      'config.json',
      '--outer-steps',
      '2',
    );
    expect(trained.err).not.toContain('not exported');
    await whet('export', 'run/last.safetensors', '--out', 'bundle');

    const tiny = ['--ways', '3', '--shots', '2', '--queries', '2', '--tasks', '3'];
    const evaluated = await whet('evaluate', 'bundle', '--data', 'data', '--pattern', 'all', '--json', ...tiny);
    const measured = JSON.parse(evaluated.out) as Measurement[];
    expect(measured.map(({ pattern }) => pattern)).toEqual([
      'full',
      'head',
      'from-block2',
      'from-block3',
      'from-block4',
      'sparse',
    ]);
    for (const { accuracy, protocol, storedBytes } of measured) {
      expect(accuracy).toBeGreaterThan(0);
      expect(protocol).toBe('one-image');
      // Four normalizations of eight channels, mean and variance in float32.
      expect(storedBytes).toBeGreaterThan(4 * 8 * 2 * 4);
    }

    for (const name of ['zero', 'plus'])
      await cp(join(demo, name), join(folder, 'examples', name), { recursive: true });
    await whet('adapt', 'bundle', '--examples', 'examples', '--per-class', '2', '--out', 'me.profile');
    const image = join('examples', 'zero', (await readdir(join(folder, 'examples', 'zero'))).at(-1) as string);
    const predicted = await whet('predict', '--bundle', 'bundle', '--profile', 'me.profile', '--json', image);
    const [prediction] = JSON.parse(predicted.out) as { probabilities: Record<string, number> }[];
    const probabilities = Object.values(prediction?.probabilities ?? {});
    expect(probabilities.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 5);
  });
});

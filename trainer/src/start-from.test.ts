import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { CheckpointError, saveCheckpoint } from './checkpoint.js';
import { omniglotPreprocessing } from './data/omniglot.js';
import { exportBundle } from './export.js';
import { newRun } from './run.js';

const settings = {
  model: { architecture: 'conv4', channels: 4, blocks: 3, imageSize: 8 },
  rule: 'sparse-maml',
  normalization: 'layer',
  seed: 5,
};
const wider = { ...settings, model: { ...settings.model, channels: [4, 4, 6] }, seed: 8 };

let folder: string;
let checkpoint: string;
let bundle: string;

const exportTo = async (directory: string, changes: object = {}, patterns?: 'head') => {
  const run = await newRun({ ...settings, ...changes });
  const { patternsOf } = await import('./patterns.js');
  await exportBundle({
    checkpoint: run,
    directory,
    name: 'small',
    version: '0.0.1',
    description: 'for tests',
    preprocessing: omniglotPreprocessing(8),
    ...(patterns ? { patterns: patternsOf(run).filter(({ name }) => name === patterns) } : {}),
  });
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-start-'));
  checkpoint = join(folder, 'other.safetensors');
  bundle = join(folder, 'bundle');
  const run = await newRun(settings);
  await saveCheckpoint(checkpoint, run);
  await exportTo(bundle);
});

const weightOf = (run: Awaited<ReturnType<typeof newRun>>, name: string) => run.state.parameters.get(name)?.value;

describe('a run that starts from another', () => {
  it('takes the same weights of a bundle as of the checkpoint it was exported from', async () => {
    const fresh = { ...settings, seed: 9 };
    const [ofCheckpoint, ofBundle] = [await newRun(fresh, checkpoint), await newRun(fresh, bundle)];
    const untouched = await newRun(fresh);
    for (const name of ['conv1.weight', 'conv3.weight', 'norm2.bias']) {
      expect(weightOf(ofBundle, name)).toEqual(weightOf(ofCheckpoint, name));
    }
    expect(weightOf(ofBundle, 'conv1.weight')).not.toEqual(weightOf(untouched, 'conv1.weight'));
    expect(ofBundle.state.step).toBe(0);
  });

  it.each(['checkpoint', 'bundle'])('takes only the layers asked for of a %s of another size', async (kind) => {
    const path = kind === 'bundle' ? bundle : checkpoint;
    const grown = await newRun(wider, path, ['block1', 'block2']);
    const [same, fresh] = [await newRun(settings, path), await newRun(wider)];
    for (const name of ['conv1.weight', 'conv2.weight', 'norm2.weight']) {
      expect(weightOf(grown, name)).toEqual(weightOf(same, name));
    }
    for (const name of ['conv3.weight', 'norm3.bias', 'head.scale', 'mask/conv1.weight']) {
      expect(weightOf(grown, name)).toEqual(weightOf(fresh, name));
    }
    expect(weightOf(grown, 'conv3.weight')).toHaveLength(6 * 4 * 9);
  });

  it('is refused where the network is another, or a layer is, or there is none of the name', async () => {
    await expect(newRun(wider, bundle)).rejects.toThrow(
      /another architecture: expected .*\[4,4,6\].*, got .*"channels":4/,
    );
    await expect(newRun(wider, checkpoint, ['block3'])).rejects.toThrow(
      'layer "block3": expected "conv3.weight" of [6, 4, 3, 3], 216 numbers, got 144',
    );
    await expect(newRun(wider, checkpoint, ['block9'])).rejects.toThrow(
      'layer "block9": expected one of block1, block2, block3',
    );
  });

  it('is refused where a bundle does not hold all weights, its settings or its moments, naming it', async () => {
    const part = join(folder, 'part');
    await exportTo(part, {}, 'head');
    await expect(newRun(settings, part)).rejects.toThrow(`bundle "${part}": expected a pattern in which all weights`);
    const population = join(folder, 'population');
    await exportTo(population, { normalization: 'population' });
    await expect(newRun(settings, population)).rejects.toThrow('keeps no population moments');
    const compiled = join(folder, 'compiled');
    await exportTo(compiled);
    const manifest = JSON.parse(await readFile(join(compiled, 'manifest.json'), 'utf8'));
    delete manifest.provenance.config;
    await writeFile(join(compiled, 'manifest.json'), JSON.stringify(manifest));
    await expect(newRun(settings, compiled)).rejects.toThrow('expected a bundle of `whet export`');
    await expect(newRun(settings, folder)).rejects.toThrow(CheckpointError);
    await expect(newRun(settings, join(folder, 'nowhere'))).rejects.toThrow(CheckpointError);
  });
});

import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { omniglotPreprocessing } from '../data/omniglot.js';
import { exportBundle } from '../export/export.js';
import { CheckpointError, saveCheckpoint } from './checkpoint.js';
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
  const { patternsOf } = await import('../export/patterns.js');
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
  run.state.parameters.get('head.scale')?.value.fill(0.5);
  await saveCheckpoint(checkpoint, run);
  await exportTo(bundle);
});

const weightOf = (run: Awaited<ReturnType<typeof newRun>>, name: string) => run.state.parameters.get(name)?.value;

describe('a run that starts from another', () => {
  it('takes the same weights of a bundle as of the checkpoint it was exported from', async () => {
    const fresh = { ...settings, seed: 9 };
    const untouched = await newRun(fresh);
    const [ofCheckpoint, ofBundle] = [await newRun(fresh, checkpoint), await newRun(fresh, bundle)];
    // What a bundle does not keep starts anew, from whatever checkpoint.
    const anew = new Set([...untouched.state.parameters.keys()].filter((name) => /^(mask|head)/.test(name)));
    for (const name of untouched.state.parameters.keys()) {
      expect(weightOf(ofBundle, name), name).toEqual(weightOf(anew.has(name) ? untouched : ofCheckpoint, name));
    }
    expect(anew.has('head.scale') && anew.has('mask/conv1.weight')).toBe(true);
    expect(weightOf(ofBundle, 'conv1.weight')).not.toEqual(weightOf(untouched, 'conv1.weight'));
    expect(ofBundle.state.step).toBe(0);
  });

  it.each(['checkpoint', 'bundle'])('takes only the layers asked for of a %s of another size', async (kind) => {
    const path = kind === 'bundle' ? bundle : checkpoint;
    const grown = await newRun(wider, path, ['block1', 'block2']);
    const [same, fresh] = [await newRun(settings, path), await newRun(wider)];
    // A checkpoint has masks of these layers too, which a bundle has not.
    for (const name of ['conv1.weight', 'conv2.weight', 'norm2.weight', 'mask/conv2.weight']) {
      const expected = kind === 'bundle' && name.startsWith('mask') ? fresh : same;
      expect(weightOf(grown, name), name).toEqual(weightOf(expected, name));
    }
    for (const name of ['conv3.weight', 'norm3.bias', 'head.scale', 'mask/conv3.weight']) {
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
      'layer "block9": expected one of block1, block2, block3, head',
    );
  });

  it('is refused where a bundle does not hold all weights, what its head learned or its settings, naming it', async () => {
    const part = join(folder, 'part');
    await exportTo(part, {}, 'head');
    await expect(newRun(settings, part)).rejects.toThrow(`bundle "${part}": expected a pattern in which all weights`);
    const shared = join(folder, 'shared');
    await exportTo(shared, { head: 'shared' });
    await expect(newRun(settings, shared)).rejects.toThrow('does not keep what a shared head learned');
    await expect(newRun(wider, bundle, ['head'])).rejects.toThrow(
      'layer "head": expected "head.scale" of [1], 1 numbers, got none',
    );
    const compiled = join(folder, 'compiled');
    await exportTo(compiled);
    const manifest = JSON.parse(await readFile(join(compiled, 'manifest.json'), 'utf8'));
    delete manifest.provenance.config;
    await writeFile(join(compiled, 'manifest.json'), JSON.stringify(manifest));
    await expect(newRun(settings, compiled)).rejects.toThrow('expected a bundle of `whet export`');
    manifest.provenance.config = { ...settings, later: true };
    await writeFile(join(compiled, 'manifest.json'), JSON.stringify(manifest));
    await expect(newRun(settings, compiled)).rejects.toThrow(/settings of its run: .*later/s);
    await expect(newRun(settings, folder)).rejects.toThrow(CheckpointError);
    await expect(newRun(settings, join(folder, 'nowhere'))).rejects.toThrow(CheckpointError);
  });
});

import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CheckpointError, loadCheckpoint, saveCheckpoint } from './checkpoint.js';
import { runConfigSchema } from './config.js';
import { newRun } from './run.js';
import { settings } from './small-run.test.helper.js';
import { startFrom, startOf } from './start-from.js';
import { initialState } from './state.js';

describe('checkpoints', () => {
  it('come back bit for bit', async () => {
    const path = join(await mkdtemp(join(tmpdir(), 'whet-checkpoint-')), 'deep', 'a.safetensors');
    const checkpoint = await newRun(settings);
    checkpoint.state.step = 17;
    checkpoint.state.bestValidation = 0.1 + 0.2;
    await saveCheckpoint(path, checkpoint);
    expect(await loadCheckpoint(path)).toEqual(checkpoint);
  });

  it('are refused when damaged, naming the file', async () => {
    const path = join(await mkdtemp(join(tmpdir(), 'whet-checkpoint-')), 'a.safetensors');
    await saveCheckpoint(path, await newRun(settings));
    await writeFile(path, (await readFile(path)).subarray(0, -4));
    await expect(loadCheckpoint(path)).rejects.toThrow(CheckpointError);
    await expect(loadCheckpoint(path)).rejects.toThrow(path);
    await expect(loadCheckpoint(`${path}.missing`)).rejects.toThrow(CheckpointError);
  });

  it('start another rule from their weights, with fresh masks, and only the same network', async () => {
    const other = await newRun({ ...settings, rule: 'maml', seed: 9 });
    other.state.step = 100;
    const config = runConfigSchema.parse(settings);
    const state = startFrom(config, startOf(other));
    expect(state.step).toBe(0);
    expect(state.parameters.get('conv1.weight')?.value).toEqual(other.state.parameters.get('conv1.weight')?.value);
    expect(state.parameters.get('mask/conv1.weight')).toEqual(initialState(config).parameters.get('mask/conv1.weight'));
    const wider = runConfigSchema.parse({ ...settings, model: { ...settings.model, channels: 8 } });
    expect(() => startFrom(wider, startOf(other))).toThrow(/another architecture/);
  });
});

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CheckpointError, saveCheckpoint } from './checkpoint.js';
import { newRun } from './run.js';
import { RunError, readMetrics, readRun } from './run-folder.js';

const line = (step: number) =>
  JSON.stringify({ step, outerSteps: 9, loss: 0.5, accuracy: 0.8, rate: 2, validation: { mean: 0.9, halfWidth: 0.1 } });

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-run-folder-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function metricsFile(text: string): Promise<string> {
  const path = join(folder, 'metrics.jsonl');
  await writeFile(path, text);
  return path;
}

describe('the metrics of a run', () => {
  it('are read line by line, but for one that is being written', async () => {
    const path = await metricsFile(`${line(1)}\n${line(2)}\n{"step":3,"lo`);
    expect((await readMetrics(path)).map(({ step, frozen }) => [step, frozen])).toEqual([
      [1, {}],
      [2, {}],
    ]);
    expect(await readMetrics(await metricsFile(`${line(1)}\n${line(2)}`))).toHaveLength(2);
  });

  it.each([
    ['no line', '', /expected at least one validation, got none yet/],
    ['half a line', '{"step"', /got none yet/],
    ['a line that is none', `${line(1)}\nnonsense\n`, /line 2: the line: Invalid input/],
    ['a figure that is none', `${line(1).replace('0.5', '"x"')}\n`, /line 1: loss: /],
  ])('are refused with %s', async (_, text, message) => {
    const path = await metricsFile(text);
    await expect(readMetrics(path)).rejects.toThrow(RunError);
    await expect(readMetrics(path)).rejects.toThrow(message);
  });
});

describe('the folder of a run', () => {
  it('holds metrics and a checkpoint', async () => {
    const run = join(folder, 'run');
    await expect(readRun(run)).rejects.toThrow(/run: expected the folder of a run .*got no such folder/);
    await mkdir(run);
    await expect(readRun(run)).rejects.toThrow(/metrics\.jsonl: expected the metrics of a run, got no such file/);
    await writeFile(join(run, 'metrics.jsonl'), `${line(1)}\n`);
    await expect(readRun(run)).rejects.toThrow(CheckpointError);
    await expect(readRun(join(run, 'metrics.jsonl'))).rejects.toThrow(/got a file/);
    const model = { architecture: 'conv4', channels: 2, blocks: 1, imageSize: 4 };
    const checkpoint = await newRun({ model, rule: 'maml' });
    await saveCheckpoint(join(run, 'last.safetensors'), checkpoint);
    const read = await readRun(run);
    expect(read.metrics).toHaveLength(1);
    expect(read.checkpoint.config).toEqual(checkpoint.config);
  });
});

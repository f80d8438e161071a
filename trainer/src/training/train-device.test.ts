import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Backend } from '@whet/compiler';
import { describe, expect, it } from 'vitest';
import { reportingFailures } from '../backends/device-backend.js';
import { DeviceError } from '../backends/errors.js';
import { ortBackend } from '../backends/ort.js';
import { drawings } from '../data/drawings.test.helper.js';
import { newRun, resumeFrom } from './run.js';
import { train } from './train.js';

const dataset = drawings({ train: 6, validation: 4, test: 4 }, { images: 4 });

const settings = {
  model: { architecture: 'conv4', channels: 2, blocks: 1, imageSize: 8 },
  rule: 'maml',
  innerSteps: 1,
  ways: 2,
  queries: 1,
  tasksPerStep: 2,
  outerSteps: 6,
  validation: { every: 2, tasks: 1, ways: 2, shots: 1, queries: 1 },
};

/** A device that takes `runs` training runs and then fails for good. */
function dying(runs: number, message: string): Backend {
  const inner = ortBackend({ threads: 1 });
  let left = runs;
  return reportingFailures({
    name: 'ort-webgpu',
    device: 'WebGPU (a card)',
    compile: async (graph) => {
      const executable = await inner.compile(graph);
      const counted = graph.name.startsWith('meta-gradient');
      return {
        run: (feeds) => (counted && left-- <= 0 ? Promise.reject(new Error(message)) : executable.run(feeds)),
        release: async () => {
          await executable.release();
          throw new Error('the device is gone');
        },
      };
    },
  });
}

describe('a device that fails in mid-run', () => {
  it.each([
    ['is lost', 'Device lost: hung', 'ort-webgpu on WebGPU (a card): the device was lost: Device lost: hung'],
    ['runs out of memory', 'CUDA out of memory', 'the device is out of memory: CUDA out of memory'],
  ])('%s: the run stops there, and goes on elsewhere from its last checkpoint', async (_, message, said) => {
    const folder = await mkdtemp(join(tmpdir(), 'whet-device-'));
    const checkpoints = { last: join(folder, 'last.safetensors'), best: join(folder, 'best.safetensors') };
    const broken = await newRun(settings);
    // Seven of eight runs of the first four steps; the checkpoint is that of the second.
    const error = await train({ ...broken, dataset, backend: dying(7, message), checkpoints }).catch(
      (caught) => caught,
    );
    expect(error).toBeInstanceOf(DeviceError);
    expect(error.message).toContain(said);
    const kept = await readFile(checkpoints.last);
    const resumed = await resumeFrom(checkpoints.last);
    expect(resumed.state.step).toBe(2);
    expect(await readFile(checkpoints.last)).toEqual(kept);

    const backend = ortBackend({ threads: 1 });
    const whole = await newRun(settings);
    await train({ ...whole, dataset, backend });
    await train({ ...resumed, dataset, backend, checkpoints });
    expect(resumed.state.parameters).toEqual(whole.state.parameters);
  });

  it('does not take how many tasks it had room for to the next device', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'whet-device-'));
    const checkpoints = { last: join(folder, 'last.safetensors'), best: join(folder, 'best.safetensors') };
    const lengths = new Set<number | undefined>();
    const inner = ortBackend({ threads: 1 });
    const backend: Backend = {
      ...inner,
      compile: async (graph) => {
        lengths.add(graph.outputs.get('loss')?.shape[0] as number | undefined);
        return inner.compile(graph);
      },
    };
    const run = await newRun({ ...settings, outerSteps: 2 });
    await train({ ...run, dataset, backend, checkpoints, taskBatch: 2 });
    // That of training has two losses, that of validation one.
    expect(lengths).toEqual(new Set([2, undefined]));
    expect((await resumeFrom(checkpoints.last)).config.taskBatch).toBeUndefined();

    // What was asked for is a setting of the run.
    lengths.clear();
    const asked = await newRun({ ...settings, outerSteps: 2, taskBatch: 1 });
    await train({ ...asked, dataset, backend, taskBatch: 2 });
    expect(lengths).toEqual(new Set([undefined]));
  });
});

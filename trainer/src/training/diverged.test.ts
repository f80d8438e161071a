import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Backend } from '@whet/compiler';
import { beforeAll, describe, expect, it } from 'vitest';
import { ortBackend } from '../backends/ort.js';
import { saveCheckpoint } from './checkpoint.js';
import { DivergedError, type WentBack } from './last-good.js';
import { openMetrics } from './metrics.js';
import { newRun, resumeFrom } from './run.js';
import { run, settings } from './small-run.test.helper.js';

describe('training that diverges', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'whet-diverged-'));
  });

  it('stops at the first loss that is not finite, and leaves the last checkpoint as it was', async () => {
    const checkpoint = await newRun(settings);
    const checkpoints = { last: join(folder, 'diverged.safetensors'), best: join(folder, 'diverged-best.safetensors') };
    await saveCheckpoint(checkpoints.last, checkpoint);
    const before = await readFile(checkpoints.last);
    checkpoint.state.parameters.get('conv1.weight')?.value.fill(Number.NaN);
    await expect(run(checkpoint, { checkpoints })).rejects.toThrow(DivergedError);
    await expect(run(checkpoint, { checkpoints })).rejects.toThrow('outer step 1: the loss of task 0 is NaN');
    expect(await readFile(checkpoints.last)).toEqual(before);
  });

  it('stops at a gradient that is not finite, before it reaches a weight', async () => {
    const inner = ortBackend({ threads: 1 });
    const backend: Backend = {
      name: 'poisoned',
      device: inner.device,
      compile: async (graph) => {
        const executable = await inner.compile(graph);
        const run: typeof executable.run = async (feeds) => {
          const outputs = await executable.run(feeds);
          outputs.get('grad/norm1.bias')?.data.fill(Number.NaN);
          return outputs;
        };
        return { ...executable, run };
      },
    };
    const checkpoint = await newRun(settings);
    const before = checkpoint.state.parameters.get('norm1.bias')?.value.slice();
    await expect(run(checkpoint, { backend })).rejects.toThrow('outer step 1: the gradient of "norm1.bias" is NaN');
    expect(checkpoint.state.parameters.get('norm1.bias')?.value).toEqual(before);
  });

  describe('where a loss is no number', () => {
    /** Makes the loss of the tasks of some outer steps NaN, counted over all runs, from 1. */
    function poisoned(isBad: (outerStep: number) => boolean): Backend {
      const inner = ortBackend({ threads: 1 });
      let runs = 0;
      return {
        name: 'poisoned',
        device: inner.device,
        compile: async (graph) => {
          const executable = await inner.compile(graph);
          if (!graph.name.startsWith('meta-gradient')) return executable;
          const run: typeof executable.run = async (feeds) => {
            const outputs = await executable.run(feeds);
            if (isBad(Math.ceil(++runs / settings.tasksPerStep))) outputs.get('loss')?.data.fill(Number.NaN);
            return outputs;
          };
          return { ...executable, run };
        },
      };
    }
    const stateOf = ({ state: { parameters, moments, step, halved } }: Awaited<ReturnType<typeof newRun>>) => ({
      ...{ parameters, moments, step, halved },
    });

    it('goes on from the last good validation at half the rates', async () => {
      const went: WentBack[] = [];
      const checkpoint = await newRun(settings);
      const metrics = join(folder, 'went-back.jsonl');
      const opened = await openMetrics(metrics, 0);
      // The state of step 3 is not known to be good before a step from it was.
      await run(checkpoint, {
        backend: poisoned((step) => step === 4),
        metrics: opened,
        onWentBack: (where) => went.push(where),
      });
      expect(went).toEqual([{ cause: 'outer step 4: the loss of task 0 is NaN', step: 0, halved: 1 }]);
      const halves = await newRun(settings);
      halves.state.halved = 1;
      await run(halves);
      expect(stateOf(checkpoint)).toEqual(stateOf(halves));
      const steps = (await readFile(metrics, 'utf8'))
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).step);
      expect(steps).toEqual([3, 6]);
    });

    it('arrives where it would have, when it was stopped before', async () => {
      const bad = (step: number) => step === 5;
      const whole = await newRun(settings);
      const went: WentBack[] = [];
      await run(whole, { backend: poisoned(bad), onWentBack: (where) => went.push(where) });
      expect(went).toEqual([{ cause: 'outer step 5: the loss of task 0 is NaN', step: 3, halved: 1 }]);

      const backend = poisoned(bad);
      const [last, best, good] = ['back-last', 'back-best', 'back-good'].map((name) => join(folder, name)) as [
        string,
        string,
        string,
      ];
      const part = await newRun(settings);
      const controller = new AbortController();
      const stopping: Backend = {
        ...backend,
        compile: async (graph) => {
          const executable = await backend.compile(graph);
          if (!graph.name.startsWith('meta-gradient')) return executable;
          return {
            ...executable,
            run: async (feeds) => {
              if (part.state.step === 3) controller.abort();
              return executable.run(feeds);
            },
          };
        },
      };
      await run(part, { backend: stopping, checkpoints: { last, best, good }, signal: controller.signal });
      expect(part.state.step).toBe(4);
      const resumed = await resumeFrom(last, { good });
      expect([resumed.state.step, resumed.good?.step]).toEqual([4, 3]);
      await run(resumed, { backend, checkpoints: { last, best, good } });
      expect(stateOf(resumed)).toEqual(stateOf(whole));
    });

    it('ends after some times, with what was wrong', async () => {
      const checkpoint = await newRun(settings);
      await expect(run(checkpoint, { backend: poisoned((step) => step > 4) })).rejects.toThrow(
        'outer step 4: the loss of task 0 is NaN; the outer rates were halved 8 times already',
      );
    });
  });
});

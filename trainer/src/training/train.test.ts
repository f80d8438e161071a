import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Backend, nodesOf, referenceBackend } from '@whet/compiler';
import { beforeAll, describe, expect, it } from 'vitest';
import { ortBackend } from '../backends/ort.js';
import { loadCheckpoint } from './checkpoint.js';
import { frozenShare } from './masks.js';
import { openMetrics } from './metrics.js';
import { newRun, resumeFrom } from './run.js';
import { dataset, run, settings } from './small-run.test.helper.js';
import { train } from './train.js';

describe('training', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'whet-train-'));
  });

  it('resumes to exactly where an uninterrupted run arrives, metrics included', async () => {
    const whole = await newRun(settings);
    const wholeMetrics = join(folder, 'whole.jsonl');
    await run(whole, { metrics: await openMetrics(wholeMetrics, 0) });

    const part = await newRun(settings);
    const checkpoints = { last: join(folder, 'last.safetensors'), best: join(folder, 'best.safetensors') };
    const metrics = join(folder, 'metrics.jsonl');
    const controller = new AbortController();
    await run(part, {
      checkpoints,
      metrics: await openMetrics(metrics, 0),
      signal: controller.signal,
      onProgress: ({ step }) => step === 3 && controller.abort(),
    });
    expect(part.state.step).toBe(3);
    // What a crash may leave behind: figures of steps the checkpoint does not have, and half a line.
    await writeFile(metrics, `${await readFile(metrics, 'utf8')}{"step":5}\n{"ste`);

    const resumed = await resumeFrom(checkpoints.last);
    await run(resumed, { checkpoints, metrics: await openMetrics(metrics, resumed.state.step) });
    for (const [name, { value, first, second }] of whole.state.parameters) {
      const other = resumed.state.parameters.get(name);
      expect([other?.value, other?.first, other?.second], name).toEqual([value, first, second]);
    }
    expect(resumed.state.moments).toEqual(whole.state.moments);
    const figures = async (path: string) =>
      (await readFile(path, 'utf8'))
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
        .map(({ step, loss, accuracy, validation, frozen }) => ({ step, loss, accuracy, validation, frozen }));
    expect(await figures(metrics)).toEqual(await figures(wholeMetrics));
  });

  it('arrives at the same weights with tasks drawn ahead in a thread or computed in two, and about the same with all in one graph', async () => {
    const weights = async (changes: object, extra: Parameters<typeof run>[1] = {}) => {
      const checkpoint = await newRun({ ...settings, ...changes });
      await run(checkpoint, extra);
      return checkpoint.state;
    };
    const plain = await weights({});
    expect(await weights({}, { prefetch: true })).toEqual(plain);
    expect(await weights({}, { backend: ortBackend({ threads: 1, workers: 2 }) })).toEqual(plain);
    // One step in float64: float32 breaks ties of pooling one way or another, and Adam enlarges small differences.
    const exact = { backend: referenceBackend };
    const apart = await weights({ outerSteps: 1, shots: [1] }, exact);
    const together = await weights({ outerSteps: 1, shots: [1], taskBatch: 2 }, exact);
    const farthest = (a: Float32Array | undefined, b: Float32Array) =>
      Math.max(...b.map((value, i) => Math.abs(value - (a?.[i] ?? Number.NaN))));
    for (const [name, { first }] of apart.parameters) {
      expect(farthest(together.parameters.get(name)?.first, first), name).toBeLessThan(1e-6);
    }
    for (const [name, { mean, variance }] of apart.moments) {
      expect(farthest(together.moments.get(name)?.mean, mean), name).toBeLessThan(1e-6);
      expect(farthest(together.moments.get(name)?.variance, variance), name).toBeLessThan(1e-6);
    }
  });

  it('weights the losses after each inner step, first alike and then the last alone', async () => {
    const weights: number[][] = [];
    const backend: Backend = {
      ...referenceBackend,
      compile: async (graph) => {
        const executable = await ortBackend({ threads: 1 }).compile(graph);
        return {
          ...executable,
          run: (feeds) => {
            const given = feeds.get('stepWeights');
            if (given) weights.push(Array.from(given.data));
            return executable.run(feeds);
          },
        };
      },
    };
    const checkpoint = await newRun({ ...settings, innerSteps: 2, tasksPerStep: 1, stepLosses: { until: 4 } });
    await run(checkpoint, { backend });
    expect(weights).toEqual([
      [0.5, 0.5],
      [0.375, 0.625],
      [0.25, 0.75],
      [0.125, 0.875],
      [0, 1],
      [0, 1],
    ]);
  });

  it('ends after validations that are no better, counts them on when it is resumed, and stays ended', async () => {
    const patient = {
      ...settings,
      rule: 'maml',
      momentRate: 0,
      outerRate: 1e-12,
      outerSteps: 40,
      validation: { ...settings.validation, every: 1, patience: 3 },
    };
    const whole = await newRun(patient);
    await run(whole);
    // The first is the best; nothing moves after that.
    expect(whole.state).toMatchObject({ step: 4, validationsSinceBest: 3 });

    const part = await newRun({ ...patient, outerSteps: 2 });
    const checkpoints = { last: join(folder, 'patient.safetensors'), best: join(folder, 'patient-best.safetensors') };
    await run(part, { checkpoints });
    const resumed = await resumeFrom(checkpoints.last, { outerSteps: 40 });
    expect(resumed.state.validationsSinceBest).toBe(1);
    await run(resumed, { checkpoints });
    expect(resumed.state.step).toBe(4);

    const ended = await resumeFrom(checkpoints.last);
    await run(ended);
    expect(ended.state).toMatchObject({ step: 4, validationsSinceBest: 3 });
  });

  it('validates with inner steps of its own', async () => {
    const inputs: string[][] = [];
    const inner = ortBackend({ threads: 1 });
    const backend: Backend = {
      ...inner,
      compile: (graph) => {
        inputs.push([...new Set(nodesOf(graph.outputs.values()).map(({ name }) => name.split('/')[0] as string))]);
        return inner.compile(graph);
      },
    };
    await run(await newRun({ ...settings, outerSteps: 1, validation: { ...settings.validation, innerSteps: 4 } }), {
      backend,
    });
    expect(inputs.at(-1)).toContain('step@4');
    expect(inputs[0]).not.toContain('step@3');
  });

  it('refuses a number of tasks in a graph that does not divide those of a step', async () => {
    await expect(newRun({ ...settings, taskBatch: 4 })).rejects.toThrow(
      'settings: taskBatch: expected a divisor of the tasks per step',
    );
  });

  it('learns: the loss of a prototype network falls', async () => {
    const losses: number[] = [];
    const checkpoint = await newRun({
      ...settings,
      rule: 'maml',
      innerSteps: 0,
      shots: [2],
      normalization: 'support',
      outerSteps: 80,
      outerRate: 0.01,
      validation: { ...settings.validation, every: 10 },
    });
    // Not those between validations, which come by the clock.
    await run(checkpoint, { onProgress: ({ loss, validation }) => validation && losses.push(loss) });
    expect(losses.at(-1)).toBeLessThan(0.75 * (losses[0] as number));
  });

  it('moves every meta-parameter, masks included, under sparse-MAML', async () => {
    const checkpoint = await newRun(settings);
    const before = new Map([...checkpoint.state.parameters].map(([name, { value }]) => [name, value.slice()]));
    await run(checkpoint);
    for (const [name, value] of before) expect(checkpoint.state.parameters.get(name)?.value, name).not.toEqual(value);
    const shares = frozenShare(checkpoint.config, checkpoint.state);
    expect(Object.keys(shares)).toEqual(['block1', 'block2', 'head']);
    for (const share of Object.values(shares)) expect(share >= 0 && share <= 1).toBe(true);
  });

  it('refuses a shape that the data cannot fill before the first step', async () => {
    const checkpoint = await newRun({ ...settings, validation: { ...settings.validation, shots: 5 } });
    await expect(run(checkpoint)).rejects.toThrow(/expected at least 7 images/);
    expect(checkpoint.state.step).toBe(0);
  });

  it('asks the backend for one executable of first moments, one per number of shots and one to validate, and releases all', async () => {
    const names: string[] = [];
    let open = 0;
    const inner = ortBackend({ threads: 1 });
    const backend: Backend = {
      name: 'counting',
      device: inner.device,
      compile: async (graph) => {
        names.push(graph.name);
        open++;
        const executable = await inner.compile(graph);
        return {
          ...executable,
          release: async () => {
            open--;
            await executable.release();
          },
        };
      },
    };
    await train({ ...(await newRun({ ...settings, outerSteps: 1 })), dataset, backend });
    expect(names).toEqual([
      'initial-moments',
      'meta-gradient/sparse-maml',
      'meta-gradient/sparse-maml',
      'evaluation/sparse-maml',
    ]);
    expect(open).toBe(0);
  });
});

describe('training on the validation classes too', () => {
  it('draws from both splits, never from test classes, and keeps no best checkpoint by classes it has seen', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'whet-train-on-'));
    const checkpoints = { last: join(folder, 'last'), best: join(folder, 'best') };
    // As many ways as both splits have classes: only together they fill a task.
    const changes = { ways: 20, shots: [1], outerSteps: 1, trainOn: 'train+validation', rotations: false };
    const checkpoint = await newRun({ ...settings, ...changes });
    await run(checkpoint, { checkpoints });
    await expect(loadCheckpoint(checkpoints.last)).resolves.toMatchObject({ config: { trainOn: 'train+validation' } });
    await expect(readFile(checkpoints.best)).rejects.toThrow('ENOENT');
    await expect(run(await newRun({ ...settings, ...changes, ways: 21 }))).rejects.toThrow(
      '21 classes for 21 ways, got 20',
    );
    await expect(run(await newRun({ ...settings, ...changes, trainOn: 'train' }))).rejects.toThrow('got 12');
  });

  it('refuses to stop early by them', async () => {
    const validation = { ...settings.validation, patience: 2 };
    await expect(newRun({ ...settings, trainOn: 'train+validation', validation })).rejects.toThrow(
      'validation.patience',
    );
  });
});

describe('settings', () => {
  it.each([
    [
      { ...settings, rule: 'mystery' },
      /settings: rule: expected one of maml, anil, boil, meta-sgd, sparse-maml, sparse-relu-maml/,
    ],
    [{ ...settings, ways: 1 }, /settings: ways/],
    [{ ...settings, tasks: 3 }, /settings/],
    [{ ...settings, shots: [] }, /settings: shots/],
    [{ ...settings, head: 'fixed', ways: 4 }, /settings: validation.ways/],
  ])('refuse %#', async (bad, message) => {
    await expect(newRun(bad)).rejects.toThrow(message);
  });
});

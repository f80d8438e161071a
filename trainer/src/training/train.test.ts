import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Backend, nodesOf, referenceBackend } from '@whet/compiler';
import { beforeAll, describe, expect, it } from 'vitest';
import { ortBackend } from '../backends/ort.js';
import type { Dataset, ImageClass } from '../data/dataset.js';
import { omniglotPreprocessing } from '../data/omniglot.js';
import { generatorFor } from '../data/random.js';
import { CheckpointError, loadCheckpoint, saveCheckpoint } from './checkpoint.js';
import { runConfigSchema } from './config.js';
import { DivergedError, type WentBack } from './last-good.js';
import { frozenShare } from './masks.js';
import { openMetrics } from './metrics.js';
import { newRun, resumeFrom } from './run.js';
import { startFrom, startOf } from './start-from.js';
import { initialState } from './state.js';
import { train } from './train.js';

const SIZE = 8;

/** Classes that differ in which quarter of the image is inked, with noise: learnable in a few steps. */
function drawings(split: string, count: number): ImageClass[] {
  return Array.from({ length: count }, (_, i) => {
    const random = generatorFor(3, split, i);
    const base = Uint8Array.from({ length: SIZE * SIZE }, () => (random.uniform() < 0.3 ? 0 : 255));
    const pixels = Uint8Array.from({ length: 6 * SIZE * SIZE }, (__, at) => {
      const flipped = random.uniform() < 0.2;
      return flipped ? 255 - (base[at % (SIZE * SIZE)] as number) : (base[at % (SIZE * SIZE)] as number);
    });
    return { name: `${split} ${i}`, count: 6, pixels };
  });
}

const dataset: Dataset = {
  name: 'synthetic',
  preprocessing: omniglotPreprocessing(SIZE),
  splits: { train: drawings('train', 12), validation: drawings('validation', 8), test: drawings('test', 8) },
};

const settings = {
  model: { architecture: 'conv4', channels: 4, blocks: 2, imageSize: SIZE },
  rule: 'sparse-maml',
  innerSteps: 2,
  ways: 3,
  shots: [1, 2],
  queries: 2,
  tasksPerStep: 2,
  outerSteps: 6,
  momentRate: 0.1,
  seed: 5,
  validation: { every: 3, tasks: 4, ways: 3, shots: 1, queries: 2 },
};

const run = (state: Awaited<ReturnType<typeof newRun>>, extra: Partial<Parameters<typeof train>[0]> = {}) =>
  train({ ...state, dataset, backend: ortBackend({ threads: 1 }), ...extra });

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

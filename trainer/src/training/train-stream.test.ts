import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Backend, GraphBuilder } from '@whet/compiler';
import { describe, expect, it } from 'vitest';
import { ortBackend } from '../backends/ort.js';
import { drawings } from '../data/drawings.test.helper.js';
import { stagesOf } from '../task/stages.js';
import { checkTasks } from './check-tasks.js';
import { frozenShare } from './masks.js';
import { newRun, resumeFrom } from './run.js';
import { train } from './train.js';

const dataset = drawings({ train: 8, validation: 6, test: 0 });

const settings = {
  model: { architecture: 'conv4', channels: 4, blocks: 2, imageSize: 8 },
  rule: 'sparse-maml',
  innerSteps: 1,
  ways: 2,
  shots: [1, 2],
  queries: 2,
  tasksPerStep: 2,
  outerSteps: 6,
  stream: { stages: [2, 3], remember: 1 },
  validation: { every: 3, tasks: 2, ways: 2, shots: 1, queries: 2 },
};

type Run = Awaited<ReturnType<typeof newRun>>;

const run = (checkpoint: Run, extra: Partial<Parameters<typeof train>[0]> = {}) =>
  train({ ...checkpoint, dataset, backend: ortBackend({ threads: 1 }), ...extra });

describe('training on streams', () => {
  it('resumes to exactly where an uninterrupted run arrives, tasks drawn ahead or not, every meta-parameter moved', async () => {
    const whole = await newRun(settings);
    const before = new Map([...whole.state.parameters].map(([name, { value }]) => [name, value.slice()]));
    await run(whole);
    for (const [name, value] of before) expect(whole.state.parameters.get(name)?.value, name).not.toEqual(value);
    expect(Object.keys(frozenShare(whole.config, whole.state))).toEqual(['block1', 'block2', 'head']);

    const part = await newRun(settings);
    const last = join(await mkdtemp(join(tmpdir(), 'whet-stream-')), 'last.safetensors');
    const controller = new AbortController();
    await run(part, {
      checkpoints: { last, best: `${last}-best` },
      signal: controller.signal,
      prefetch: true,
      onProgress: ({ step }) => step === 3 && controller.abort(),
    });
    expect(part.state.step).toBe(3);
    const resumed = await resumeFrom(last);
    await run(resumed, { prefetch: true });
    expect(resumed.state).toEqual(whole.state);
  });

  it('goes round the numbers of stages and of shots, and validates with as many as said', async () => {
    const rows: string[] = [];
    const inner = ortBackend({ threads: 1 });
    const backend: Backend = {
      ...inner,
      compile: async (graph) => {
        const executable = await inner.compile(graph);
        return {
          ...executable,
          run: (feeds) => {
            const [support, query] = ['supportLabels', 'queryLabels'].map((name) => feeds.get(name)?.shape);
            if (support) rows.push(`${graph.name.split('/')[0]} ${support} ${query}`);
            return executable.run(feeds);
          },
        };
      },
    };
    const one = { tasksPerStep: 1, outerSteps: 4, stream: { stages: [2, 3] } };
    await run(await newRun({ ...settings, ...one, validation: { ...settings.validation, every: 4, tasks: 1 } }), {
      backend,
    });
    const trained = ['4,4 8,4', '8,4 8,4', '6,6 12,6', '12,6 12,6'].map((shape) => `meta-gradient ${shape}`);
    expect(rows).toEqual([...trained, 'evaluation 6,6 12,6']);
    const validation = { ...settings.validation, every: 4, tasks: 1, stages: 2 };
    rows.length = 0;
    await run(await newRun({ ...settings, ...one, validation }), { backend });
    expect(rows.at(-1)).toBe('evaluation 4,4 8,4');
  });
});

describe('settings of a stream', () => {
  it.each([
    [{ stream: { stages: [1] } }, /settings: stream.stages.0: .*>=2/],
    [{ stream: { stages: [] } }, /settings: stream.stages/],
    [{ ways: 1 }, /settings: ways/],
    [{ queries: 0 }, /settings: queries/],
    [{ stream: { remember: -1 } }, /settings: stream.remember/],
    [
      { head: 'fixed' },
      'settings: stream: expected a head of any number of classes, got one that is fixed to its ways',
    ],
    [{ stepLosses: { until: 3 } }, 'settings: stepLosses: expected none with a stream, which asks after every stage'],
    [
      { stream: undefined, validation: { ...settings.validation, stages: 2 } },
      'settings: validation.stages: expected none without a stream',
    ],
    [{ rule: 'maml' }, /settings: stream.remember: expected 0, or features that a device has: below what moves/],
    [{ rule: 'boil' }, /settings: stream.remember/],
    [{ normalization: 'support' }, /of an image alone \(normalization population or layer\)/],
    [{ normalization: 'transductive' }, /settings: stream.remember/],
  ])('refuse %j', async (changes, message) => {
    await expect(newRun({ ...settings, ...changes })).rejects.toThrow(message);
  });

  it.each([{ rule: 'anil' }, { rule: 'maml', stream: { stages: [2] } }, { normalization: 'layer' }])(
    'take %j',
    async (changes) => {
      await expect(newRun({ ...settings, ...changes })).resolves.toBeDefined();
    },
  );

  it('ask for as many classes as all stages have together, and say how many would do', async () => {
    const config = async (changes: object) => (await newRun({ ...settings, ...changes })).config;
    const few = await config({ rotations: false, stream: { stages: [2, 9] } });
    expect(() => checkTasks(few, dataset)).toThrow(
      'synthetic, train: expected 18 classes for 9 stages of 2, got 8; --stream 4 would do',
    );
    const wide = await config({ rotations: false, ways: 5, stream: { stages: [2] } });
    expect(() => checkTasks(wide, dataset)).toThrow(
      'train: expected 10 classes for 2 stages of 5, got 8; --ways 4 with --stream 2 would do',
    );
    const asked = await config({ stream: { stages: [2, 9] } });
    expect(() => checkTasks(asked, dataset)).toThrow(
      'synthetic, validation: expected 18 classes for 9 stages of 2, got 6; validation.stages 3 would do',
    );
    await expect(run(await newRun({ ...settings, stream: { stages: [9] } }))).rejects.toThrow('9 stages of 2, got 6');
  });

  it('need groups of one size', () => {
    const g = new GraphBuilder();
    const images = { images: g.input('images', [5, 1]), labels: g.input('labels', [5, 5]) };
    const task = { ways: 5, shots: 1, queries: 1, stages: 2 };
    expect(() => stagesOf(g, task, images, images)).toThrow('expected ways that 2 stages divide, got 5');
  });
});

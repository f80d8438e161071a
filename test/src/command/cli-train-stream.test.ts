import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadCheckpoint } from '@whet/trainer';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeGratings } from './drawn-classes.js';
import { runWhet } from './whet-process.js';

const SETTINGS = {
  model: { architecture: 'conv4', channels: 4, blocks: 2, imageSize: 12 },
  rule: 'sparse-maml',
  normalization: 'layer',
  maskGranularity: 'layer',
  ways: 2,
  queries: 1,
  innerSteps: 1,
  tasksPerStep: 1,
  outerSteps: 2,
  validation: { every: 2, tasks: 1, ways: 2, shots: 1, queries: 1 },
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-cli-train-stream-'));
  await writeFile(join(folder, 'small.json'), JSON.stringify(SETTINGS));
  await writeFile(join(folder, 'stream.json'), JSON.stringify({ ...SETTINGS, stream: { stages: [2, 3] } }));
  await writeGratings(join(folder, 'data'), { train: 6, validation: 6, test: 4 }, { images: 3 });
});
afterAll(() => rm(folder, { recursive: true }));

const whet = (...args: string[]) => runWhet(folder, args);
const train = (...args: string[]) => whet('train', '--data', 'data', '--backend', 'ort-cpu', ...args);

it('trains on streams, goes on, reports, exports, and is asked about streams', async () => {
  const { code, err } = await train('--config', 'small.json', '--stream', '2-3', '--remember', '1', '--run', 'run');
  expect(code, err).toBe(0);
  const { config } = await loadCheckpoint(join(folder, 'run/last.safetensors'));
  expect(config.stream).toEqual({ stages: [2, 3], remember: 1 });
  const resumed = await train('--resume', '--run', 'run', '--outer-steps', '4');
  expect(resumed.code, resumed.err).toBe(0);

  const reported = await whet('report', 'run', '--data', 'data', '--tasks', '2', '--queries', '1');
  expect(reported.code, reported.err).toBe(0);
  const page = await readFile(join(folder, 'run/report.html'), 'utf8');
  expect(page).toContain(
    'Classes arrive in stages: 2, 3 of 2, each adapted to alone, beside at most 1 example of each earlier one',
  );
  expect(page).toContain('in validation of 3 stages of 2');

  const exported = await whet('export', 'run/last.safetensors', '--out', 'bundle');
  expect(exported.code, exported.err).toBe(0);
  const stream = ['--stream', '2', '--ways', '2', '--shots', '1', '--queries', '1', '--tasks', '2'];
  const asked = await whet('evaluate', 'bundle', '--data', 'data', ...stream);
  expect(asked.out, asked.err).toContain('2 stages of 2 new classes');
});

it('takes what options do not say of a stream from the settings', async () => {
  const { code, err } = await train('--config', 'stream.json', '--remember', '2', '--run', 'own');
  expect(code, err).toBe(0);
  const { config } = await loadCheckpoint(join(folder, 'own/last.safetensors'));
  expect(config.stream).toEqual({ stages: [2, 3], remember: 2 });
});

it('asks in validation about what the data has, in the ways of training, where no settings say otherwise', async () => {
  const small = ['--queries', '1', '--outer-steps', '1', '--tasks', '1', '--inner-steps', '1'];
  const less = await train('--ways', '4', '--stream', '2-5', '--run', 'less', ...small);
  expect(less.err).toMatch(
    /note: with what the pictures have: .*validation\.ways 3 in place of 4, validation\.stages 2 in place of 5/,
  );
  const { config } = await loadCheckpoint(join(folder, 'less/last.safetensors'));
  expect(config.validation).toMatchObject({ ways: 3, stages: 2 });
});

it.each([
  [['--stream', '20'], /data, train: expected 40 classes for 20 stages of 2, got 24; --stream 12 would do/],
  [
    ['--stream', '2', '4'],
    /data, validation: expected 8 classes for 4 stages of 2, got 6; validation.stages 3 would do/,
  ],
  [
    ['--stream', '13', '--ways', '20'],
    /data, train: expected 260 classes for 13 stages of 20, got 24; --ways 12 with --stream 2 would do/,
  ],
  [['--stream', '2', '--ways', '1'], /settings: ways/],
  [['--stream', '2', '--queries', '0'], /--queries/],
  [['--remember', '2'], /--remember: expected with --stream/],
  [['--stream', '2', '--remember', '2', '--rule', 'maml'], /settings: stream.remember: expected 0, or features/],
])('refuses %j', async (args, message) => {
  const { code, err } = await train('--config', 'small.json', '--run', 'refused', ...args);
  expect(code).not.toBe(0);
  expect(err).toMatch(message);
});

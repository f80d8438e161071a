import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadBundle } from '@whet/runtime/node';
import { loadCheckpoint } from '@whet/trainer';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runWhet } from './whet-process.js';

const SETTINGS = {
  rule: 'anil',
  ways: 2,
  queries: 1,
  innerSteps: 1,
  tasksPerStep: 1,
  outerSteps: 1,
  validation: { every: 1, tasks: 1, ways: 2, shots: 1, queries: 1 },
};
const CLASSES = { train: ['ape', 'bee'], val: ['cow', 'doe'], test: ['elk', 'fly'] };

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-cli-data-'));
  const model = { architecture: 'conv4', channels: 4, blocks: 2 };
  await writeFile(join(folder, 'small.json'), JSON.stringify({ ...SETTINGS, model: { ...model, imageSize: 12 } }));
  await writeFile(join(folder, 'cifar.json'), JSON.stringify({ ...SETTINGS, model }));
  for (const [split, names] of Object.entries(CLASSES)) {
    for (const [i, name] of names.entries()) {
      for (const [kind, background] of [
        ['colour', i ? '#ff2000' : '#20a0ff'],
        ['grey', i ? '#ffffff' : '#202020'],
      ] as const) {
        const path = join(folder, kind, split, name);
        await mkdir(path, { recursive: true });
        const image = sharp({ create: { width: 12, height: 12, channels: 3, background } });
        const bytes = await image
          .toColourspace(kind === 'grey' ? 'b-w' : 'srgb')
          .png()
          .toBuffer();
        for (const number of [1, 2, 3]) await writeFile(join(path, `${number}.png`), bytes);
      }
    }
  }
  await mkdir(join(folder, 'cifar'));
  const record = (label: number, i: number) =>
    Uint8Array.from({ length: 3073 }, (_, at) => (at ? (at * i) % 256 : label));
  const batch = (i: number) => Buffer.concat([0, 1, 2, 3, 4, 5].map((label) => record(label, i)));
  await writeFile(join(folder, 'cifar', 'data_batch_1.bin'), Buffer.concat([batch(1), batch(2)]));
  await writeFile(join(folder, 'cifar', 'test_batch.bin'), batch(3));
  const split = { train: [0, 1], validation: [2, 3], test: [4, 5] };
  await writeFile(join(folder, 'cifar', 'class-split.json'), JSON.stringify(split));
});
afterAll(() => rm(folder, { recursive: true }));

const whet = (...args: string[]) => runWhet(folder, args);

const train = (data: string, config: string, ...more: string[]) =>
  whet('train', '--data', data, '--config', config, '--run', `run-${data}`, '--backend', 'ort-cpu', ...more);

describe('whet train --data', () => {
  it.each([
    ['colour', 'small.json', 3, 12],
    ['grey', 'small.json', 1, 12],
    ['cifar', 'cifar.json', 3, 32],
  ] as const)(
    'trains on %s, in the channels of the data, to a bundle that decodes alike',
    async (data, config, channels, size) => {
      const trained = await train(data, config);
      expect(trained.err).toContain('anil on ort-cpu');
      expect(trained.code).toBe(0);
      const checkpoint = `run-${data}/last.safetensors`;
      const { model, preprocessing } = (await loadCheckpoint(join(folder, checkpoint))).config;
      expect(model).toMatchObject({ imageChannels: channels, imageSize: size });
      expect((await whet('export', checkpoint, '--out', `bundle-${data}`)).code).toBe(0);
      const { manifest } = await loadBundle(join(folder, `bundle-${data}`));
      expect(manifest.preprocessing).toEqual(preprocessing);
      expect(manifest.preprocessing).toMatchObject({ channels, width: size, invert: false });
      const task = ['--ways', '2', '--shots', '1', '--queries', '1', '--tasks', '2', '--json'];
      const evaluated = await whet('evaluate', `bundle-${data}`, '--data', data, ...task);
      expect(evaluated.err).not.toContain('whet:');
      expect(JSON.parse(evaluated.out)).toHaveLength(1);
      if (data === 'cifar') return;
      const plain = await whet('evaluate', `bundle-${data}`, '--data', `${data}/test`, ...task);
      const figures = (out: string) => (JSON.parse(out) as { accuracy: number; dataset: string }[])[0];
      expect(figures(plain.out)).toMatchObject({ dataset: 'test', accuracy: figures(evaluated.out)?.accuracy });
    },
  );

  it.each([
    ['colour', 'small.json'],
    ['cifar', 'cifar.json'],
  ])(
    'normalizes %s by the mean and standard deviation that are given, in a run called as its settings',
    async (data, config) => {
      const given = ['--mean', '0.5', '0', '-0.25', '--std', '0.25', '0.5', '1'];
      const trained = await whet('train', '--data', data, '--config', config, '--backend', 'ort-cpu', ...given);
      expect(trained.err).not.toContain('whet:');
      const run = join(folder, 'runs', config.slice(0, -'.json'.length));
      const { preprocessing } = (await loadCheckpoint(join(run, 'last.safetensors'))).config;
      expect(preprocessing).toMatchObject({ mean: [0.5, 0, -0.25], std: [0.25, 0.5, 1] });
      await rm(run, { recursive: true });
    },
  );

  it('learns masks at the granularity and the cost of a step that are asked for', async () => {
    const masks = ['--rule', 'sparse-maml', '--mask-granularity', 'channel', '--mask-cost', '0.3'];
    const trained = await train('grey', 'small.json', '--run', 'masks', ...masks);
    expect(trained.err).not.toContain('whet:');
    const { config, state } = await loadCheckpoint(join(folder, 'masks', 'last.safetensors'));
    expect(config).toMatchObject({ maskGranularity: 'channel', maskCost: { weight: 0.3 } });
    expect(state.parameters.get('mask/block1')?.value).toHaveLength(4);
    const refused = await train('grey', 'small.json', '--run', 'no-masks', '--mask-cost', '0.3');
    expect([refused.code, refused.err]).toEqual([1, expect.stringMatching(/maskCost: expected/)]);
  });

  it('halves rates of which steps diverge, says so, and ends when that does not help', async () => {
    const diverging = ['--run', 'diverging', '--rule', 'maml', '--outer-rate', '1e30', '--outer-steps', '3'];
    const { code, err } = await train('grey', 'small.json', ...diverging);
    expect(err).toMatch(
      /note: outer step 2: the loss of task 0 is NaN; the outer rates are halved \(1\/2 of the settings'\), and the run goes on from step 0/,
    );
    expect(err).toMatch(/^whet: outer step 2: .* is NaN; the outer rates were halved 8 times already$/m);
    expect(code).toBe(1);
  });

  it('computes tasks in workers, to the same weights, and starts a wider network from layers of a bundle', async () => {
    const inWorkers = async (run: string, ...args: string[]) => {
      const trained = await train('grey', 'small.json', '--run', run, '--tasks', '2', '--threads', '1', ...args);
      expect(trained.err).not.toContain('whet:');
      const { config, state } = await loadCheckpoint(join(folder, run, 'last.safetensors'));
      return {
        said: trained.err,
        config,
        weights: new Map([...state.parameters].map(([name, { value }]) => [name, value])),
      };
    };
    const alone = await inWorkers('one-worker');
    const { said, weights, config } = await inWorkers('workers', '--workers', '3');
    expect(said).toContain('note: --workers 3: an outer step has 2 to compute, so 2 will do');
    expect(said).toMatch(/2 workers of 1 thread/);
    expect(weights).toEqual(alone.weights);
    // Where nothing is said of threads, a CPU takes workers by itself.
    const resumed = ['--run', 'workers', '--resume', '--outer-steps', String(config.outerSteps + 1)];
    const goneOn = await whet('train', '--data', 'grey', '--backend', 'ort-cpu', ...resumed);
    expect(goneOn.code).toBe(0);
    if (availableParallelism() > 1) expect(goneOn.err).toMatch(/2 workers of \d+ thread/);

    expect((await whet('export', 'one-worker/last.safetensors', '--out', 'narrow')).code).toBe(0);
    const model = { architecture: 'conv4', channels: [4, 6], blocks: 2, imageSize: 12 };
    await writeFile(
      join(folder, 'wider.json'),
      JSON.stringify({ ...SETTINGS, model, outerSteps: 1, outerRate: 1e-30 }),
    );
    const start = ['--config', 'wider.json', '--run', 'wider', '--start-from', 'narrow', '--start-layers', 'block1'];
    const wider = await inWorkers('wider', ...start);
    expect(wider.weights.get('conv1.weight')).toEqual(alone.weights.get('conv1.weight'));
    expect(wider.weights.get('conv2.weight')).toHaveLength(6 * 4 * 9);
    const refused = await train('grey', 'small.json', '--run', 'no-start', '--start-layers', 'block1');
    expect([refused.code, refused.err]).toEqual([1, expect.stringMatching(/--start-layers: expected --start-from/)]);
  });

  it.each<[string, string[], RegExp]>([
    [
      'one mean for three channels',
      ['--mean', '0.5'],
      /image folders: mean: expected 3 numbers, one per channel, got 0\.5/,
    ],
    ['a standard deviation of 0', ['--std', '0.5', '0'], /'--std <x\.\.\.>' .* expected a positive number/],
    ['a mean that is no number', ['--mean', 'half'], /'--mean <x\.\.\.>' .* expected a number/],
    [
      'other settings of a run that goes on',
      ['--resume', '--run', 'run', '--shots', '2', '--inner-steps', '3'],
      /--resume goes on with the settings of the run; leave out --shots, --inner-steps/,
    ],
    ['--resume without the folder of a run', ['--resume'], /--resume: expected --run/],
    [
      'a run that is there already',
      ['--rule', 'boil'],
      /^whet: runs\/colour-boil\/last\.safetensors exists; go on with --resume/m,
    ],
  ])('refuses %s', async (_what, args, message) => {
    await mkdir(join(folder, 'runs', 'colour-boil'), { recursive: true });
    await writeFile(join(folder, 'runs', 'colour-boil', 'last.safetensors'), '');
    const refused = await whet('train', '--data', 'colour', '--backend', 'ort-cpu', ...args);
    expect([refused.code, refused.err]).toEqual([1, expect.stringMatching(message)]);
  });

  it('names a corrupt image, and goes on without it where that is asked for', async () => {
    await writeFile(join(folder, 'colour', 'train', 'ape', '0.png'), 'no image');
    const refused = await train('colour', 'small.json', '--run', 'other');
    expect(refused.code).toBe(1);
    expect(refused.err).toMatch(
      /^whet: colour\/train\/ape\/0\.png: expected a PNG, JPEG, WebP, GIF, TIFF or AVIF image/m,
    );
    const trained = await train('colour', 'small.json', '--run', 'other', '--skip-corrupt');
    expect(trained.err).toContain('left out 1 corrupt images: train/ape/0.png');
    expect(trained.code).toBe(0);
  });

  it('says what it expected of a folder that is none, and that a network takes other images', async () => {
    await mkdir(join(folder, 'none', 'cats'), { recursive: true });
    expect((await train('none', 'small.json')).err).toMatch(
      /--data none: expected image folders .*CIFAR .*, got cats$/m,
    );
    expect((await train('cifar', 'small.json', '--run', 'third')).err).toContain(
      'cifar-10: expected images of 12 x 12 x 3 (model.imageSize, model.imageChannels), got 32 x 32 x 3',
    );
  });
});

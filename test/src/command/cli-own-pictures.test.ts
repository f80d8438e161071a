import { mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadCheckpoint } from '@whet/trainer';
import { zipSync } from 'fflate';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeGratings } from './drawn-classes.js';
import { runWhet } from './whet-process.js';

// Pictures as people have them: classes in folders, a zip file or a table, without splits.

const SETTINGS = {
  model: { architecture: 'conv4', channels: 4, blocks: 2, imageSize: 12 },
  rule: 'anil',
  ways: 2,
  queries: 1,
  innerSteps: 1,
  tasksPerStep: 1,
  outerSteps: 1,
  validation: { every: 1, tasks: 1, ways: 2, shots: 1, queries: 1 },
};
const CLASSES = 7;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-cli-own-'));
  await writeFile(join(folder, 'small.json'), JSON.stringify(SETTINGS));
  await writeGratings(join(folder, 'photos'), { '.': CLASSES }, { images: 3 });
  const files = await filesOf('photos');
  const packed = await Promise.all(
    files.map(async (path) => [`mine/${path}`, await readFile(join(folder, 'photos', path))] as const),
  );
  await writeFile(join(folder, 'photos.zip'), zipSync(Object.fromEntries(packed)));
  const lines = files.map((path) => `photos/${path},${path.split('/')[0]}`);
  await writeFile(join(folder, 'photos.csv'), ['path,label', ...lines].join('\n'));
});
afterAll(() => rm(folder, { recursive: true }));

async function filesOf(place: string): Promise<string[]> {
  const names = await readdir(join(folder, place), { recursive: true });
  return names.filter((name) => name.endsWith('.png')).sort();
}

const whet = (...args: string[]) => runWhet(folder, args);
const train = (data: string, run: string, ...more: string[]) =>
  whet('train', '--data', data, '--config', 'small.json', '--run', run, '--backend', 'ort-cpu', ...more);

/** The classes that a command says a split has. */
const saidOf = (err: string, split: string) => new RegExp(`^  ${split}: (.*)$`, 'm').exec(err)?.[1]?.split(', ');

describe('pictures without splits', () => {
  it('are split by class, which is said first, whether in folders, a zip file or a table', async () => {
    const weights = [];
    for (const data of ['photos', 'photos.zip', 'photos.csv']) {
      const { code, err } = await train(data, `run-${data}`);
      expect(code, err).toBe(0);
      expect(err.split('\n')[0]).toBe(`run-${data}: training on ${data}`);
      expect(err).toContain(
        'photos: 7 classes, split by class (seed 0): train 3 (9 images), validation 2 (6 images), test 2',
      );
      const said = ['train', 'validation', 'test'].flatMap((split) => saidOf(err, split));
      expect(said.sort()).toEqual(Array.from({ length: CLASSES }, (_, i) => `class-${i}`));
      const { config, state } = await loadCheckpoint(join(folder, `run-${data}`, 'last.safetensors'));
      expect(config.splitSeed).toBe(0);
      weights.push([...state.parameters].map(([name, { value }]) => [name, value]));
    }
    expect(weights[1]).toEqual(weights[0]);
    expect(weights[2]).toEqual(weights[0]);
  });

  it('stay split where the run goes on, and where its bundle is measured', async () => {
    const { err } = await train('photos', 'other', '--split-seed', '2');
    const tested = saidOf(err, 'test');
    // A rate and what is left are said from the first step on, whatever the number of steps.
    const long = await train('photos', 'long', '--outer-steps', '15');
    expect(long.err).toMatch(/^train: 1\/15 [\d.]+ steps\/s \| loss [\d.]+ \| acc [\d.]+ %/m);
    expect((await train('photos', 'more', '--split-seed', '5')).err).not.toContain(saidOf(err, 'train')?.join(', '));
    const resumed = await whet(
      'train',
      '--data',
      'photos',
      '--resume',
      '--run',
      'other',
      '--outer-steps',
      '2',
      '--backend',
      'ort-cpu',
    );
    expect(saidOf(resumed.err, 'test')).toEqual(tested);
    expect((await whet('export', 'other/last.safetensors', '--out', 'bundle')).code).toBe(0);
    const evaluate = (...args: string[]) =>
      whet('evaluate', 'bundle', '--ways', '2', '--shots', '1', '--queries', '1', '--tasks', '1', ...args);
    const measured = await evaluate('--data', 'photos.csv');
    expect(measured.code, measured.err).toBe(0);
    expect(measured.err).toContain(`photos: split by class (seed 2): test has 2: ${tested?.join(', ')}`);
    expect(measured.err).toContain('on photos, test: 2 classes, 6 images');
    expect((await evaluate('--data', 'photos', '--split', 'all')).err).toContain('7 classes, 21 images');
    await writeGratings(join(folder, 'four'), { '.': 4 }, { images: 3 });
    expect((await evaluate('--data', 'four')).err).toContain(
      'four: split by class (seed 2): expected classes of test, got none, as there are few; --split validation asks about others that were not trained on, --split all about all',
    );
    expect((await evaluate('--data', 'four', '--split', 'validation')).err).toContain('four, validation: 2 classes');
    await writeGratings(join(folder, 'split'), { train: 2, validation: 2, test: 2 }, { images: 3 });
    expect((await evaluate('--data', 'split', '--split', 'all')).err).toContain(
      '--split all: expected classes that come without splits, got split',
    );
    expect((await train('split', 'seeded', '--split-seed', '1')).err).toContain(
      '--split-seed: expected classes that come without splits, got split, with splits of its own',
    );
  });

  it('are trained on by a preset, in tasks that they fill, with other settings besides', async () => {
    const small = [
      '--inner-steps',
      '1',
      '--outer-steps',
      '1',
      '--tasks',
      '1',
      '--split-seed',
      '2',
      '--backend',
      'ort-cpu',
    ];
    const { code, err } = await whet('train', '--data', 'photos', '--preset', 'quick', ...small);
    expect(code, err).toBe(0);
    expect(err).toContain(
      'note: --preset quick, with what the pictures have: shots 1,2 in place of 1,5, queries 1 in place of 5, ' +
        'validation.queries 2 in place of 5, validation.ways 2 in place of 5',
    );
    const { config } = await loadCheckpoint(join(folder, 'runs', 'photos-quick', 'last.safetensors'));
    expect(config).toMatchObject({
      ways: 5,
      shots: [1, 2],
      queries: 1,
      innerSteps: 1,
      splitSeed: 2,
      validation: { ways: 2 },
    });
    const plain = ['--ways', '2', '--shots', '1', '--queries', '1', ...small];
    const bare = await whet('train', '--data', 'photos', ...plain);
    expect(bare.code, bare.err).toBe(0);
    expect(bare.err).toMatch(/note: with what the pictures have: .*validation\.ways 2 in place of 5/);
    const both = await whet('train', '--data', 'photos', '--preset', 'quick', '--config', 'small.json');
    expect(both.err).toContain("option '--preset <name>' cannot be used with option '--config <file>'");
  });

  it('of too few classes or images are refused before any is decoded, with what would do', async () => {
    const damaged = join(folder, 'photos', 'class-0', '0.png');
    await rename(damaged, join(folder, 'kept.png'));
    await writeFile(damaged, 'no image');
    const refusals: [string[], RegExp][] = [
      [
        ['--queries', '5'],
        /photos, train: class class-\d: expected at least 6 images for 1 shots and 5 queries, got 3; --queries 2 would do/,
      ],
      [['--shots', '3'], /expected at least 4 images for 3 shots and 1 queries, got 3; --shots 2 would do/],
      [['--shots', '9', '--queries', '9'], /got 3; --shots 2 with --queries 1 would do/],
      [['--ways', '20'], /photos, train: expected at least 20 classes for 20 ways, got 12; --ways 12 would do/],
    ];
    for (const [args, message] of refusals) expect((await train('photos', 'few', ...args)).err).toMatch(message);
    const validation = { ...SETTINGS.validation, ways: 5 };
    await writeFile(join(folder, 'wide.json'), JSON.stringify({ ...SETTINGS, validation }));
    const wide = await whet('train', '--data', 'photos', '--config', 'wide.json', '--backend', 'ort-cpu');
    expect(wide.err).toContain(
      'photos, validation: expected at least 5 classes for 5 ways, got 2; validation.ways 2 would do',
    );
    await writeGratings(join(folder, 'lone'), { '.': 4 }, { images: 1 });
    expect((await train('lone', 'few')).err).toContain('got 1; more images would do, or to leave the class out');
    await writeGratings(join(folder, 'one'), { '.': 1 }, { images: 3 });
    expect((await train('one', 'few')).err).toContain('one: expected several classes to tell apart, got one, class-0');
    await rename(join(folder, 'kept.png'), damaged);
    await writeFile(
      join(folder, 'part.zip'),
      zipSync({ 'train/a/1.png': new Uint8Array(1), 'README.txt': new Uint8Array(1) }),
    );
    expect((await train('part.zip', 'few')).err).toContain(
      'part.zip: expected a folder validation or val of classes, got README.txt, train',
    );
  });
});

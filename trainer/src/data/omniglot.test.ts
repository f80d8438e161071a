import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodePixels } from '@whet/runtime/images';
import { zipSync } from 'fflate';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DataError, type ImageClass } from './dataset.js';
import { EpisodeSampler } from './episodes.js';
import { type FileClass, filePixels } from './image-files.js';
import { loadOmniglot, omniglotPreprocessing, openOmniglot } from './omniglot.js';

const REAL = process.env['WHET_DATA'] ?? '';
const ZIPS = ['images_background.zip', 'images_evaluation.zip'] as const;
const missing = [...ZIPS, 'vinyals-splits.json'].some((file) => !existsSync(join(REAL, file)));

const SPLIT = {
  train: ['images_background/Latin/character01', 'images_background/Latin/character02'],
  val: ['images_background/Greek/character01'],
  test: ['images_evaluation/Runes/character01'],
};
const DRAWINGS = 3;

let root: string;
let data: string;
let cacheDirectory: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'whet-omniglot-'));
  data = await mkdtemp(join(root, 'data-'));
  cacheDirectory = join(root, 'cache', 'whet');
});
afterEach(() => rm(root, { recursive: true }));

/** A dot whose place says which drawing of which class it is, as a 1-bit PNG of 105 x 105 like the real ones. */
async function draw(place: number): Promise<Uint8Array> {
  const pixels = new Uint8Array(105 * 105).fill(255);
  for (let y = 0; y < 15; y++) pixels.fill(0, (y + 30) * 105 + place * 5, (y + 30) * 105 + place * 5 + 15);
  const image = sharp(pixels, { raw: { width: 105, height: 105, channels: 1 } });
  return image.toColourspace('b-w').png({ palette: true, colours: 2 }).toBuffer();
}

async function writeData(split: unknown = SPLIT): Promise<void> {
  const zips: Record<string, Record<string, Uint8Array>> = { images_background: {}, images_evaluation: {} };
  let place = 0;
  for (const path of [...SPLIT.train, ...SPLIT.val, ...SPLIT.test]) {
    const files = zips[path.split('/')[0] as string] as Record<string, Uint8Array>;
    files[`${path}/`] = new Uint8Array();
    // Written last drawing first: the order of a class is that of its file names.
    for (let i = DRAWINGS; i > 0; i--) files[`${path}/0001_0${i}.png`] = await draw(place + i - 1);
    place += DRAWINGS;
  }
  for (const [name, files] of Object.entries(zips)) await writeFile(join(data, `${name}.zip`), zipSync(files));
  await writeFile(join(data, 'vinyals-splits.json'), typeof split === 'string' ? split : JSON.stringify(split));
}

async function load(
  size?: number,
): Promise<{ splits: Record<string, readonly ImageClass[]>; progress: [number, number][] }> {
  const progress: [number, number][] = [];
  const dataset = await loadOmniglot(data, {
    cacheDirectory,
    onProgress: (done, total) => progress.push([done, total]),
    ...(size === undefined ? {} : { size }),
  });
  return { splits: dataset.splits, progress };
}

async function refusal(promise: Promise<unknown> = load()): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(DataError);
  return (error as DataError).message;
}

describe('loadOmniglot, on a few made drawings', () => {
  test('decodes the classes of each part in the order of their files', async () => {
    await writeData();
    const { splits, progress } = await load();
    expect(Object.keys(splits)).toEqual(['train', 'validation', 'test']);
    const names = Object.values(splits).map((classes) => classes.map((each) => [each.name, each.count]));
    expect(names).toEqual([
      [
        ['Latin/character01', 3],
        ['Latin/character02', 3],
      ],
      [['Greek/character01', 3]],
      [['Runes/character01', 3]],
    ]);
    let place = 0;
    for (const { pixels } of Object.values(splits).flat()) {
      for (let i = 0; i < DRAWINGS; i++, place++) {
        const expected = await decodePixels(await draw(place), omniglotPreprocessing(28));
        expect(pixels.slice(i * 784, (i + 1) * 784)).toEqual(expected);
      }
    }
    expect(progress).toHaveLength(12);
    expect(progress.at(-1)).toEqual([12, 12]);
  });

  test('gives ink near 1 on paper 0 to an episode', async () => {
    await writeData();
    const dataset = await loadOmniglot(data, { cacheDirectory });
    const { supportImages } = new EpisodeSampler(dataset, 'train', { rotations: true, seed: 0 }).episode(
      { ways: 5, shots: 2, queries: 1 },
      0,
    );
    for (let i = 0; i < 10; i++) {
      const image = supportImages.subarray(i * 784, (i + 1) * 784);
      expect(Math.max(...image)).toBeGreaterThan(0.95);
      const ink = image.reduce((sum, value) => sum + value, 0) / 784;
      expect(ink).toBeCloseTo((15 * 15) / (105 * 105), 2);
    }
  });

  test('keeps what it decoded, per content and size', async () => {
    await writeData();
    const first = await load();
    const second = await load();
    expect(second.progress).toEqual([]);
    expect(second.splits).toEqual(first.splits);
    const small = await load(14);
    expect(small.progress).toHaveLength(12);
    expect(small.splits['test']?.[0]?.pixels).toHaveLength(DRAWINGS * 14 * 14);
    await writeData({ ...SPLIT, val: SPLIT.test, test: SPLIT.val });
    const swapped = await load();
    expect(swapped.progress).toHaveLength(12);
    expect(swapped.splits['test']?.[0]?.name).toBe('Greek/character01');
    expect(await readdir(cacheDirectory)).toHaveLength(3);
  });

  test('decodes again where the cache is damaged', async () => {
    await writeData();
    const { splits } = await load();
    const file = join(cacheDirectory, (await readdir(cacheDirectory))[0] as string);
    const whole = await readFile(file);
    const flipped = Uint8Array.from(whole);
    flipped[whole.length - 9] = (flipped[whole.length - 9] as number) ^ 1;
    for (const damaged of [flipped, whole.subarray(0, -1), whole.subarray(0, 10), new Uint8Array()]) {
      await writeFile(file, damaged);
      const again = await load();
      expect(again.progress).toHaveLength(12);
      expect(again.splits).toEqual(splits);
      expect(await readFile(file)).toEqual(whole);
    }
  });

  test('says which file is missing, where, and what to do', async () => {
    await writeData();
    await rm(join(data, 'images_evaluation.zip'));
    const message = await refusal();
    expect(message).toContain(`images_evaluation.zip is missing in ${data}`);
    expect(message).toContain('github.com/brendenlake/omniglot');
    expect(message).toContain('--data DIR');
    expect(await refusal(loadOmniglot(join(root, 'nowhere')))).toContain('images_background.zip is missing in');
  });

  test('refuses a split that shares a class between its parts, or names it twice', async () => {
    await writeData({ ...SPLIT, test: [...SPLIT.test, ...SPLIT.val] });
    expect(await refusal()).toMatch(/expected every class once, got Greek\/character01 in val and in test$/);
    await writeData({ ...SPLIT, train: [...SPLIT.train, ...SPLIT.train] });
    expect(await refusal()).toMatch(/got Latin\/character01 twice in train$/);
  });

  test('refuses a split that names a class the zips lack', async () => {
    await writeData({ ...SPLIT, val: ['images_background/Greek/character99'] });
    expect(await refusal()).toContain('val names the class images_background/Greek/character99, which has no drawing');
  });

  test.each(['{', '[]', '{"train":[],"val":[]}', '{"train":["Greek"],"val":[],"test":[]}'])(
    'refuses the split file %s',
    async (split) => {
      await writeData(split);
      expect(await refusal()).toMatch(/vinyals-splits\.json: expected arrays train, val and test of class paths/);
    },
  );

  test('refuses a damaged zip and a damaged drawing, by name', async () => {
    await writeData();
    const zip = await readFile(join(data, 'images_background.zip'));
    await writeFile(join(data, 'images_background.zip'), zip.subarray(0, zip.length - 30));
    expect(await refusal()).toMatch(/images_background\.zip: expected a zip file/);
    await writeData();
    const file = 'images_evaluation/Runes/character01/0001_01.png';
    await writeFile(join(data, 'images_evaluation.zip'), zipSync({ [file]: (await draw(1)).subarray(0, 60) }));
    expect(await refusal()).toMatch(/drawing 1 of images_evaluation\/Runes\/character01: .*damaged or cut short/);
    expect(await readdir(cacheDirectory)).toEqual([]);
  });

  test('refuses a cache directory it cannot make, and a size that is none', async () => {
    await writeData();
    await writeFile(join(root, 'file'), '');
    const blocked = join(root, 'file', 'cache');
    expect(await refusal(loadOmniglot(data, { cacheDirectory: blocked }))).toContain(`${blocked} cannot be written`);
    expect(await refusal(load(0))).toContain('expected a size of 1 pixel or more, got 0');
  });
});

const where = missing ? 'skipped: its files are not where WHET_DATA says' : 'as it is published';
describe('the published split', () => {
  test('is read from train.txt, val.txt and test.txt, which name every rotation and no zip file', async () => {
    await writeData();
    const expected = (await load()).splits;
    await rm(join(data, 'vinyals-splits.json'));
    const parts = { train: SPLIT.train, val: SPLIT.val, test: SPLIT.test };
    for (const [part, paths] of Object.entries(parts)) {
      const names = paths.map((path) => path.slice(path.indexOf('/') + 1));
      const lines = names.flatMap((name) => ['000', '090', '180', '270'].map((degrees) => `${name}/rot${degrees}`));
      await writeFile(join(data, `${part}.txt`), `${lines.join('\n')}\n`);
    }
    expect((await load()).splits).toEqual(expected);
    await writeFile(join(data, 'val.txt'), 'Klingon/character01/rot000\n');
    expect(await refusal()).toMatch(/val\.txt: names the class Klingon\/character01, which no zip file has/);
  });
});

describe.skipIf(missing)(`loadOmniglot, on the real drawings (${where})`, () => {
  test('has the split of Vinyals et al.: 1,028, 172 and 423 characters', async () => {
    const split = JSON.parse(await readFile(join(REAL, 'vinyals-splits.json'), 'utf8')) as typeof SPLIT;
    expect([split.train.length, split.val.length, split.test.length]).toEqual([1028, 172, 423]);
  });

  test('decodes 20 drawings per character with strokes that are neither lost nor blots', async () => {
    const split = JSON.parse(await readFile(join(REAL, 'vinyals-splits.json'), 'utf8')) as typeof SPLIT;
    const few = { train: split.train.slice(0, 2), val: split.val.slice(0, 1), test: split.test.slice(-2) };
    for (const zip of ZIPS) await symlink(join(REAL, zip), join(data, zip));
    await writeFile(join(data, 'vinyals-splits.json'), JSON.stringify(few));
    const { splits } = await load();
    for (const { count, pixels } of Object.values(splits).flat()) {
      expect(count).toBe(20);
      for (let i = 0; i < count; i++) {
        const image = pixels.subarray(i * 784, (i + 1) * 784);
        expect(Math.min(...image)).toBeLessThan(80);
        const ink = 1 - image.reduce((sum, value) => sum + value, 0) / 784 / 255;
        expect(ink).toBeGreaterThan(0.01);
        expect(ink).toBeLessThan(0.4);
      }
    }
  });
});

test('openOmniglot has the drawings as files, for a network of any size and channels', async () => {
  await writeData();
  const { splits } = await load();
  const files = await openOmniglot(data, 'train');
  expect(files).toMatchObject({ name: 'omniglot', split: 'train' });
  expect(files.classes.map(({ name, count }) => [name, count])).toEqual(splits['train']?.map((c) => [c.name, c.count]));
  const last = files.classes[1] as FileClass;
  const pixels = await filePixels(last, 2, omniglotPreprocessing());
  expect(pixels).toEqual(splits['train']?.[1]?.pixels.subarray(2 * 28 * 28));
  const colour = { ...omniglotPreprocessing(28), channels: 3, mean: [0, 0, 0], std: [1, 1, 1] };
  const [red, green] = [0, 1].map((channel) => pixels.map((_, i) => i * 3 + channel));
  const tripled = await filePixels(last, 2, colour);
  expect(red?.map((at) => tripled[at] as number)).toEqual(green?.map((at) => tripled[at] as number));
  await rm(join(data, 'images_background.zip'));
  await expect(openOmniglot(data, 'train')).rejects.toThrow('images_background.zip is missing in');
});

import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { decodePixels } from '@whet/runtime/images';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DataError, type Dataset, type SplitName } from './dataset.js';
import { EpisodeSampler } from './episodes.js';
import { type FileClass, filePixels, leaveOutCorrupt } from './image-files.js';
import { type CountedClasses, type ImageFolderOptions, loadImageFolders, openImageFolder } from './image-folders.js';

const SIZE = 6;
const COLOURS: Record<string, string> = {
  'train/cat': '#ff0000',
  'train/dog': '#00ff00',
  'val/eel': '#0000ff',
  'test/fox': '#ffff00',
  'test/gnu': '#00ffff',
};

let root: string;
let data: string;
let cacheDirectory: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'whet-folders-'));
  data = join(root, 'data');
  cacheDirectory = join(root, 'cache');
  for (const [folder, colour] of Object.entries(COLOURS)) {
    for (const format of ['png', 'jpg', 'jpeg', 'webp'] as const) await put(`${folder}/${format}.${format}`, colour);
  }
});
afterEach(() => rm(root, { recursive: true }));

async function put(path: string, content: string): Promise<void> {
  const target = join(data, path);
  await mkdir(dirname(target), { recursive: true });
  if (!content.startsWith('#')) return writeFile(target, content);
  const image = sharp({ create: { width: 12, height: 12, channels: 3, background: content } });
  const format = target.split('.').at(-1)?.toLowerCase() as 'png' | 'jpeg' | 'webp';
  return writeFile(target, await image.toFormat(format).toBuffer());
}

const load = (options: ImageFolderOptions = {}) => loadImageFolders(data, { size: SIZE, cacheDirectory, ...options });

async function refusal(options: ImageFolderOptions = {}): Promise<string> {
  const error: unknown = await load(options).catch((error: unknown) => error);
  expect(error).toBeInstanceOf(DataError);
  return (error as DataError).message.replaceAll(data, 'DATA');
}

describe('loadImageFolders', () => {
  test('gives the classes of each split to the sampler, in the colours of their files', async () => {
    const dataset = await load();
    expect(dataset.name).toBe('data');
    expect(dataset.skipped).toBeUndefined();
    const names = Object.entries(dataset.splits).map(([split, classes]) => [split, classes.map(({ name }) => name)]);
    expect(Object.fromEntries(names)).toEqual({ train: ['cat', 'dog'], validation: ['eel'], test: ['fox', 'gnu'] });
    const sampler = new EpisodeSampler(dataset, 'train', { rotations: false, seed: 0 });
    const { classes, supportImages } = sampler.episode({ ways: 2, shots: 2, queries: 2 }, 0);
    const plane = SIZE * SIZE;
    for (const [way, name] of classes.entries()) {
      for (let c = 0; c < 3; c++) {
        const expected = c === (name === 'cat' ? 0 : 1) ? 1 : 0;
        // JPEG is near, not exact.
        for (const value of supportImages.subarray((way * 6 + c) * plane, (way * 6 + c + 1) * plane)) {
          expect(Math.abs(value - expected)).toBeLessThan(0.02);
        }
      }
    }
  });

  test('accepts validation for val, and not both', async () => {
    await put('validation/hen/1.png', '#123456');
    expect(await refusal()).toBe('DATA: expected one folder of validation, got DATA/validation, DATA/val');
    await rm(join(data, 'val'), { recursive: true });
    expect((await load()).splits.validation.map(({ name }) => name)).toEqual(['hen']);
  });

  test('makes one channel with mean and standard deviation, recorded', async () => {
    const { preprocessing, splits } = await load({ channels: 1, mean: [0.5], std: [0.25] });
    expect(preprocessing).toMatchObject({ channels: 1, mean: [0.5], std: [0.25], invert: false, background: 255 });
    expect(splits.train[0]?.pixels).toHaveLength(4 * SIZE * SIZE);
    const given = { ...preprocessing, invert: true };
    expect((await load({ preprocessing: given })).preprocessing).toEqual(given);
    expect(await refusal({ mean: [0.5] })).toBe('image folders: mean: expected 3 numbers, one per channel, got 0.5');
    expect(await refusal({ std: [1, 0, 1] })).toMatch(/std: expected 3 numbers above 0, .* got 1,0,1$/);
    expect(await refusal({ size: 0 })).toMatch(/size of 1 pixel or more, got 0/);
    expect(await refusal({ concurrency: 0 })).toMatch(/concurrency of 1 or more, got 0/);
  });

  test('leaves alone what is no image, and names what is not hidden', async () => {
    await put('train/cat/notes.txt', 'hello');
    await put('train/cat/._1.png', 'AppleDouble');
    await put('train/cat/more.png/1.png', '#ffffff');
    await put('train/README.md', 'hello');
    await put('train/.cache/1.png', '#ffffff');
    const { splits, unread } = await load();
    expect(splits.train.map(({ name, count }) => [name, count])).toEqual([
      ['cat', 4],
      ['dog', 4],
    ]);
    expect(unread).toEqual(['train/README.md', 'train/cat/more.png', 'train/cat/notes.txt']);
  });

  test('takes the cache while files, preprocessing and place below the folder are the same', async () => {
    const decoded = async (options: ImageFolderOptions = {}) => {
      let calls = 0;
      const dataset = await load({ ...options, onProgress: () => calls++ });
      return { calls, dataset };
    };
    const first = await decoded({ concurrency: 1 });
    expect(first.calls).toBe(20);
    const again = await decoded();
    expect(again.calls).toBe(0);
    expect(again.dataset).toEqual(first.dataset);
    const moved = join(root, 'moved');
    await rename(data, moved);
    data = moved;
    expect((await decoded()).calls).toBe(0);
    expect((await decoded({ channels: 1 })).calls).toBe(20);
    await put('train/cat/new.png', '#ffffff');
    expect((await decoded()).calls).toBe(21);
    expect(await readdir(cacheDirectory)).toHaveLength(3);
  });

  test('names a corrupt image, or leaves it out and says so, from the cache too', async () => {
    await put('train/cat/broken.png', 'no image');
    expect(await refusal()).toMatch(
      /^DATA\/train\/cat\/broken\.png: expected a PNG, JPEG, WebP, GIF, TIFF or AVIF image/,
    );
    for (const _ of ['decoded', 'cached']) {
      const dataset = await load({ skipCorrupt: true });
      expect(dataset.skipped).toEqual([join('train', 'cat', 'broken.png')]);
      expect(dataset.splits.train[0]).toMatchObject({ name: 'cat', count: 4 });
    }
    // The one in the middle is gone, the others are those of their files.
    const { splits, preprocessing, skipped } = await load({ skipCorrupt: true });
    const webp = await sharp({ create: { width: 12, height: 12, channels: 3, background: '#ff0000' } })
      .webp()
      .toBuffer();
    expect(splits.train[0]?.pixels.subarray(-108)).toEqual(await decodePixels(webp, preprocessing));
    expect(skipped).toHaveLength(1);
    await put('test/hare/only.png', 'no image');
    expect(await refusal({ skipCorrupt: true })).toBe(
      'DATA/test/hare: expected an image that can be decoded, got 1 corrupt ones',
    );
  });

  test('refuses splits that share a class', async () => {
    await put('test/dog\u200b/1.png', '#00ff00');
    expect(await refusal()).toBe(
      'DATA/test/dog\u200b: expected every class in one split, got dog\u200b in train and test',
    );
  });

  test('refuses a class without images, a split without classes, a split or a folder that is not there', async () => {
    await put('test/yak/notes.txt', 'soon');
    expect(await refusal()).toBe('DATA/test/yak: expected images of the class yak, got notes.txt');
    await rm(join(data, 'test'), { recursive: true });
    expect(await refusal()).toBe('DATA: expected a folder test of classes, got train, val');
    await put('test/readme.txt', '');
    expect(await refusal()).toBe('DATA/test: expected a folder for each class, got none');
    data = join(root, 'nowhere');
    expect(await refusal()).toMatch(/^DATA: expected a folder that can be read, got ENOENT/);
  });
});

describe('classes that come without splits', () => {
  const plain = ['ant', 'bee', 'cow', 'doe', 'elk', 'fly'];
  beforeEach(async () => {
    data = join(root, 'plain');
    for (const name of plain) for (const i of [1, 2]) await put(`${name}/${i}.png`, '#102030');
  });
  const namesOf = (dataset: Dataset) =>
    Object.fromEntries(Object.entries(dataset.splits).map(([split, all]) => [split, all.map(({ name }) => name)]));

  test('are split by class and by a seed, which is said before any image is read', async () => {
    const listed: CountedClasses[] = [];
    const dataset = await load({ splitSeed: 3, onListed: (found) => listed.push(found) });
    expect(dataset).toMatchObject({ name: 'plain', splitSeed: 3 });
    const names = namesOf(dataset);
    expect(Object.values(names).flat().sort()).toEqual(plain);
    expect(listed[0]?.splits.train).toEqual(names['train']?.map((name) => ({ name, count: 2 })));
    expect(namesOf(await load({ splitSeed: 3 }))).toEqual(names);
    for (const split of ['train', 'validation', 'test'] as const) {
      const own = await openImageFolder(data, split, 3);
      expect(own.classes.map(({ name }) => name)).toEqual(names[split]);
      expect((await openImageFolder(data, split)).classes).toHaveLength(6);
    }
    await put('ant/3.png', 'no image');
    const refused = load({
      onListed: () => {
        throw new DataError('too few');
      },
    });
    await expect(refused).rejects.toThrow('too few');
  });

  test('may be a file of paths and labels, from its folder or absolute', async () => {
    const lines = plain.flatMap((name, i) =>
      [`${name}/1.png,${name}`, `${join(data, name, '2.png')},${name}`].slice(i % 2),
    );
    await put('labels.csv', ['path,label', ...lines].join('\n'));
    const file = join(data, 'labels.csv');
    const dataset = await loadImageFolders(file, { size: SIZE, cacheDirectory });
    expect(dataset).toMatchObject({ name: 'labels', splitSeed: 0 });
    expect(namesOf(dataset)).toEqual(namesOf(await load()));
    const all = await openImageFolder(file, 'test');
    expect(all.classes.map(({ count }) => count)).toEqual([2, 1, 2, 1, 2, 1]);
    const refusalOf = async (text: string) => {
      await put('labels.csv', text);
      return openImageFolder(file, 'test').then(
        () => '',
        (error: Error) => error.message.replaceAll(data, 'DATA'),
      );
    };
    expect(await refusalOf('path,label\nant/9.png,ant')).toBe(
      'DATA/labels.csv: expected paths of images from its folder, got ant/9.png, where none is',
    );
    expect(await refusalOf('file;class\nant/1.png;ant')).toBe(
      'DATA/labels.csv: expected a first line "path,label", got "file;class"',
    );
    await rm(file);
    await expect(openImageFolder(file, 'test')).rejects.toThrow('expected a file that can be read, got Error: ENOENT');
  });
});

describe('openImageFolder', () => {
  test('has the files of one split, and of classes that stand in no split', async () => {
    await put('train/cat/broken.png', 'no image');
    await put('test/notes.txt', 'hello');
    const names = async (split: SplitName) => (await openImageFolder(data, split)).classes.map(({ name }) => name);
    expect(await names('validation')).toEqual(['eel']);
    const files = await openImageFolder(data, 'test');
    expect(files).toMatchObject({ name: 'data', split: 'test', unread: [join('test', 'notes.txt')] });
    const [fox] = files.classes as [FileClass];
    expect(fox).toMatchObject({ name: 'fox', count: 4 });
    const { bytes, place } = await fox.read(2);
    expect(place).toBe(join(data, 'test', 'fox', 'png.png'));
    expect(new Uint8Array(bytes)).toEqual(new Uint8Array(await readFile(place)));
    await rm(place);
    await expect(fox.read(2)).rejects.toThrow(`${place}: expected an image that can be read, got Error: ENOENT`);
    data = join(data, 'test');
    expect(await names('test')).toEqual(['fox', 'gnu']);
    expect(await names('validation')).toEqual(['fox', 'gnu']);
  });

  test('names an image that cannot be decoded, or leaves it out and says so', async () => {
    await put('test/fox/broken.png', 'no image');
    const files = await openImageFolder(data, 'test');
    const { preprocessing } = await loadImageFolders(data, { size: SIZE, cacheDirectory, skipCorrupt: true });
    await expect(filePixels(files.classes[0] as FileClass, 0, preprocessing)).rejects.toThrow(
      `${join(data, 'test', 'fox', 'broken.png')}: expected a PNG, JPEG, WebP, GIF, TIFF or AVIF image`,
    );
    const kept = await leaveOutCorrupt(files, preprocessing);
    expect(kept.skipped).toEqual([join(data, 'test', 'fox', 'broken.png')]);
    expect(kept.files.classes.map(({ count }) => count)).toEqual([4, 4]);
    expect((await kept.files.classes[0]?.read(0))?.place).toBe(join(data, 'test', 'fox', 'jpeg.jpeg'));
    // Of what is drawn alone, which is drawn anew where something is left out.
    await put('test/fox/torn.png', 'no image');
    const draws: number[][] = [];
    const first = await leaveOutCorrupt(await openImageFolder(data, 'test'), preprocessing, {
      drawn: ({ classes }) => {
        draws.push(classes.map(({ count }) => count));
        return [{ of: 0, image: 0 }];
      },
    });
    expect(first.skipped).toEqual([join(data, 'test', 'fox', 'broken.png')]);
    expect(draws).toEqual([
      [6, 4],
      [5, 4],
    ]);
    expect((await first.files.classes[0]?.read(0))?.place).toBe(join(data, 'test', 'fox', 'jpeg.jpeg'));
    expect(first.files.classes[0]?.count).toBe(5);
    await put('test/hare/only.png', 'no image');
    await expect(leaveOutCorrupt(await openImageFolder(data, 'test'), preprocessing)).rejects.toThrow(
      'data: class hare: expected an image that can be decoded, got 1 corrupt ones',
    );
  });
});

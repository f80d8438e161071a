import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { cifarPreprocessing, loadCifar, openCifar } from './cifar.js';
import { DataError } from './dataset.js';
import { EpisodeSampler } from './episodes.js';
import { type FileClass, filePixels } from './image-files.js';

const PLANE = 32 * 32;
const NAMES = 'airplane automobile bird cat deer dog frog horse ship truck'.split(' ');
const SPLIT = { train: ['airplane', 'bird'], validation: [3], test: ['truck'] };

let data: string;
let splitFile: string;

beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'whet-cifar-'));
  splitFile = join(data, 'class-split.json');
  await writeFile(splitFile, JSON.stringify(SPLIT));
});
afterEach(() => rm(data, { recursive: true }));

/** A record whose planes say where they are: R is `mark`, G the row, B the column. */
function record(labels: readonly number[], mark: number): Uint8Array {
  const pixel = (i: number) => [mark, Math.floor((i % PLANE) / 32), i % 32][Math.floor(i / PLANE)] as number;
  return Uint8Array.from([...labels, ...Array.from({ length: 3 * PLANE }, (_, i) => pixel(i))]);
}

const write = (file: string, ...records: Uint8Array[]) => writeFile(join(data, file), Buffer.concat(records));

async function writeTen(): Promise<void> {
  await write('data_batch_1.bin', record([0], 10), record([2], 12), record([5], 15));
  await write('data_batch_2.bin', record([3], 23), record([9], 29), record([0], 20));
  await write('test_batch.bin', record([9], 39), record([2], 32), record([3], 33));
  await writeFile(join(data, 'batches.meta.txt'), `${NAMES.join('\n')}\n\n`);
}

async function refusal(preprocessing = cifarPreprocessing()): Promise<string> {
  const error: unknown = await loadCifar(data, splitFile, { preprocessing }).catch((error: unknown) => error);
  expect(error).toBeInstanceOf(DataError);
  return (error as DataError).message.replaceAll(data, 'DATA');
}

describe('loadCifar', () => {
  test('puts training and test images of a class together, planes interleaved', async () => {
    await writeTen();
    const { name, splits } = await loadCifar(data, splitFile);
    expect(name).toBe('cifar-10');
    const marks = Object.values(splits).map((classes) =>
      classes.map(({ name, count, pixels }) => [
        name,
        ...Array.from({ length: count }, (_, i) => pixels[i * 3 * PLANE]),
      ]),
    );
    const [train, validation, test] = [
      [
        ['airplane', 10, 20],
        ['bird', 12, 32],
      ],
      [['cat', 23, 33]],
      [['truck', 29, 39]],
    ];
    expect(marks).toEqual([train, validation, test]);
    const at = (5 * 32 + 7) * 3;
    expect([...(splits.train[0]?.pixels.subarray(at, at + 3) ?? [])]).toEqual([10, 5, 7]);
  });

  test('says which classes stand in no split', async () => {
    await writeTen();
    expect((await loadCifar(data, splitFile)).unsplit).toEqual(['dog']);
    expect((await openCifar(data, splitFile, 'test')).unsplit).toEqual(['dog']);
    await writeFile(splitFile, JSON.stringify({ ...SPLIT, train: [...SPLIT.train, 'dog'] }));
    expect(await loadCifar(data, splitFile)).not.toHaveProperty('unsplit');
  });

  test('reaches the sampler with its preprocessing', async () => {
    await writeTen();
    const preprocessing = { ...cifarPreprocessing(), mean: [0, 0, 0.5], std: [1, 1, 0.5] };
    const dataset = await loadCifar(data, splitFile, { preprocessing });
    expect((await loadCifar(data, splitFile, { mean: [0, 0, 0.5], std: [1, 1, 0.5] })).preprocessing).toEqual(
      preprocessing,
    );
    await expect(loadCifar(data, splitFile, { mean: [0.5] })).rejects.toThrow('CIFAR: mean: expected 3 numbers');
    const sampler = new EpisodeSampler(dataset, 'train', { rotations: false, seed: 0 });
    const { supportImages } = sampler.episode({ ways: 2, shots: 1, queries: 1 }, 0);
    expect(supportImages[PLANE + 5 * 32 + 7]).toBeCloseTo(5 / 255, 6);
    expect(supportImages[2 * PLANE + 5 * 32 + 7]).toBeCloseTo((7 / 255 - 0.5) / 0.5, 6);
  });

  test('reads the fine label of CIFAR-100, and names classes by label where no file does', async () => {
    await write('train.bin', record([19, 99], 1), record([0, 7], 2));
    await write('test.bin', record([3, 42], 3));
    await writeFile(splitFile, JSON.stringify({ train: [99], validation: ['7'], test: [42] }));
    const { name, splits } = await loadCifar(data, splitFile);
    expect(name).toBe('cifar-100');
    expect(Object.values(splits).map((classes) => classes.map((each) => each.name))).toEqual([['99'], ['7'], ['42']]);
    await writeFile(join(data, 'fine_label_names.txt'), 'apple\n');
    expect(await refusal()).toBe('DATA/fine_label_names.txt: expected 100 different class names, got 1');
    await rm(join(data, 'fine_label_names.txt'));
    await write('test.bin', record([20, 42], 3));
    expect(await refusal()).toBe('DATA/test.bin: image 1: expected a coarse label of 0 to 19, got 20');
    await write('test.bin', record([3, 42], 3), record([3, 100], 3));
    expect(await refusal()).toBe('DATA/test.bin: image 2: expected a fine label of 0 to 99, got 100');
  });

  test('refuses a file that is cut short or empty, and a folder of other files', async () => {
    await writeTen();
    await write('data_batch_2.bin', record([0], 1), record([0], 1).subarray(1));
    expect(await refusal()).toBe(
      'DATA/data_batch_2.bin: expected a multiple of 3073 bytes, one record an image, got 6145',
    );
    await write('data_batch_2.bin');
    expect(await refusal()).toMatch(/got 0$/);
    await rm(join(data, 'data_batch_1.bin'));
    expect(await refusal()).toMatch(/^DATA: expected data_batch_1\.bin, .* got data_batch_2\.bin, test_batch\.bin$/);
  });

  test.each<[string, unknown, RegExp | string]>([
    ['a class in two splits', { ...SPLIT, test: ['bird'] }, 'expected every class once, got bird in train and in test'],
    [
      'a class twice, by name and label',
      { ...SPLIT, test: ['truck', 9] },
      'expected every class once, got truck twice in test',
    ],
    ['an unknown name', { ...SPLIT, train: ['dgo'] }, /train: no class is named "dgo"; nearest: dog, /],
    ['a label out of range', { ...SPLIT, train: [10] }, 'train: expected labels 0 to 9, got 10'],
    ['a class without images', { ...SPLIT, train: ['ship'] }, /class ship has no image in data_batch_1\.bin, /],
    [
      'a missing split',
      { train: ['cat'], test: ['dog'] },
      /expected JSON with arrays train, .* names or labels, got validation: none$/,
    ],
    ['an empty split', { ...SPLIT, test: [] }, /names or labels, got test: \[\]$/],
    ['a name that is none', { ...SPLIT, train: ['cat', true] }, /names or labels, got train: 1: true$/],
    ['a list', ['cat'], /names or labels, got \["cat"\]$/],
  ])('refuses %s', async (_, split, message) => {
    await writeTen();
    await writeFile(splitFile, JSON.stringify(split));
    const error = await refusal();
    expect(error).toMatch(/^DATA\/class-split\.json: /);
    if (typeof message === 'string') expect(error).toBe(`DATA/class-split.json: ${message}`);
    else expect(error).toMatch(message);
  });

  test('refuses a split file that is not there, and other images than its own', async () => {
    await writeTen();
    expect(await refusal({ ...cifarPreprocessing(), width: 28 })).toMatch(/images of 32 x 32 x 3, got 28 x 32 x 3$/);
    await rm(splitFile);
    expect(await refusal()).toMatch(/^DATA\/class-split\.json: expected JSON with arrays.*, got no such file$/);
  });
});

test('openCifar has the images as files, for a network of any size', async () => {
  await writeTen();
  const { splits, preprocessing } = await loadCifar(data, splitFile);
  const files = await openCifar(data, splitFile, 'train');
  expect(files).toMatchObject({ name: 'cifar-10', split: 'train' });
  expect(files.classes.map(({ name, count }) => [name, count])).toEqual(splits.train.map((c) => [c.name, c.count]));
  const bird = files.classes[1] as FileClass;
  expect(await filePixels(bird, 1, preprocessing)).toEqual(splits.train[1]?.pixels.subarray(3 * PLANE));
  const doubled = await filePixels(bird, 1, { ...preprocessing, width: 64, height: 64, kernel: 'nearest' });
  expect([...doubled.subarray(3 * (64 * 63 + 63))]).toEqual([32, 31, 31]);
  const grey = await filePixels(bird, 1, { ...preprocessing, channels: 1, mean: [0], std: [1] });
  expect(grey).toHaveLength(PLANE);
});

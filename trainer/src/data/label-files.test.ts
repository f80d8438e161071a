import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadImageFolders, openImageFolder } from './image-folders.js';

let directory: string;
let cacheDirectory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'whet-splits-'));
  cacheDirectory = join(directory, 'cache');
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const picture = (level: number, side = 6) =>
  sharp({ create: { width: side, height: side, channels: 3, background: { r: level, g: level, b: level } } })
    .png()
    .toBuffer();

/** Images, by their paths, and split files, by theirs. */
async function write(images: Readonly<Record<string, number>>, lists: Readonly<Record<string, readonly string[]>>) {
  for (const [path, level] of Object.entries(images)) {
    await mkdir(join(directory, path, '..'), { recursive: true });
    await writeFile(join(directory, path), await picture(level));
  }
  for (const [name, lines] of Object.entries(lists)) await writeFile(join(directory, name), `${lines.join('\n')}\n`);
}

const IMAGES = {
  'images/a1.png': 10,
  'images/a2.png': 20,
  'images/b1.png': 30,
  'images/c1.png': 40,
  'images/d1.png': 50,
};
const LISTS = {
  'train.csv': ['filename,label', 'a1.png,n01', 'b1.png,n02', 'a2.png,n01'],
  'val.csv': ['filename,label', 'c1.png,n03'],
  'test.csv': ['filename,label', 'd1.png,n04'],
};

describe('a split by files', () => {
  it('says which images are of which class, below the line of their names, also where that was changed', async () => {
    await write(IMAGES, LISTS);
    const { splits } = await loadImageFolders(directory, { size: 2, channels: 1, cacheDirectory });
    const told = Object.entries(splits).map(([split, classes]) => [
      split,
      classes.map(({ name, count, pixels }) => [name, count, pixels[0]]),
    ]);
    // Not what the cache has of the lines before.
    await write({}, { 'train.csv': ['filename,label', 'a1.png,n01', 'b1.png,n05', 'a2.png,n05'] });
    const changed = await loadImageFolders(directory, { size: 2, channels: 1, cacheDirectory });
    expect(changed.splits.train.map(({ name, count }) => [name, count])).toEqual([
      ['n01', 1],
      ['n05', 2],
    ]);
    expect(told).toEqual([
      [
        'train',
        [
          ['n01', 2, 10],
          ['n02', 1, 30],
        ],
      ],
      ['validation', [['n03', 1, 40]]],
      ['test', [['n04', 1, 50]]],
    ]);
  });

  it('is read of one split alone, of images in folders of their classes, too, and of quoted names', async () => {
    await write(
      { 'images/n04/d 1.png': 1, 'test/e,1.png': 2 },
      { 'test.csv': ['filename,label', 'd 1.png,n04', '"e,1.png","the, fifth"'] },
    );
    const { classes, split } = await openImageFolder(directory, 'test');
    expect([split, classes.map(({ name, count }) => [name, count])]).toEqual([
      'test',
      [
        ['n04', 1],
        ['the, fifth', 1],
      ],
    ]);
    expect((await classes[1]?.read(0))?.place).toBe(join(directory, 'test', 'e,1.png'));
  });

  it.each<[string, Partial<Record<keyof typeof LISTS, string[]>>, RegExp]>([
    [
      'an image that is not there',
      { 'train.csv': ['filename,label', 'a9.png,n01'] },
      /a9\.png: expected an image in images, train, \. of .*, or a folder "n01" of them$/,
    ],
    [
      'a class of two splits',
      { 'val.csv': ['filename,label', 'c1.png,n01'] },
      /val\.csv: expected every class in one split, got n01 in train and validation$/,
    ],
    ['no lines', { 'test.csv': ['filename,label'] }, /test\.csv: expected lines "filename,label", got none$/],
    [
      'other columns',
      { 'test.csv': ['filename,label', 'd1.png'] },
      /test\.csv: expected lines "filename,label", got "d1\.png"$/,
    ],
    [
      'an image twice',
      { 'train.csv': ['filename,label', 'a1.png,n01', 'a1.png,n02'] },
      /train\.csv: expected every image once, got a1\.png again$/,
    ],
    ['no label', { 'test.csv': ['filename,label', 'd1.png,'] }, /test\.csv: "": /],
    [
      'a quote without an end',
      { 'test.csv': ['filename,label', '"d1.png,n04'] },
      /test\.csv: expected lines "filename,label": /,
    ],
  ])('refuses %s', async (_, lists, message) => {
    await write(IMAGES, { ...LISTS, ...lists });
    await expect(loadImageFolders(directory, { size: 2, cacheDirectory })).rejects.toThrow(message);
  });

  it('has names of columns in any letters, quoted, and further columns', async () => {
    await write({ 'a.png': 1, 'b.png': 2 }, { 'all.csv': ['"Path", Label,size', 'a.png,one,6', 'b.png,two,6'] });
    const { classes } = await openImageFolder(join(directory, 'all.csv'), 'train');
    expect(classes.map(({ name }) => name)).toEqual(['one', 'two']);
  });

  it.each<[string, string | Buffer, RegExp]>([
    ['semicolons', 'path;label\na.png;one\n', /got "path;label", with semicolons in place of commas$/],
    ['tabs', 'Path\tLabel\na.png\tone\n', /got "Path\\tLabel", with tabs in place of commas$/],
    [
      'UTF-16',
      Buffer.from('\uFEFFpath,label\n', 'utf16le'),
      /got a file of another encoding than UTF-8, such as UTF-16$/,
    ],
    ['another line', 'a.png,one\n', /expected a first line "path,label", got "a\.png,one"$/],
  ])('says of a file what is other: %s', async (_, text, message) => {
    await writeFile(join(directory, 'all.csv'), text);
    await expect(openImageFolder(join(directory, 'all.csv'), 'train')).rejects.toThrow(message);
  });

  it('reads no image outside of its folder', async () => {
    await write(
      { 'away.png': 1, 'inner/a.png': 2 },
      { 'inner/test.csv': ['filename,label', 'a.png,a', '../away.png,b'] },
    );
    await expect(openImageFolder(join(directory, 'inner'), 'test')).rejects.toThrow(
      /away\.png: expected an image in images, test, \. of .*inner, or a folder "b" of them$/,
    );
  });

  it('refuses a folder where a split has none', async () => {
    await write(IMAGES, { 'train.csv': LISTS['train.csv'], 'test.csv': LISTS['test.csv'] });
    await expect(loadImageFolders(directory, { size: 2, cacheDirectory })).rejects.toThrow(
      /expected a file of the classes of validation beside the others, got train\.csv, test\.csv$/,
    );
    for (const name of ['val.csv', 'validation.csv'])
      await writeFile(join(directory, name), 'filename,label\nc1.png,n03\n');
    await expect(loadImageFolders(directory, { size: 2, cacheDirectory })).rejects.toThrow(
      /expected one file of validation, got .*validation\.csv, .*val\.csv$/,
    );
  });

  it('leaves files of other columns alone', async () => {
    await write(
      { 'train/a/1.png': 1, 'val/b/1.png': 2, 'test/c/1.png': 3 },
      { 'train.csv': ['id,breed,size', '1,a,2'] },
    );
    const { splits } = await loadImageFolders(directory, { size: 2, channels: 1, cacheDirectory });
    expect(splits.train.map(({ name }) => name)).toEqual(['a']);
  });
});

import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { InputError } from './errors.js';
import { listClasses, listImages } from './image-folders.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-image-folders-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function put(...paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), '');
  }
}

const here = (paths: readonly string[]) => paths.map((path) => relative(folder, path));

/** `name: files` of each class, then what was not read. */
async function classes(): Promise<string[]> {
  const listed = await listClasses(folder);
  const lines = listed.classes.map(({ name, files }) => `${name}: ${here(files).join(' ')}`);
  return [...lines, ...here(listed.unread)];
}

async function refusal(): Promise<string> {
  const error: unknown = await listClasses(folder).catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(InputError);
  return (error as InputError).message.replaceAll(folder, 'HERE');
}

describe('a folder of classes', () => {
  test('is read whatever its images are called, also where their format cannot be decoded', async () => {
    await put('cat/1.jfif', 'cat/2.JPG', 'cat/3.tif', 'cat/4.avif', 'cat/5.gif', 'cat/6.heic', 'cat/7.bmp');
    await put('dog/1.png', 'dog/2.webp', 'dog/3.jpe', 'dog/4.HEIF', 'dog/5.dng');
    expect(await classes()).toEqual([
      'cat: cat/1.jfif cat/2.JPG cat/3.tif cat/4.avif cat/5.gif cat/6.heic cat/7.bmp',
      'dog: dog/1.png dog/2.webp dog/3.jpe dog/4.HEIF dog/5.dng',
    ]);
  });

  test('has hidden names, which are left alone, and others, which are named', async () => {
    await put('.ipynb_checkpoints/1.png', 'cat/.1.png', 'cat/1.png', 'cat/Thumbs.db', 'cat/more/2.png', 'readme.md');
    await put('above.png');
    expect(await classes()).toEqual(['cat: cat/1.png', 'above.png', 'cat/Thumbs.db', 'cat/more', 'readme.md']);
  });

  test('follows links to folders and files, and names one that leads nowhere', async () => {
    await put('elsewhere/1.png', 'all/cat/2.png');
    await symlink(join(folder, 'elsewhere'), join(folder, 'all/dog'));
    await symlink(join(folder, 'elsewhere/1.png'), join(folder, 'all/cat/1.png'));
    folder = join(folder, 'all');
    expect(await classes()).toEqual(['cat: cat/1.png cat/2.png', 'dog: dog/1.png']);
    await symlink(join(folder, 'nowhere'), join(folder, 'cat/3.png'));
    expect(await refusal()).toMatch(/^HERE\/cat\/3\.png: expected a file or folder that can be read, got ENOENT/);
    folder = dirname(folder);
  });

  test('with nothing of a class is refused, and says what is there', async () => {
    await put('cat/1.png', 'dog/notes.txt');
    expect(await refusal()).toBe('HERE/dog: expected images of the class dog, got notes.txt');
    await rm(join(folder, 'dog/notes.txt'));
    expect(await refusal()).toBe('HERE/dog: expected images of the class dog, got an empty folder');
    await rm(join(folder, 'dog'), { recursive: true });
    expect(await classes()).toEqual(['cat: cat/1.png']);
  });

  test('has one class where names look alike, and none of a name that no label can have', async () => {
    await put('cafe\u0301/1.png', 'caf\u00e9/2.png', 'x/1.png', 'x /2.png', 'x\u200b/3.png');
    expect(await classes()).toEqual([
      'cafe\u0301: cafe\u0301/1.png caf\u00e9/2.png',
      'x: x/1.png x /2.png x\u200b/3.png',
    ]);
    await put('a\tb/1.png');
    expect(await refusal()).toBe(
      '"HERE/a\\tb": expected a label of 1 to 256 bytes of UTF-8 without control characters, got "a\\tb"',
    );
  });
});

test('the images in a folder are those of the folders in it too, each once', async () => {
  await put('b/2.png', 'b/deep/3.jpg', 'a.png', '.hidden/4.png', 'b/notes.txt');
  await symlink(folder, join(folder, 'b/up'));
  const { files, unread } = await listImages(folder);
  expect([here(files), here(unread)]).toEqual([['a.png', 'b/2.png', 'b/deep/3.jpg'], ['b/notes.txt']]);
  await expect(listImages(join(folder, 'nowhere'))).rejects.toThrow(/nowhere: expected a folder that can be read/);
});

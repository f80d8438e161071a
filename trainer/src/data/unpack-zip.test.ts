import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { zipSync } from 'fflate';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { isZip, type UnpackOptions, unpackZip } from './unpack-zip.js';

let folder: string;
let place: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-zip-'));
  place = join(folder, 'photos.ZIP');
});
afterEach(() => rm(folder, { recursive: true }));

const content = (text: string) => new TextEncoder().encode(text);
const pack = (names: readonly string[]) =>
  zipSync(Object.fromEntries(names.map((name) => [name, content(name)])), { mtime: '1980-01-01T00:00:00' });

/** Where the directory's first entry stands. */
const directoryOf = (zip: Uint8Array): number =>
  zip.findIndex((_, i) => zip[i] === 0x50 && zip[i + 1] === 0x4b && zip[i + 2] === 1 && zip[i + 3] === 2);

async function unpack(bytes: Uint8Array, options: UnpackOptions = {}): Promise<string> {
  await writeFile(place, bytes);
  return unpackZip(place, { cacheDirectory: join(folder, 'cache'), ...options });
}

const filesIn = async (directory: string) => {
  const found = await readdir(directory, { recursive: true, withFileTypes: true });
  return found
    .filter((each) => each.isFile())
    .map((each) => join(each.parentPath, each.name).slice(directory.length + 1))
    .sort();
};

const refusal = async (bytes: Uint8Array, options?: UnpackOptions) => {
  const error = await unpack(bytes, options).catch((cause: Error) => cause);
  expect(error).toMatchObject({ name: 'DataError' });
  expect(await readdir(join(folder, 'cache')).catch(() => [])).toEqual([]);
  return (error as Error).message.replaceAll(folder, '');
};

it('a zip is unpacked once, without hidden files and the folder around all classes', async () => {
  const names = [
    'mine/cat/1.png',
    'mine/cat/2.png',
    'mine/dog/1.png',
    'mine/dog/.DS_Store',
    '__MACOSX/mine/cat/._1.png',
  ];
  let calls = 0;
  const target = await unpack(pack(names), { onProgress: () => calls++ });
  expect(basename(target)).toBe('photos');
  expect(await filesIn(target)).toEqual(['cat/1.png', 'cat/2.png', 'dog/1.png']);
  expect(await readFile(join(target, 'dog', '1.png'), 'utf8')).toBe('mine/dog/1.png');
  expect(await unpack(pack(names), { onProgress: () => calls++ })).toBe(target);
  expect(calls).toBe(3);
  // A folder that is a class is none around all.
  expect(await filesIn(await unpack(pack(['cat/1.png', 'cat/2.png'])))).toEqual(['cat/1.png', 'cat/2.png']);
  expect([isZip('a.zip'), isZip('a.csv')]).toEqual([true, false]);
});

it.each([
  '../cat/1.png',
  '/cat/1.png',
  'cat/../../1.png',
  'cat//1.png',
  'C:/cat/1.png',
  'cat\\1.png',
  'cat/1\u0000.png',
  './1.png',
])('a name that leads elsewhere is refused: %j', async (name) => {
  expect(await refusal(pack(['a/1.png', name]))).toMatch(
    /^\/photos\.ZIP: entry ".*": expected the name of a file inside the zip$/,
  );
});

it('what stands twice is refused, also where only a system that tells no cases apart would say so', async () => {
  expect(await refusal(pack(['cat/1.png', 'Cat/1.PNG']))).toBe(
    '/photos.ZIP: entry "Cat/1.PNG": expected it once, got it again',
  );
  const twice = pack(['cat/1.png', 'cat/2.png']);
  for (let at = 0; at < twice.length; at++) if (twice[at] === 0x32 && twice[at - 1] === 0x2f) twice[at] = 0x31;
  expect(await refusal(twice)).toBe('/photos.ZIP: entry "cat/1.png": expected it once, got it again');
});

it('what becomes much larger than it was is refused before it is unpacked', async () => {
  const bomb = zipSync({ 'cat/1.png': new Uint8Array(2 ** 22) });
  expect(await refusal(bomb)).toMatch(/expected at most 200 times its \d+ bytes when unpacked, got 4194304$/);
  // The size that the directory says of it.
  const said = pack(['cat/1.png']);
  new DataView(said.buffer).setUint32(directoryOf(said) + 24, 2 ** 30, true);
  expect(await refusal(said)).toBe('/photos.ZIP: entry "cat/1.png": expected at most 536870912 bytes, got 1073741824');
  expect(await refusal(pack(['cat/1.png']), { freeBytes: async () => 3 })).toBe(
    '/photos.ZIP: expected 9 free bytes in /cache to unpack it to, got 3; another folder is said by XDG_CACHE_HOME',
  );
});

it('what is damaged, empty or not there is refused', async () => {
  const whole = pack(['cat/1.png', 'cat/2.png']);
  const damaged = /expected a zip file, got one that is damaged, encrypted or cut short/;
  expect(await refusal(whole.subarray(0, -30))).toMatch(damaged);
  for (const said of [300, 50]) {
    const other = zipSync({ 'cat/1.png': content('a'.repeat(100)) });
    new DataView(other.buffer).setUint32(directoryOf(other) + 24, said, true);
    expect(await refusal(other)).toMatch(/damaged.*cat\/1\.png: /);
  }
  const flipped = zipSync({ 'cat/1.png': content('stored as it is') }, { level: 0 });
  const at = Buffer.from(flipped.buffer).indexOf('stored');
  flipped[at] = 0x53;
  expect(await refusal(flipped)).toMatch(/damaged.*cat\/1\.png: its checksum is another than the zip says$/);
  expect(await refusal(pack(['.hidden/1.png']))).toBe(
    '/photos.ZIP: expected a zip file of image folders, got one without files',
  );
  await expect(unpackZip(join(folder, 'none.zip'))).rejects.toThrow(
    'none.zip: expected a zip file that can be read, got Error: ENOENT',
  );
});

it('what is no plain file, or cannot be decoded, is refused with what it is', async () => {
  const changed = (at: number, value: number) => {
    const bytes = pack(['cat/1.png']);
    new DataView(bytes.buffer).setUint16(directoryOf(bytes) + at, value, true);
    return bytes;
  };
  const entry = '/photos.ZIP: entry "cat/1.png": ';
  expect(await refusal(changed(8, 1))).toBe(`${entry}expected a file without a password, got an encrypted one`);
  expect(await refusal(changed(10, 12))).toBe(`${entry}expected it stored or deflated, got compression method 12`);
  const link = zipSync({ 'cat/1.png': [content('/etc/passwd'), { os: 3, attrs: (0o120777 << 16) >>> 0 }] });
  expect(await refusal(link)).toBe(`${entry}expected a file, got a link or a device`);
});

it.each(['con/1.png', 'a./1.png', 'b?/1.png', 'a/LPT1.png', `a/${'x'.repeat(300)}.png`])(
  'a name that some system cannot have is refused: %.20s',
  async (name) => {
    expect(await refusal(pack(['a/1.png', name]))).toMatch(
      /entry ".*": expected names that files have on every system, got ".*"$/,
    );
  },
);

it('folders that some system takes for one, or for a file, are refused; what cannot be written is named', async () => {
  expect(await refusal(pack(['BANK/1.png', 'bank/2.png']))).toBe(
    '/photos.ZIP: entry "bank/2.png": expected one spelling of a folder, got "BANK" beside "bank"',
  );
  for (const names of [
    ['a/x.webp', 'a/x.webp/y'],
    ['a/x.webp/y', 'a/x.webp'],
  ]) {
    expect(await refusal(pack(names))).toMatch(
      /expected files and folders of different names, got "a\/x\.webp" as both$/,
    );
  }
  const deep = `${`${'d'.repeat(200)}/`.repeat(30)}1.png`;
  expect(await refusal(pack(['a/1.png', deep]))).toMatch(
    /entry "d+": expected to write it to the cache, got ENAMETOOLONG$/,
  );
});

it('files beside the folder around all are left out; a split and its files stay', async () => {
  const unpacked = async (names: readonly string[]) => filesIn(await unpack(pack(names)));
  const classes = ['in/photos/cat/1.png', 'in/photos/dog/1.png'];
  expect(await unpacked(['README.txt', 'in/photos/README.txt', ...classes])).toEqual([
    'README.txt',
    'cat/1.png',
    'dog/1.png',
  ]);
  expect(await unpacked(['train/cat/1.png', 'train/dog/1.png'])).toEqual(['train/cat/1.png', 'train/dog/1.png']);
  const listed = ['images/cat/1.png', 'train.csv'];
  expect(await unpacked(listed.map((name) => `mine/${name}`))).toEqual(listed);
});

it('what an unpacking that was ended left is swept, by itself or by the next', async () => {
  const cache = join(folder, 'cache');
  await mkdir(join(cache, 'unpacking-old'), { recursive: true });
  await mkdir(join(cache, 'unpacking-new'));
  await utimes(join(cache, 'unpacking-old'), 0, 0);
  const controller = new AbortController();
  const stopped = unpack(pack(['cat/1.png', 'cat/2.png']), {
    signal: controller.signal,
    onProgress: () => controller.abort(),
  });
  await expect(stopped).rejects.toMatchObject({ name: 'AbortError' });
  expect(await readdir(cache)).toEqual(['unpacking-new']);
});

it('a name that is no folder is none in the cache', async () => {
  place = join(folder, '...zip');
  expect(basename(await unpack(pack(['cat/1.png', 'dog/1.png'])))).toBe('data');
});

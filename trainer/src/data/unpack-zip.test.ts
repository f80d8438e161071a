import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
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
  const at = said.findLastIndex((_, i) => said[i] === 0x50 && said[i + 1] === 0x4b && said[i + 2] === 1);
  new DataView(said.buffer).setUint32(at + 24, 2 ** 30, true);
  expect(await refusal(said)).toBe('/photos.ZIP: entry "cat/1.png": expected at most 536870912 bytes, got 1073741824');
  expect(await refusal(pack(['cat/1.png']), { freeBytes: async () => 3 })).toBe(
    '/photos.ZIP: expected 9 free bytes in /cache to unpack it to, got 3; another folder is said by XDG_CACHE_HOME',
  );
});

it('what is damaged, empty or not there is refused', async () => {
  const whole = pack(['cat/1.png', 'cat/2.png']);
  const damaged = /expected a zip file, got one that is damaged, encrypted or cut short/;
  expect(await refusal(whole.subarray(0, -30))).toMatch(damaged);
  const longer = zipSync({ 'cat/1.png': content('a'.repeat(100)) });
  const at = longer.findLastIndex((_, i) => longer[i] === 0x50 && longer[i + 1] === 0x4b && longer[i + 2] === 1);
  new DataView(longer.buffer).setUint32(at + 24, 300, true);
  expect(await refusal(longer)).toMatch(damaged);
  const named = Buffer.from(pack(['aaproto__']));
  for (let i = named.indexOf('aaproto__'); i >= 0; i = named.indexOf('aaproto__')) named.write('__', i);
  expect(await refusal(named)).toMatch(/damaged.*0 of 1 files are there/);
  expect(await refusal(pack(['.hidden/1.png']))).toBe(
    '/photos.ZIP: expected a zip file of image folders, got one without files',
  );
  await expect(unpackZip(join(folder, 'none.zip'))).rejects.toThrow(
    'none.zip: expected a zip file that can be read, got Error: ENOENT',
  );
});

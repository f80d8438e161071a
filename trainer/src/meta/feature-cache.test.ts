import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, describe, expect, it } from 'vitest';
import type { FileClass, ImageFiles } from '../data/image-files.js';
import { bytesOf } from './bytes-of.test.helper.js';
import { type FeatureCacheOptions, openFeatureCache } from './feature-cache.js';
import type { Prefix } from './prefix.js';

const root = await mkdtemp(join(tmpdir(), 'whet-features-'));
afterAll(() => rm(root, { recursive: true, force: true }));

const preprocessing = bytesOf(2, 1);

/** Three numbers of an image, and how often it was asked. */
function countingPrefix(): Prefix & { encoded: number } {
  const prefix = {
    encoded: 0,
    features: [3],
    encode: async (images: readonly Float32Array[]) => {
      prefix.encoded += images.length;
      const data = Float32Array.from(images.flatMap(([a = 0, b = 0]) => [a, b, a + b]));
      return { dtype: 'float32' as const, shape: [images.length, 3], data };
    },
    release: async () => undefined,
  };
  return prefix;
}

/** A class of grey images of two pixels. */
const greys = (name: string, levels: readonly number[]): FileClass => ({
  name,
  count: levels.length,
  read: async (i) => ({
    bytes: await sharp(Uint8Array.of(levels[i] as number, 7), { raw: { width: 2, height: 1, channels: 1 } })
      .png()
      .toBuffer(),
    place: `${name}/${i}`,
  }),
});
const filesOf = (...classes: FileClass[]): ImageFiles => ({ name: 'greys', split: 'train', classes });
const files = filesOf(greys('a', [1, 2, 3]), greys('b', [11, 12]));

describe('the features of a data set', () => {
  const open = (directory: string, over: Partial<FeatureCacheOptions> & { prefix: Prefix }, of = files) =>
    openFeatureCache(of, { madeBy: 'model', preprocessing, directory: join(root, directory), ...over });

  it('are encoded once, and read by class and image', async () => {
    const prefix = countingPrefix();
    for (let run = 0; run < 2; run++) {
      const cache = await open('once', { prefix });
      expect(prefix.encoded).toBe(5);
      const rows = await cache.read([
        { of: 1, image: 0 },
        { of: 0, image: 2 },
      ]);
      expect([...rows]).toEqual([11, 7, 18, 3, 7, 10]);
      await cache.close();
    }
    expect((await readdir(join(root, 'once'))).length).toBe(1);
  });

  it('are others of another model, other images, or fewer', async () => {
    const prefix = countingPrefix();
    const one = await open('others', { prefix });
    const other = await open('others', { prefix, madeBy: 'another' });
    const changed = await open('others', { prefix }, filesOf(greys('a', [1, 2, 4]), greys('b', [11, 12])));
    const fewer = await open('others', { prefix }, filesOf(greys('a', [1, 2]), greys('b', [11, 12])));
    expect(prefix.encoded).toBe(5 + 5 + 5 + 4);
    expect([...(await fewer.read([{ of: 1, image: 1 }]))]).toEqual([12, 7, 19]);
    for (const cache of [one, other, changed, fewer]) await cache.close();
    expect(new Set([one, other, changed, fewer].map(({ path }) => path)).size).toBe(4);
  });

  it('need as many bytes as are free, and leave nothing behind', async () => {
    const prefix = countingPrefix();
    const full = open('full', { prefix, freeBytes: async () => 59 });
    await expect(full).rejects.toThrow('expected 60 free bytes for the features of all images, got 59');
    const late = open('full', {
      prefix: {
        ...prefix,
        encode: () => Promise.reject(Object.assign(new Error('no space left'), { code: 'ENOSPC' })),
      },
    });
    await expect(late).rejects.toThrow('expected 60 free bytes for the features of all images, got fewer');
    const stopped = open('full', { prefix, signal: AbortSignal.abort(new Error('enough')) });
    await expect(stopped).rejects.toThrow('enough');
    expect(await readdir(join(root, 'full'))).toEqual([]);
  });

  it('name an image that cannot be decoded, and write a damaged file anew', async () => {
    const broken: FileClass = { name: 'c', count: 1, read: async () => ({ bytes: Uint8Array.of(1, 2), place: 'c/0' }) };
    await expect(open('broken', { prefix: countingPrefix() }, filesOf(broken))).rejects.toThrow('c/0: ');
    const prefix = countingPrefix();
    const { path, close } = await open('damaged', { prefix });
    await close();
    await writeFile(path, 'short');
    await (await open('damaged', { prefix })).close();
    expect(prefix.encoded).toBe(10);
  });
});

import { createHash } from 'node:crypto';
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Preprocessing, pixelsToTensor } from '@whet/runtime/images';
import { cacheFolder, freeBytesOf } from '../data/cache-folder.js';
import { DataError } from '../data/dataset.js';
import { type FileClass, filePixels, type ImageFiles } from '../data/image-files.js';
import type { Prefix } from './prefix.js';

/** What the frozen part of a model makes of the images of a data set, a row of float32 each, on the disk. */
export interface FeatureCache {
  readonly path: string;
  /** The rows of images, each by its class and its place in that, one after the other. */
  read(images: readonly { readonly of: number; readonly image: number }[]): Promise<Float32Array>;
  close(): Promise<void>;
}

export interface FeatureCacheOptions {
  readonly prefix: Prefix;
  /** All that rows depend on besides the images: the model, what of it is frozen, and how images are prepared. */
  readonly madeBy: unknown;
  readonly preprocessing: Preprocessing;
  /** As {@link cacheFolder} has it. */
  readonly directory?: string;
  readonly onProgress?: (done: number, total: number) => void;
  /** Ends the encoding, which then leaves nothing behind. */
  readonly signal?: AbortSignal;
  /** Bytes that are free where the cache is to be; those of the file system when absent. */
  readonly freeBytes?: (folder: string) => Promise<number>;
}

const FORMAT = 1;
/** Images that are encoded at a time. */
const BATCH = 16;

/** Images of a data set in their order. */
const placesOf = ({ classes }: ImageFiles): { of: number; image: number }[] =>
  classes.flatMap(({ count }, of) => Array.from({ length: count }, (_, image) => ({ of, image })));

/** A digest of the files themselves, so that other images under the same names are others. */
async function digestOf({ classes }: ImageFiles, places: readonly { of: number; image: number }[]): Promise<string> {
  const hash = createHash('sha256');
  for (const { of, image } of places) {
    const { bytes } = await (classes[of] as FileClass).read(image);
    hash.update(createHash('sha256').update(bytes).digest());
  }
  return hash.digest('hex');
}

const tooFull = (folder: string, needed: number, free: number | undefined, cause?: unknown): DataError =>
  new DataError(
    `cache directory ${folder}: expected ${needed} free bytes for the features of all images, got ` +
      `${free ?? 'fewer'}; fewer images of each class, later candidates, or another directory (XDG_CACHE_HOME) need less`,
    { cause },
  );

/**
 * The features of all images of a data set, encoded once and kept for all runs of the same frozen part. The file appears whole or not at all.
 *
 * @throws {DataError} where an image cannot be read, the directory cannot be written, or has not got the bytes that are needed.
 */
export async function openFeatureCache(files: ImageFiles, options: FeatureCacheOptions): Promise<FeatureCache> {
  const { prefix, madeBy, freeBytes = freeBytesOf } = options;
  const folder = await cacheFolder(options.directory);
  const places = placesOf(files);
  const images = await digestOf(files, places);
  const key = createHash('sha256')
    .update(JSON.stringify({ format: FORMAT, madeBy, images }))
    .digest('hex');
  const path = join(folder, `${files.name}-${files.split}-${key.slice(0, 32)}.features`);
  const length = prefix.features.reduce((a, b) => a * b, 1);
  const needed = 4 * length * places.length;
  const found = await stat(path).catch(() => undefined);
  if (found?.size !== needed) {
    const free = await freeBytes(folder);
    if (free < needed) throw tooFull(folder, needed, free);
    await write(files, places, path, options).catch((cause: NodeJS.ErrnoException) => {
      throw cause.code === 'ENOSPC' ? tooFull(folder, needed, undefined, cause) : cause;
    });
  }
  const handle = await open(path, 'r');
  let sum = 0;
  const firsts = files.classes.map(({ count }) => {
    sum += count;
    return sum - count;
  });
  return {
    path,
    read: async (wanted) => {
      const rows = new Float32Array(wanted.length * length);
      await Promise.all(
        wanted.map(({ of, image }, i) => {
          const row = new Uint8Array(rows.buffer, 4 * i * length, 4 * length);
          return handle.read(row, 0, row.length, 4 * length * ((firsts[of] as number) + image));
        }),
      );
      return rows;
    },
    close: () => handle.close(),
  };
}

async function write(
  files: ImageFiles,
  places: readonly { of: number; image: number }[],
  path: string,
  { prefix, preprocessing, onProgress, signal }: FeatureCacheOptions,
): Promise<void> {
  const staging = `${path}.${process.pid}`;
  let handle: FileHandle | undefined;
  try {
    handle = await open(staging, 'w');
    const readBatch = (first: number) =>
      Promise.all(
        places
          .slice(first, first + BATCH)
          .map(async ({ of, image }) =>
            pixelsToTensor(await filePixels(files.classes[of] as FileClass, image, preprocessing), preprocessing),
          ),
      );
    let ahead = readBatch(0);
    for (let first = 0; first < places.length; first += BATCH) {
      signal?.throwIfAborted();
      const images = await ahead;
      // Files are decoded in other threads while this one encodes.
      ahead = readBatch(first + BATCH);
      ahead.catch(() => undefined);
      const { data } = await prefix.encode(images);
      await handle.write(
        new Uint8Array((data as Float32Array).buffer, (data as Float32Array).byteOffset, data.length * 4),
      );
      onProgress?.(first + images.length, places.length);
    }
    await handle.close();
    handle = undefined;
    await rename(staging, path);
  } catch (cause) {
    await handle?.close();
    await rm(staging, { force: true });
    throw cause;
  }
}

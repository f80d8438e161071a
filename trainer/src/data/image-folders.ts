import { readFile, stat } from 'node:fs/promises';
import { dirname, relative } from 'node:path';
import { InputError } from '@whet/runtime';
import { type ClassImages, decodePixels, type Preprocessing } from '@whet/runtime/images';
import { type ClassLists, listSplits } from './class-lists.js';
import { DataError, type Dataset, type ImageClass, SPLITS, type SplitName } from './dataset.js';
import { type DecodedImages, openImageCache } from './image-cache.js';
import type { FileClass, ImageFiles } from './image-files.js';
import { type PixelNormalization, pixelNormalization } from './pixel-normalization.js';

export interface ImageFolderOptions extends PixelNormalization {
  /** Width and height of the decoded images in pixels; 28 when absent. */
  readonly size?: number;
  /** 1 for luminance, 3 for colour; 3 when absent. */
  readonly channels?: 1 | 3;
  /** All of how files become tensors, in place of the four above: that of a bundle, for example. */
  readonly preprocessing?: Preprocessing;
  /** Leaves out images that cannot be decoded; `Dataset.skipped` names them. They are an error when absent. */
  readonly skipCorrupt?: boolean;
  /** Images decoded at a time; 4 when absent. */
  readonly concurrency?: number;
  /** Where decoded images are kept; `$XDG_CACHE_HOME/whet`, else `~/.cache/whet`, when absent. */
  readonly cacheDirectory?: string;
  /** Splits classes that come without splits; 0 when absent. */
  readonly splitSeed?: number | undefined;
  /** Called with the classes and how many images each has, before any is read; what it throws ends the loading. */
  readonly onListed?: (listed: CountedClasses) => void;
  /** Images decoded so far, and in all. Not called when they come from the cache. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Classes by split, and how many images each has. */
export interface CountedClasses extends Pick<Dataset, 'name' | 'splitSeed'> {
  readonly splits: Readonly<Record<SplitName, readonly Pick<ImageClass, 'name' | 'count'>[]>>;
}

/**
 * Images in folders `<split>/<class>/*`, with the splits `train`, `validation` (or `val`) and `test`, or with files `train.csv`, `validation.csv` (or `val.csv`)
 * and `test.csv`, which say which images are of which class. Folders `<class>/*` alone, and a file of lines `path,label`, are split by class
 * (`splitByClass`). `Dataset.unread` names what is no image. An image of another aspect ratio is contained, with white beside it.
 *
 * The decoded images are kept in the cache directory, under a name made from the classes, paths, sizes and times of the files
 * and the preprocessing.
 *
 * @throws {DataError} naming the file or folder: a split is missing or has no classes, a class stands in two splits or
 * has no images, an image cannot be read or decoded, an option is out of range, or the cache cannot be written.
 */
export async function loadImageFolders(place: string, options: ImageFolderOptions = {}): Promise<Dataset> {
  const preprocessing = options.preprocessing ?? preprocessingOf(options);
  const concurrency = options.concurrency ?? 4;
  if (!Number.isInteger(concurrency) || concurrency < 1) {
    throw new DataError(`image folders: expected a concurrency of 1 or more, got ${concurrency}`);
  }
  const skipCorrupt = options.skipCorrupt ?? false;
  const listed = await listSplits(place, { splitSeed: options.splitSeed ?? 0 });
  const { name, root, classes, unread, splitSeed } = listed;
  options.onListed?.(countsOf(listed));
  const sources = [];
  for (const split of SPLITS) {
    for (const { name, files } of classes[split]) {
      for (const file of files) {
        const { size, mtimeMs } = await statImage(file);
        sources.push([split, name, relative(root, file), size, mtimeMs]);
      }
    }
  }
  const madeFrom = { sources, preprocessing, skipCorrupt };
  const cache = await openImageCache(`folders-${preprocessing.width}`, madeFrom, options.cacheDirectory);
  let images = await cache.read();
  if (images === undefined) {
    images = await decodeAll(root, classes, preprocessing, { ...options, skipCorrupt, concurrency });
    await cache.write(images);
  }
  return { name, preprocessing, ...images, ...besides(unread, splitSeed) };
}

/**
 * The image files of one split. Of classes that come without splits they are all of them or, with a `splitSeed`, those of the split that
 * {@link loadImageFolders} makes by it.
 *
 * @throws {DataError} as {@link loadImageFolders}, of an image when it is read.
 */
export async function openImageFolder(place: string, split: SplitName, splitSeed?: number): Promise<ImageFiles> {
  const listed = await listSplits(place, { only: split, splitSeed });
  const { name, classes, unread } = listed;
  return { name, split, classes: classes[split].map(fileClass), ...besides(unread, listed.splitSeed) };
}

/** The classes of a place and how many images each has, none of them read. Throws {@link DataError} as {@link loadImageFolders}. */
export async function countImages(place: string, splitSeed = 0): Promise<CountedClasses> {
  return countsOf(await listSplits(place, { splitSeed }));
}

const besides = (unread: readonly string[], splitSeed: number | undefined) => ({
  ...(unread.length > 0 ? { unread } : {}),
  ...(splitSeed === undefined ? {} : { splitSeed }),
});

function countsOf({ name, classes, splitSeed }: ClassLists): CountedClasses {
  const counted = (split: SplitName) => classes[split].map((each) => ({ name: each.name, count: each.files.length }));
  const splits = { train: counted('train'), validation: counted('validation'), test: counted('test') };
  return { name, splits, ...besides([], splitSeed) };
}

const fileClass = ({ name, files }: ClassImages): FileClass => ({
  name,
  count: files.length,
  read: async (i) => {
    const place = files[i] as string;
    const bytes = await readFile(place).catch((cause: unknown) => {
      throw new DataError(`${place}: expected an image that can be read, got ${String(cause)}`, { cause });
    });
    return { bytes, place };
  },
});

function preprocessingOf(options: ImageFolderOptions): Preprocessing {
  const { size = 28, channels = 3 } = options;
  if (!Number.isInteger(size) || size < 1) {
    throw new DataError(`image folders: expected a size of 1 pixel or more, got ${size}`);
  }
  return {
    width: size,
    height: size,
    channels,
    fit: 'contain',
    background: 255,
    kernel: 'lanczos3',
    invert: false,
    ...pixelNormalization('image folders', channels, options),
  };
}

async function decodeAll(
  root: string,
  classes: ClassLists['classes'],
  preprocessing: Preprocessing,
  { skipCorrupt, concurrency, onProgress }: ImageFolderOptions & { readonly concurrency: number },
): Promise<DecodedImages> {
  const length = preprocessing.width * preprocessing.height * preprocessing.channels;
  const folders = SPLITS.flatMap((split) => classes[split]);
  const pixels = new Map(folders.map((folder) => [folder, new Uint8Array(folder.files.length * length)]));
  const jobs = folders.flatMap((folder) => folder.files.map((path, i) => ({ folder, path, i })));
  const corrupt = new Set<string>();
  let next = 0;
  let done = 0;
  const decodeNext = async (): Promise<void> => {
    for (let job = jobs[next++]; job !== undefined; job = jobs[next++]) {
      const { folder, path, i } = job;
      try {
        const bytes = await readFile(path);
        const decoded = await decodePixels(bytes, preprocessing, { field: path, isOwn: true });
        pixels.get(folder)?.set(decoded, i * length);
      } catch (cause) {
        if (!(skipCorrupt && cause instanceof InputError)) {
          next = jobs.length;
          const message = cause instanceof Error ? cause.message : String(cause);
          throw new DataError(cause instanceof InputError ? message : `${path}: ${message}`, { cause });
        }
        corrupt.add(path);
      }
      onProgress?.(++done, jobs.length);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, decodeNext));

  const classOf = (folder: ClassImages): ImageClass => {
    const all = pixels.get(folder) as Uint8Array;
    let count = 0;
    for (const [i, file] of folder.files.entries()) {
      if (corrupt.has(file)) continue;
      all.copyWithin(count++ * length, i * length, (i + 1) * length);
    }
    if (count === 0) {
      throw new DataError(
        `${dirname(folder.files[0] as string)}: expected an image that can be decoded, got ${folder.files.length} corrupt ones`,
      );
    }
    return { name: folder.name, count, pixels: all.subarray(0, count * length) };
  };
  const splits = {
    train: classes.train.map(classOf),
    validation: classes.validation.map(classOf),
    test: classes.test.map(classOf),
  };
  if (!skipCorrupt) return { splits };
  const skipped = jobs.map(({ path }) => path).filter((path) => corrupt.has(path));
  return { splits, skipped: skipped.map((path) => relative(root, path)) };
}

async function statImage(path: string): Promise<{ size: number; mtimeMs: number }> {
  try {
    return await stat(path);
  } catch (cause) {
    throw new DataError(`${path}: expected an image that can be read, got ${String(cause)}`, { cause });
  }
}

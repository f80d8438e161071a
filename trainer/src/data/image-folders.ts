import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { InputError } from '@whet/runtime';
import { labelKey } from '@whet/runtime/format';
import { type ClassImages, decodePixels, listClasses, type Preprocessing } from '@whet/runtime/images';
import { DataError, type Dataset, type ImageClass, type SplitName } from './dataset.js';
import { type DecodedImages, openImageCache } from './image-cache.js';
import type { FileClass, ImageFiles } from './image-files.js';
import { type PixelNormalization, pixelNormalization } from './pixel-normalization.js';
import { findSplitFiles, readSplitFile } from './split-files.js';

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
  /** Images decoded so far, and in all. Not called when they come from the cache. */
  readonly onProgress?: (done: number, total: number) => void;
}

const FOLDERS = {
  train: ['train'],
  validation: ['validation', 'val'],
  test: ['test'],
} as const satisfies Record<SplitName, readonly string[]>;
const SPLITS = ['train', 'validation', 'test'] as const satisfies readonly SplitName[];

/**
 * Images in folders `<split>/<class>/*`, with the splits `train`, `validation` (or `val`) and `test`: read by `listClasses` of
 * `@whet/runtime/images`. Classes and the images of each are in the order of
 * their names; `Dataset.unread` names what is no image. An image of another aspect ratio is contained, with white beside it. Where files
 * `train.csv`, `validation.csv` (or `val.csv`) and `test.csv` stand there, they say which images are of which class, as `readSplitFile` reads them.
 *
 * The decoded images are kept in the cache directory, under a name made from the classes, paths, sizes and times of the files
 * and the preprocessing.
 *
 * @throws {DataError} naming the file or folder: a split is missing or has no classes, a class stands in two splits or
 * has no images, an image cannot be read or decoded, an option is out of range, or the cache cannot be written.
 */
export async function loadImageFolders(directory: string, options: ImageFolderOptions = {}): Promise<Dataset> {
  const preprocessing = options.preprocessing ?? preprocessingOf(options);
  const concurrency = options.concurrency ?? 4;
  if (!Number.isInteger(concurrency) || concurrency < 1) {
    throw new DataError(`image folders: expected a concurrency of 1 or more, got ${concurrency}`);
  }
  const skipCorrupt = options.skipCorrupt ?? false;
  const { classes, unread } = await classesOfSplits(directory);
  const sources = [];
  for (const split of SPLITS) {
    for (const { name, files } of classes[split]) {
      for (const file of files) {
        const { size, mtimeMs } = await statImage(file);
        sources.push([split, name, relative(directory, file), size, mtimeMs]);
      }
    }
  }
  const madeFrom = { sources, preprocessing, skipCorrupt };
  const cache = await openImageCache(`folders-${preprocessing.width}`, madeFrom, options.cacheDirectory);
  let images = await cache.read();
  if (images === undefined) {
    images = await decodeAll(directory, classes, preprocessing, { ...options, skipCorrupt, concurrency });
    await cache.write(images);
  }
  const left = unread.map((path) => relative(directory, path));
  return { name: basename(resolve(directory)), preprocessing, ...images, ...(left.length > 0 ? { unread: left } : {}) };
}

/**
 * The image files of one split, or of `<class>/*` in a folder that has no folders of splits.
 *
 * @throws {DataError} as {@link loadImageFolders}, of an image when it is read.
 */
export async function openImageFolder(directory: string, split: SplitName): Promise<ImageFiles> {
  const { classes, unread } = await classesOfSplits(directory, split);
  const name = basename(resolve(directory));
  const left = unread.map((path) => relative(directory, path));
  return { name, split, classes: classes[split].map(fileClass), ...(left.length > 0 ? { unread: left } : {}) };
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

/** The folder of each split in `directory` that is there. Throws {@link DataError} where a split has two. */
export async function findSplitFolders(directory: string): Promise<Partial<Record<SplitName, string>>> {
  const found: Partial<Record<SplitName, string>> = {};
  for (const split of SPLITS) {
    for (const name of FOLDERS[split]) {
      const path = join(directory, name);
      if (!(await isFolder(path))) continue;
      if (found[split])
        throw new DataError(`${directory}: expected one folder of ${split}, got ${found[split]}, ${path}`);
      found[split] = path;
    }
  }
  return found;
}

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

async function classesOfSplits(
  directory: string,
  only?: SplitName,
): Promise<{ classes: Record<SplitName, readonly ClassImages[]>; unread: string[] }> {
  const lists = await findSplitFiles(directory);
  if (Object.keys(lists).length > 0) return classesOfFiles(directory, lists, only);
  const found = await findSplitFolders(directory);
  const plain = only !== undefined && Object.keys(found).length === 0;
  const folders = plain ? { [only]: directory } : found;
  const classes: Record<SplitName, readonly ClassImages[]> = { train: [], validation: [], test: [] };
  const unread: string[] = [];
  const standsIn = new Map<string, string>();
  for (const split of only ? [only] : SPLITS) {
    const folder = folders[split];
    if (!folder) {
      const got = (await namesIn(directory)).slice(0, 8).join(', ') || 'nothing';
      throw new DataError(`${directory}: expected a folder ${FOLDERS[split].join(' or ')} of classes, got ${got}`);
    }
    const listed = await listClasses(folder).catch((cause: unknown) => {
      throw cause instanceof InputError ? new DataError(cause.message, { cause }) : cause;
    });
    checkApart(listed.classes, split, standsIn, (name) => join(folder, name));
    classes[split] = listed.classes;
    unread.push(...listed.unread);
    if (classes[split].length === 0) throw new DataError(`${folder}: expected a folder for each class, got none`);
  }
  return { classes, unread };
}

/** Throws {@link DataError} where a class stands in another split already, and notes in which these do. */
function checkApart(
  classes: readonly ClassImages[],
  split: SplitName,
  standsIn: Map<string, string>,
  placeOf: (name: string) => string,
): void {
  for (const { name } of classes) {
    const other = standsIn.get(labelKey(name));
    if (other) {
      const got = `got ${name} in ${other} and ${split}`;
      throw new DataError(`${placeOf(name)}: expected every class in one split, ${got}`);
    }
    standsIn.set(labelKey(name), split);
  }
}

/** Classes by the files of splits. */
async function classesOfFiles(
  directory: string,
  lists: Partial<Record<SplitName, string>>,
  only: SplitName | undefined,
): Promise<{ classes: Record<SplitName, readonly ClassImages[]>; unread: string[] }> {
  const classes: Record<SplitName, readonly ClassImages[]> = { train: [], validation: [], test: [] };
  const standsIn = new Map<string, string>();
  for (const split of only ? [only] : SPLITS) {
    const path = lists[split];
    if (!path) {
      const got = Object.values(lists).map((each) => basename(each));
      throw new DataError(
        `${directory}: expected a file of the classes of ${split} beside the others, got ${got.join(', ')}`,
      );
    }
    classes[split] = await readSplitFile(directory, path, split);
    checkApart(classes[split], split, standsIn, () => path);
  }
  return { classes, unread: [] };
}

async function decodeAll(
  directory: string,
  classes: Record<SplitName, readonly ClassImages[]>,
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
  return { splits, skipped: skipped.map((path) => relative(directory, path)) };
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch (cause) {
    throw new DataError(`${folder}: expected a folder that can be read, got ${String(cause)}`, { cause });
  }
}

async function statImage(path: string): Promise<{ size: number; mtimeMs: number }> {
  try {
    return await stat(path);
  } catch (cause) {
    throw new DataError(`${path}: expected an image that can be read, got ${String(cause)}`, { cause });
  }
}

/** Follows links; what is not there is no folder. */
async function isFolder(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.isDirectory() ?? false;
}

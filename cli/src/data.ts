import { readdir, stat } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import type { Preprocessing } from '@whet/runtime/images';
import type { CountedClasses, Dataset, DrawnImage, ImageFiles, SplitName } from '@whet/trainer';
import { interruptible } from './interrupt.js';
import { startProgress } from './progress.js';
import { listed, noteUnread } from './unread.js';

/** Where data is, and of which kind. */
export interface DataPlace {
  /** A folder, or a file of paths and labels. */
  readonly place: string;
  readonly kind: 'omniglot' | 'folders' | 'cifar';
  /** Whether it says itself which classes are of which split. */
  readonly hasSplits: boolean;
  /** The zip file that was unpacked there. */
  readonly zip?: string;
}

export interface LoadDataOptions {
  readonly size: number;
  /** 3 when absent. */
  readonly channels?: 1 | 3;
  /** How images become tensors, where a run or a bundle says so already. */
  readonly preprocessing?: Preprocessing | undefined;
  /** Per channel, of pixels 0..1, where `preprocessing` does not say. */
  readonly mean?: readonly number[] | undefined;
  readonly std?: readonly number[] | undefined;
  readonly skipCorrupt?: boolean | undefined;
  /** Of classes that come without splits; 0 when absent. */
  readonly splitSeed?: number | undefined;
  /** Called with what there is, before images of folders are decoded; what it throws ends the loading. */
  readonly check?: ((listed: CountedClasses) => void) | undefined;
}

const CLASS_SPLIT = 'class-split.json';
const ZIPS = ['images_background.zip', 'images_evaluation.zip'];
const CIFAR = /^(data_batch_\d+|test_batch|train|test)\.bin$/;

export const dataHelp =
  'images <class>/* or <split>/<class>/* in a folder or zip file, a CSV of path,label, or a folder of images with <split>.csv, of Omniglot’s zip files or of CIFAR’s binary files';
export const skipCorruptHelp = 'leave out images that cannot be decoded (image folders)';
export const splitSeedHelp = 'seed by which classes that come without splits are split by class (default: 0)';

/** What a place holds, told by its files; a zip file is unpacked, once. Throws naming what was expected where it is none of the kinds. */
export async function recogniseData(place: string): Promise<DataPlace> {
  const { DataError, findSplitFiles, findSplitFolders, isPathFile, isZip, unpackZip } = await import('@whet/trainer');
  const isFile = (await stat(place).catch(() => undefined))?.isFile() ?? false;
  if (isFile && isZip(place)) {
    let progress: ReturnType<typeof startProgress> | undefined;
    const onProgress = (done: number, total: number) => {
      progress ??= startProgress('unpack', total);
      progress.update(done, 'files, once');
    };
    const { signal, stop } = interruptible();
    const unpacked = await unpackZip(place, { onProgress, signal }).finally(() => {
      progress?.stop();
      stop();
    });
    return { ...(await naming({ place: unpacked, zip: place }, recogniseData(unpacked))), zip: place };
  }
  if (isFile && isPathFile(place)) return { place, kind: 'folders', hasSplits: false };
  const names = await readdir(place).catch((cause: NodeJS.ErrnoException) => {
    const problem =
      cause.code === 'ENOENT' ? 'nothing of that name' : cause.code === 'ENOTDIR' ? 'another file' : String(cause);
    throw new DataError(unknown(place, problem), { cause });
  });
  if (names.some((name) => ZIPS.includes(name))) return { place, kind: 'omniglot', hasSplits: true };
  if (names.some((name) => CIFAR.test(name))) return { place, kind: 'cifar', hasSplits: true };
  const splits = [...Object.keys(await findSplitFiles(place)), ...Object.keys(await findSplitFolders(place))];
  const hasSplits = splits.length > 0;
  if (hasSplits || (await holdsClasses(place))) return { place, kind: 'folders', hasSplits };
  throw new DataError(unknown(place, listed(names) || 'an empty folder'));
}

/** Errors about what a zip file was unpacked to name the zip. */
async function naming<T>({ place, zip }: Pick<DataPlace, 'place' | 'zip'>, result: Promise<T>): Promise<T> {
  const { DataError } = await import('@whet/trainer');
  return result.catch((cause: unknown) => {
    if (zip === undefined || !(cause instanceof DataError)) throw cause;
    throw new DataError(cause.message.replaceAll(place, zip), { cause });
  });
}

/**
 * The seed by which the classes of places are split: what was asked for, else 0, and none where they have splits. Throws where it was asked for
 * in vain.
 */
export function splitSeedOf(places: readonly DataPlace[], asked: number | undefined): number | undefined {
  if (places.some(({ hasSplits }) => !hasSplits)) return asked ?? 0;
  if (asked === undefined) return undefined;
  const names = places.map(({ place, zip = place }) => zip).join(', ');
  throw new Error(`--split-seed: expected classes that come without splits, got ${names}, with splits of its own`);
}

/** What the kind and the images decide about a network where settings do not: the channels, and CIFAR’s size. */
export async function imagesOf(
  data: DataPlace,
  splitSeed = 0,
): Promise<{ readonly imageChannels: 1 | 3; readonly imageSize?: number }> {
  const { place, kind } = data;
  if (kind === 'omniglot') return { imageChannels: 1 };
  if (kind === 'cifar') return { imageChannels: 3, imageSize: 32 };
  const { openImageFolder } = await import('@whet/trainer');
  return { imageChannels: (await areGrey(await naming(data, openImageFolder(place, 'train', splitSeed)))) ? 1 : 3 };
}

/** Which classes a place has, and how many images of each. */
export async function countData(data: DataPlace, splitSeed: number | undefined): Promise<CountedClasses> {
  const { place, kind } = data;
  const { countImages, loadCifar, openOmniglot } = await import('@whet/trainer');
  if (kind === 'folders') return naming(data, countImages(place, splitSeed));
  if (kind === 'cifar') return loadCifar(place, join(place, CLASS_SPLIT));
  const [train, validation, test] = await Promise.all([
    openOmniglot(place, 'train'),
    openOmniglot(place, 'validation'),
    openOmniglot(place, 'test'),
  ]);
  const splits = { train: train.classes, validation: validation.classes, test: test.classes };
  return { name: train.name, splits };
}

/** All data of a place: what it has is said before anything is decoded, which has a progress bar, as it takes time at first. */
export async function loadData(data: DataPlace, options: LoadDataOptions): Promise<Dataset> {
  const { place, kind } = data;
  const { loadCifar, loadImageFolders, loadOmniglot } = await import('@whet/trainer');
  const { size, channels, preprocessing, mean, std, skipCorrupt = false, splitSeed, check } = options;
  const normalized = mean !== undefined || std !== undefined;
  if (normalized && kind === 'omniglot') throw new Error('--mean and --std: Omniglot’s drawings are not normalized');
  if (normalized && preprocessing) throw new Error('--mean and --std: the settings have a preprocessing already');
  const prepared = preprocessing ? { preprocessing } : { ...(mean && { mean }), ...(std && { std }) };
  let progress: ReturnType<typeof startProgress> | undefined;
  const onProgress = (done: number, total: number) => {
    progress ??= startProgress('decode', total);
    progress.update(done, 'images, once');
  };
  try {
    if (kind !== 'folders') {
      const load = () => loadCifar(place, join(place, CLASS_SPLIT), prepared).then(noteUnsplit);
      const dataset = await (kind === 'cifar' ? load() : loadOmniglot(place, { size, onProgress }));
      check?.(dataset);
      return dataset;
    }
    const folders = {
      size,
      ...(channels && { channels }),
      ...prepared,
      skipCorrupt,
      splitSeed,
      onListed: (found: CountedClasses) => {
        process.stderr.write(`${describeData(found)}\n`);
        check?.(found);
      },
      onProgress,
    };
    const dataset = await naming(data, loadImageFolders(place, folders));
    const { skipped = [], unread = [] } = dataset;
    progress?.stop();
    noteUnread(unread);
    noteSkipped(skipped);
    return dataset;
  } finally {
    progress?.stop();
  }
}

export interface OpenDataOptions {
  readonly preprocessing?: Preprocessing;
  readonly skipCorrupt?: boolean | undefined;
  /** Splits classes that come without splits; all of them are opened when absent. */
  readonly splitSeed?: number | undefined;
  /** Images that are going to be read, where corrupt ones are left out; all when absent. */
  readonly drawn?: (files: ImageFiles) => Iterable<DrawnImage>;
}

/** The image files of one split, to be made into what a bundle takes; those that are drawn are decoded once where corrupt ones are left out. */
export async function openData(
  data: DataPlace,
  split: SplitName,
  { preprocessing, skipCorrupt = false, splitSeed, drawn }: OpenDataOptions = {},
): Promise<ImageFiles> {
  const { place, kind } = data;
  const { DataError, isPathFile, leaveOutCorrupt, openCifar, openImageFolder, openOmniglot } = await import(
    '@whet/trainer'
  );
  if (kind === 'omniglot') return openOmniglot(place, split);
  if (kind === 'cifar') return noteUnsplit(await openCifar(place, join(place, CLASS_SPLIT), split));
  const files = await naming(data, openImageFolder(place, split, splitSeed));
  noteUnread(files.unread ?? []);
  if (files.splitSeed !== undefined) {
    const names = files.classes.map(({ name }) => name);
    if (names.length === 0) {
      const lead = `${files.name}: split by class (seed ${files.splitSeed}): expected classes of ${split}, got none, as there are few`;
      throw new DataError(
        `${lead}; --split validation asks about others that were not trained on, --split all about all`,
      );
    }
    process.stderr.write(
      `${files.name}: split by class (seed ${files.splitSeed}): ${split} has ${names.length}: ${listed(names)}\n`,
    );
  }
  if (!skipCorrupt || !preprocessing) return files;
  let progress: ReturnType<typeof startProgress> | undefined;
  const onProgress = (done: number, total: number) => {
    progress ??= startProgress('check', total);
    progress.update(done, 'images');
  };
  try {
    const kept = await leaveOutCorrupt(files, preprocessing, { drawn, onProgress });
    const root = isPathFile(place) ? dirname(place) : place;
    noteSkipped(kept.skipped.map((path) => relative(root, path)));
    return kept.files;
  } finally {
    progress?.stop();
  }
}

/** Says which classes there are images of and are in no split. */
function noteUnsplit<Data extends Pick<Dataset, 'name' | 'unsplit'>>(data: Data): Data {
  const { name, unsplit = [] } = data;
  if (unsplit.length > 0) process.stderr.write(`note: ${name}: in no split of ${CLASS_SPLIT}: ${listed(unsplit)}\n`);
  return data;
}

function noteSkipped(paths: readonly string[]): void {
  if (paths.length > 0) process.stderr.write(`left out ${paths.length} corrupt images: ${listed(paths)}\n`);
}

/** Whether a folder in `directory` has an image. */
async function holdsClasses(directory: string): Promise<boolean> {
  const { listImages } = await import('@whet/runtime/images');
  const { files } = await listImages(directory);
  return files.some((path) => relative(directory, path).split(sep).length === 2);
}

/** Whether the first image of every class is grey; one that cannot be read says nothing. */
async function areGrey({ classes }: ImageFiles): Promise<boolean> {
  const { default: sharp } = await import('sharp');
  const seen = new Set<boolean>();
  for (const each of classes) {
    const header = await each
      .read(0)
      .then(({ bytes }) => sharp(bytes).metadata())
      .catch(() => undefined);
    if (header) seen.add(header.space === 'b-w' || header.space === 'grey16');
  }
  return seen.has(true) && !seen.has(false);
}

const SPLIT_NAMES = ['train', 'validation', 'test'] as const;

/** Classes and images of each split, and which classes these are where a seed decided. */
function describeData({ name, splits, splitSeed }: CountedClasses): string {
  const parts = SPLIT_NAMES.map((split) => {
    const images = splits[split].reduce((sum, { count }) => sum + count, 0);
    return `${split} ${splits[split].length} (${images} images)`;
  });
  const total = SPLIT_NAMES.reduce((sum, split) => sum + splits[split].length, 0);
  if (splitSeed === undefined) return `${name}: ${total} classes: ${parts.join(', ')}`;
  const which = SPLIT_NAMES.map((split) => `  ${split}: ${listed(splits[split].map((each) => each.name)) || 'none'}`);
  return [`${name}: ${total} classes, split by class (seed ${splitSeed}): ${parts.join(', ')}`, ...which].join('\n');
}

function unknown(place: string, got: string): string {
  return (
    `--data ${place}: expected image folders (<class>/*.png, .jpg or .webp, or such classes in folders train, validation and test), a zip file of these, ` +
    'a CSV file of lines path,label, images with train.csv, val.csv and test.csv, ' +
    `Omniglot (${ZIPS.join(', ')} and its split) or CIFAR (data_batch_1.bin, ... and test_batch.bin, or train.bin and test.bin, with ${CLASS_SPLIT}), got ${got}`
  );
}

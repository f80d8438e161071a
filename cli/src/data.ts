import { readdir } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import type { Preprocessing } from '@whet/runtime/images';
import type { Dataset, ImageFiles, SplitName } from '@whet/trainer';
import { startProgress } from './progress.js';
import { listed, noteUnread } from './unread.js';

/** A folder of data, and what its kind decides about a network's images where settings do not. */
export interface DataFolder {
  readonly directory: string;
  readonly kind: 'omniglot' | 'folders' | 'cifar';
  readonly image: { readonly imageChannels: 1 | 3; readonly imageSize?: number };
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
}

const CLASS_SPLIT = 'class-split.json';
const ZIPS = ['images_background.zip', 'images_evaluation.zip'];
const CIFAR = /^(data_batch_\d+|test_batch|train|test)\.bin$/;

export const dataHelp =
  'folder of Omniglot’s zip files, of images <split>/<class>/*, of CIFAR’s binary files, or of images with <split>.csv';
export const skipCorruptHelp = 'leave out images that cannot be decoded (image folders)';

/**
 * What the folder holds, told by its files; with `plain`, classes of images may stand in it without folders of splits.
 * Throws naming what was expected where it is none of the kinds.
 */
export async function recogniseData(directory: string, { plain = false } = {}): Promise<DataFolder> {
  const { DataError, findSplitFiles, findSplitFolders } = await import('@whet/trainer');
  const names = await readdir(directory).catch((cause: NodeJS.ErrnoException) => {
    const problem = cause.code === 'ENOENT' ? 'no such folder' : cause.code === 'ENOTDIR' ? 'a file' : String(cause);
    throw new DataError(unknown(directory, problem), { cause });
  });
  if (names.some((name) => ZIPS.includes(name))) return { directory, kind: 'omniglot', image: { imageChannels: 1 } };
  if (names.some((name) => CIFAR.test(name))) {
    return { directory, kind: 'cifar', image: { imageChannels: 3, imageSize: 32 } };
  }
  // As miniImageNet comes: photographs.
  if (Object.keys(await findSplitFiles(directory)).length > 0) {
    return { directory, kind: 'folders', image: { imageChannels: 3 } };
  }
  const { train, validation, test } = await findSplitFolders(directory);
  if (plain && !train && !validation && !test && (await holdsClasses(directory))) {
    return { directory, kind: 'folders', image: { imageChannels: (await isGrey(directory)) ? 1 : 3 } };
  }
  if (!train && !validation && !test) throw new DataError(unknown(directory, listed(names) || 'an empty folder'));
  return { directory, kind: 'folders', image: { imageChannels: train && (await isGrey(train)) ? 1 : 3 } };
}

/** The data of a folder, with a progress bar while images are decoded for the first time. */
export async function loadData({ directory, kind }: DataFolder, options: LoadDataOptions): Promise<Dataset> {
  const { loadCifar, loadImageFolders, loadOmniglot } = await import('@whet/trainer');
  const { size, channels, preprocessing, mean, std, skipCorrupt = false } = options;
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
    if (kind === 'omniglot') return await loadOmniglot(directory, { size, onProgress });
    if (kind === 'cifar') return await loadCifar(directory, join(directory, CLASS_SPLIT), prepared);
    const folders = {
      size,
      ...(channels && { channels }),
      ...prepared,
      skipCorrupt,
      onProgress,
    };
    const dataset = await loadImageFolders(directory, folders);
    const { skipped = [], unread = [] } = dataset;
    progress?.stop();
    noteUnread(unread);
    noteSkipped(skipped);
    return dataset;
  } finally {
    progress?.stop();
  }
}

/** The image files of one split, to be made into what a bundle takes; all are decoded once where corrupt ones are left out. */
export async function openData(
  { directory, kind }: DataFolder,
  split: SplitName,
  {
    preprocessing,
    skipCorrupt = false,
  }: { readonly preprocessing?: Preprocessing; readonly skipCorrupt?: boolean | undefined } = {},
): Promise<ImageFiles> {
  const { leaveOutCorrupt, openCifar, openImageFolder, openOmniglot } = await import('@whet/trainer');
  if (kind === 'omniglot') return openOmniglot(directory, split);
  if (kind === 'cifar') return openCifar(directory, join(directory, CLASS_SPLIT), split);
  const files = await openImageFolder(directory, split);
  noteUnread(files.unread ?? []);
  if (!skipCorrupt || !preprocessing) return files;
  const total = files.classes.reduce((sum, { count }) => sum + count, 0);
  const progress = startProgress('check', total);
  try {
    const kept = await leaveOutCorrupt(files, preprocessing, (done) => progress.update(done, 'images'));
    noteSkipped(kept.skipped.map((path) => relative(directory, path)));
    return kept.files;
  } finally {
    progress.stop();
  }
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
async function isGrey(split: string): Promise<boolean> {
  const { listClasses } = await import('@whet/runtime/images');
  const { default: sharp } = await import('sharp');
  const seen = new Set<boolean>();
  // What is wrong with the folder is said when it is read.
  const { classes } = await listClasses(split).catch(() => ({ classes: [] }));
  for (const { files } of classes) {
    const header = await sharp(files[0])
      .metadata()
      .catch(() => undefined);
    if (header) seen.add(header.space === 'b-w' || header.space === 'grey16');
  }
  return seen.has(true) && !seen.has(false);
}

function unknown(directory: string, got: string): string {
  return (
    `--data ${directory}: expected Omniglot (${ZIPS.join(', ')} and its split), ` +
    'image folders (<split>/<class>/*.png, .jpg or .webp with the splits train, validation and test, or images with train.csv, val.csv and test.csv) or CIFAR ' +
    `(data_batch_1.bin, ... and test_batch.bin, or train.bin and test.bin, with ${CLASS_SPLIT}), got ${got}`
  );
}

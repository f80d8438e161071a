import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodePixels, type Preprocessing } from '@whet/runtime/images';
import { unzipSync } from 'fflate';
import { DataError, type Dataset, type ImageClass, SPLITS, type SplitName } from './dataset.js';
import { openImageCache } from './image-cache.js';
import type { FileClass, ImageFiles } from './image-files.js';
import { findSplit, SPLIT_FILE, type SplitFile, type SplitSource } from './omniglot-split.js';

export interface OmniglotOptions {
  /** Width and height of the decoded drawings in pixels; 28 when absent. */
  readonly size?: number;
  /** Where decoded drawings are kept; `$XDG_CACHE_HOME/whet`, else `~/.cache/whet`, when absent. */
  readonly cacheDirectory?: string;
  /** Drawings decoded so far, and in all. Not called when they come from the cache. */
  readonly onProgress?: (done: number, total: number) => void;
}

const FILES = {
  background: 'images_background.zip',
  evaluation: 'images_evaluation.zip',
} as const;

const PARTS = { train: 'train', validation: 'val', test: 'test' } as const satisfies Record<SplitName, string>;

const CONCURRENT = 4;

/**
 * Drawings of `size` x `size`, one channel, ink 1 on paper 0. Of sharp's kernels `lanczos3` keeps the most ink where
 * the strokes are when 105 x 105 becomes 28 x 28 (0.76, an exact area average 0.74, `mitchell` 0.71, `linear` 0.69;
 * `nearest` breaks them up), and its ringing is cut off by white paper.
 */
export function omniglotPreprocessing(size = 28): Preprocessing {
  return {
    width: size,
    height: size,
    channels: 1,
    fit: 'contain',
    background: 255,
    kernel: 'lanczos3',
    invert: true,
    mean: [0],
    std: [1],
  };
}

/**
 * Omniglot (Lake, Salakhutdinov and Tenenbaum 2015): 1,623 characters of 50 alphabets, each drawn by 20 people, in the
 * split of Vinyals et al. 2016. A class is named `<alphabet>/<character>`; its drawings are in the order of their file
 * names. `directory` holds
 *
 * - `images_background.zip` and `images_evaluation.zip` of the authors' repository, with drawings
 *   `images_background/<alphabet>/<character>/<file>.png`;
 * - the split: `vinyals-splits.json`, an object of arrays `train`, `val` and `test` of class paths such as
 *   `images_background/Armenian/character01`, or the published lists `train.txt`, `val.txt` and `test.txt`. No class
 *   stands twice; not every class of the zips need stand there.
 *
 * Decoding takes a minute or two on two cores, so its result is kept in the cache directory, under a name made from the content of the
 * three files and the preprocessing.
 *
 * @throws {DataError} naming the file or class: a file is missing or damaged, the split does not fit the zips, or the
 * cache directory cannot be written.
 */
export async function loadOmniglot(directory: string, options: OmniglotOptions = {}): Promise<Dataset> {
  const size = options.size ?? 28;
  if (!Number.isInteger(size) || size < 1)
    throw new DataError(`Omniglot: expected a size of 1 pixel or more, got ${size}`);
  const preprocessing = omniglotPreprocessing(size);
  const sources = await readSources(directory);
  const digests = [sources.background, sources.evaluation, sources.split.bytes].map((bytes) =>
    createHash('sha256').update(bytes).digest('hex'),
  );

  const madeFrom = { sources: digests, preprocessing };
  const cache = await openImageCache(`omniglot-${size}`, madeFrom, options.cacheDirectory);
  let splits = (await cache.read())?.splits;
  if (splits === undefined) {
    const { split, drawings } = unpack(directory, sources);
    splits = await decodeSplits(split, drawings, preprocessing, options.onProgress);
    await cache.write({ splits });
  }
  return { name: 'omniglot', preprocessing, splits };
}

/**
 * The drawings of one split as files, of the same folder.
 *
 * @throws {DataError} as {@link loadOmniglot}.
 */
export async function openOmniglot(directory: string, split: SplitName): Promise<ImageFiles> {
  const { split: file, drawings } = unpack(directory, await readSources(directory), [split]);
  const classes = file[PARTS[split]].map((path): FileClass => {
    const files = drawings.get(path) ?? [];
    const place = (i: number) => `Omniglot: drawing ${i + 1} of ${path}`;
    return {
      name: className(path),
      count: files.length,
      read: async (i) => ({ bytes: files[i] as Uint8Array, place: place(i) }),
    };
  });
  return { name: 'omniglot', split, classes };
}

interface Sources {
  readonly background: Uint8Array;
  readonly evaluation: Uint8Array;
  readonly split: SplitSource;
}

async function readSources(directory: string): Promise<Sources> {
  const background = await readSource(directory, FILES.background);
  const evaluation = await readSource(directory, FILES.evaluation);
  const split = await findSplit(directory);
  if (!split) throw new DataError(missingFile(`${SPLIT_FILE} is missing in ${directory}`));
  return { background, evaluation, split };
}

/** The split, and the encoded drawings of each class path of some of its parts. */
function unpack(
  directory: string,
  { background, evaluation, split: source }: Sources,
  only: readonly SplitName[] = SPLITS,
) {
  const zips = [
    { bytes: background, path: join(directory, FILES.background) },
    { bytes: evaluation, path: join(directory, FILES.evaluation) },
  ];
  const there = new Set(zips.flatMap((zip) => classPathsOf(zip)));
  const split = source.parse(there);
  requireDistinct(split, source.location);
  requireClasses(split, there, source);
  const wanted = new Set(only.flatMap((name) => split[PARTS[name]]));
  return { split, drawings: new Map(zips.flatMap((zip) => [...unzipDrawings(zip, wanted)])) };
}

async function readSource(directory: string, file: string): Promise<Uint8Array> {
  try {
    return await readFile(join(directory, file));
  } catch (cause) {
    const missing = cause instanceof Error && 'code' in cause && (cause.code === 'ENOENT' || cause.code === 'ENOTDIR');
    const problem = missing ? `${file} is missing in ${directory}` : `${file} in ${directory} cannot be read`;
    throw new DataError(missingFile(problem), { cause });
  }
}

function missingFile(problem: string): string {
  return (
    `Omniglot: ${problem}. Download ${FILES.background} and ${FILES.evaluation} from the Omniglot authors' repository ` +
    '(github.com/brendenlake/omniglot, folder python) and the Vinyals split (train.txt, val.txt and test.txt of ' +
    'github.com/jakesnell/prototypical-networks, folder data/omniglot/splits/vinyals), put all into one folder' +
    ', and pass it with --data DIR.'
  );
}

function requireDistinct(split: SplitFile, file: string): void {
  const partOf = new Map<string, string>();
  for (const part of Object.values(PARTS)) {
    for (const path of split[part]) {
      const name = className(path);
      const other = partOf.get(name);
      if (other !== undefined) {
        const where = other === part ? `twice in ${part}` : `in ${other} and in ${part}`;
        throw new DataError(`${file}: expected every class once, got ${name} ${where}`);
      }
      partOf.set(name, part);
    }
  }
}

interface Zip {
  readonly bytes: Uint8Array;
  readonly path: string;
}

const folderOf = (name: string): string => name.slice(0, name.lastIndexOf('/'));
const isDrawing = (name: string): boolean => name.endsWith('.png') && !name.startsWith('__MACOSX');

function unzip({ bytes, path }: Zip, filter: (file: { readonly name: string }) => boolean): Record<string, Uint8Array> {
  try {
    return unzipSync(bytes, { filter });
  } catch (cause) {
    throw new DataError(`${path}: expected a zip file, got one that is damaged or cut short: ${String(cause)}`, {
      cause,
    });
  }
}

/** The class paths in a zip, of which nothing is unpacked. */
function classPathsOf(zip: Zip): string[] {
  const found = new Set<string>();
  unzip(zip, ({ name }) => {
    if (isDrawing(name)) found.add(folderOf(name));
    return false;
  });
  return [...found];
}

/** The encoded drawings of the class paths that are wanted, in the order of their file names. */
function unzipDrawings(zip: Zip, wanted: ReadonlySet<string>): Map<string, Uint8Array[]> {
  const files = unzip(zip, ({ name }) => isDrawing(name) && wanted.has(folderOf(name)));
  const classes = new Map<string, Uint8Array[]>();
  for (const name of Object.keys(files).sort()) {
    const drawings = classes.get(folderOf(name)) ?? [];
    drawings.push(files[name] as Uint8Array);
    classes.set(folderOf(name), drawings);
  }
  return classes;
}

function requireClasses(split: SplitFile, there: ReadonlySet<string>, { location }: SplitSource): void {
  for (const part of Object.values(PARTS)) {
    for (const path of split[part]) {
      if (there.has(path)) continue;
      throw new DataError(
        `${location}: ${part} names the class ${path}, which has no drawing in ${FILES.background} or ${FILES.evaluation}`,
      );
    }
  }
}

async function decodeSplits(
  split: SplitFile,
  drawings: Map<string, Uint8Array[]>,
  preprocessing: Preprocessing,
  onProgress: OmniglotOptions['onProgress'],
): Promise<Dataset['splits']> {
  const length = preprocessing.width * preprocessing.height * preprocessing.channels;
  const splits: Record<SplitName, ImageClass[]> = { train: [], validation: [], test: [] };
  const jobs: { field: string; file: Uint8Array; into: Uint8Array }[] = [];
  for (const [name, part] of Object.entries(PARTS) as [SplitName, keyof SplitFile][]) {
    for (const path of split[part]) {
      const files = drawings.get(path) ?? [];
      const pixels = new Uint8Array(files.length * length);
      splits[name].push({ name: className(path), count: files.length, pixels });
      files.forEach((file, i) => {
        jobs.push({ field: `drawing ${i + 1} of ${path}`, file, into: pixels.subarray(i * length, (i + 1) * length) });
      });
    }
  }
  let next = 0;
  let done = 0;
  const decodeNext = async (): Promise<void> => {
    for (let job = jobs[next++]; job !== undefined; job = jobs[next++]) {
      try {
        job.into.set(await decodePixels(job.file, preprocessing, { field: job.field }));
      } catch (cause) {
        next = jobs.length;
        throw new DataError(`Omniglot: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
      }
      onProgress?.(++done, jobs.length);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENT }, decodeNext));
  return splits;
}

function className(path: string): string {
  return path.slice(path.indexOf('/') + 1);
}

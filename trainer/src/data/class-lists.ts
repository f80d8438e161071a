import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, extname, join, relative, resolve } from 'node:path';
import { InputError } from '@whet/runtime';
import { labelKey } from '@whet/runtime/format';
import { type ClassImages, listClasses } from '@whet/runtime/images';
import { splitByClass } from './class-split.js';
import { DataError, SPLITS, type SplitName } from './dataset.js';
import { findSplitFiles, readPathFile, readSplitFile } from './label-files.js';

/** Classes of images by split as they were listed, none of them read. */
export interface ClassLists {
  readonly name: string;
  /** The folder that paths in messages start from. */
  readonly root: string;
  /** Those of a split that was not asked for are empty. */
  readonly classes: Readonly<Record<SplitName, readonly ClassImages[]>>;
  /** What stands beside the images, as paths below the folder, and is none. */
  readonly unread: readonly string[];
  /** By which the classes were split, where they came without splits. */
  readonly splitSeed?: number;
}

export interface ListOptions {
  /** The only split that is wanted; all three when absent. */
  readonly only?: SplitName | undefined;
  /** Splits classes that come without splits by class; when absent, all of them are of the split that is wanted. */
  readonly splitSeed?: number | undefined;
}

type Listed = Pick<ClassLists, 'classes' | 'unread' | 'splitSeed'>;

const FOLDERS = {
  train: ['train'],
  validation: ['validation', 'val'],
  test: ['test'],
} as const satisfies Record<SplitName, readonly string[]>;

/** Whether a folder is that of a split, by its name. */
export const isSplitFolder = (name: string): boolean =>
  Object.values(FOLDERS).some((names) => (names as readonly string[]).includes(name));

/** Whether a place is a file of paths and labels. */
export const isPathFile = (place: string): boolean => extname(place).toLowerCase() === '.csv';

/**
 * The classes of image folders `<split>/<class>/*`, of files of splits beside images, of folders `<class>/*` alone, or of a file of paths and labels. Classes and
 * the images of each are in the order of their names, or of the file.
 *
 * @throws {DataError} naming the file or folder: a split is missing or has no classes, a class stands in two splits or has no images, or there are too few
 * classes to split.
 */
export async function listSplits(place: string, { only, splitSeed }: ListOptions): Promise<ClassLists> {
  const isFile = isPathFile(place);
  const root = isFile ? dirname(place) : place;
  const { unread, ...listed } = isFile
    ? plainClasses(place, { classes: await readPathFile(place), unread: [] }, { only, splitSeed })
    : await classesIn(place, { only, splitSeed });
  const name = basename(resolve(place), isFile ? extname(place) : '');
  return { ...listed, name, root, unread: unread.map((path) => relative(root, path)) };
}

async function classesIn(directory: string, options: ListOptions): Promise<Listed> {
  const { only } = options;
  const lists = await findSplitFiles(directory);
  if (Object.keys(lists).length > 0) return classesOfFiles(directory, lists, only);
  const folders = await findSplitFolders(directory);
  if (Object.keys(folders).length === 0) return plainClasses(directory, await classesOf(directory), options);
  return classesOfFolders(directory, folders, only);
}

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

async function classesOf(folder: string): Promise<Awaited<ReturnType<typeof listClasses>>> {
  const listed = await listClasses(folder).catch((cause: unknown) => {
    throw cause instanceof InputError ? new DataError(cause.message, { cause }) : cause;
  });
  if (listed.classes.length === 0) throw new DataError(`${folder}: expected a folder for each class, got none`);
  return listed;
}

const none = (): Record<SplitName, readonly ClassImages[]> => ({ train: [], validation: [], test: [] });

function plainClasses(
  place: string,
  { classes, unread }: { readonly classes: readonly ClassImages[]; readonly unread: readonly string[] },
  { only, splitSeed }: ListOptions,
): Listed {
  if (only && splitSeed === undefined) return { classes: { ...none(), [only]: classes }, unread };
  const seed = splitSeed ?? 0;
  const splits = splitByClass(place, classes, seed);
  return { classes: only ? { ...none(), [only]: splits[only] } : splits, unread, splitSeed: seed };
}

async function classesOfFolders(
  directory: string,
  folders: Partial<Record<SplitName, string>>,
  only: SplitName | undefined,
): Promise<Listed> {
  const classes = none();
  const unread: string[] = [];
  const standsIn = new Map<string, string>();
  for (const split of only ? [only] : SPLITS) {
    const folder = folders[split];
    if (!folder) {
      const got = (await readdir(directory)).sort().slice(0, 8).join(', ');
      throw new DataError(`${directory}: expected a folder ${FOLDERS[split].join(' or ')} of classes, got ${got}`);
    }
    const listed = await classesOf(folder);
    checkApart(listed.classes, split, standsIn, (name) => join(folder, name));
    classes[split] = listed.classes;
    unread.push(...listed.unread);
  }
  return { classes, unread };
}

/** Classes by the files of splits. */
async function classesOfFiles(
  directory: string,
  lists: Partial<Record<SplitName, string>>,
  only: SplitName | undefined,
): Promise<Listed> {
  const classes = none();
  const standsIn = new Map<string, string>();
  for (const split of only ? [only] : SPLITS) {
    const path = lists[split];
    if (!path) {
      const got = Object.values(lists).map((each) => basename(each));
      throw new DataError(
        `${directory}: expected a file of the classes of ${split} beside the others, got ${got.join(', ')}`,
      );
    }
    classes[split] = await readSplitFile(path, split);
    checkApart(classes[split], split, standsIn, () => path);
  }
  return { classes, unread: [] };
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

/** Follows links; what is not there is no folder. */
async function isFolder(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.isDirectory() ?? false;
}

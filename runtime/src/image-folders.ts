import { readdir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from './errors.js';
import { isImageName } from './image-formats.js';
import { labelKey, labelProblem } from './label.js';

/** Paths of images, in the order of their names, and of what stands beside them and is read by nobody. */
export interface FoundImages {
  readonly files: readonly string[];
  readonly unread: readonly string[];
}

/** A class and its images. */
export interface ClassImages {
  readonly name: string;
  readonly files: readonly string[];
}

interface Entry {
  readonly name: string;
  readonly path: string;
  readonly kind: 'folder' | 'file' | 'other';
}

/**
 * The classes of a folder that has a folder of images for each, `<directory>/<class>/<image>`, by their names. Names that begin with a dot are left
 * alone, links are followed, folders whose names are one label (see `labelKey`) are one class. What is an image is told by its name, also of formats
 * that cannot be decoded, so that none is dropped without a word; everything else is listed as unread.
 *
 * @throws {InputError} naming the folder: it cannot be read, has a name that cannot be a label, or no images.
 */
export async function listClasses(
  directory: string,
): Promise<{ readonly classes: readonly ClassImages[]; readonly unread: readonly string[] }> {
  const classes = new Map<string, { readonly name: string; readonly files: string[] }>();
  const unread: string[] = [];
  for (const { name, path, kind } of await entriesOf(directory)) {
    if (kind !== 'folder') {
      unread.push(path);
      continue;
    }
    const problem = labelProblem(name);
    if (problem) throw new InputError(path, `${JSON.stringify(path)}: ${problem}`);
    const inside = await entriesOf(path);
    const [files, others] = split(inside, (entry) => entry.kind === 'file' && isImageName(entry.name));
    if (files.length === 0) {
      const got =
        others.length > 0
          ? others
              .map((entry) => entry.name)
              .slice(0, 5)
              .join(', ')
          : 'an empty folder';
      throw new InputError(path, `${path}: expected images of the class ${name}, got ${got}`);
    }
    const known = classes.get(labelKey(name)) ?? { name, files: [] };
    known.files.push(...files.map((entry) => entry.path));
    classes.set(labelKey(name), known);
    unread.push(...others.map((entry) => entry.path));
  }
  return { classes: [...classes.values()], unread };
}

/**
 * The images in a folder and in the folders below it, told as by {@link listClasses}.
 *
 * @throws {InputError} naming a folder that cannot be read.
 */
export async function listImages(directory: string): Promise<FoundImages> {
  const files: string[] = [];
  const unread: string[] = [];
  const seen = new Set<string>();
  const walk = async (folder: string): Promise<void> => {
    // A link may lead back up.
    const real = await realpath(folder).catch((cause: Error) => unreadable(folder, cause));
    if (seen.has(real)) return;
    seen.add(real);
    for (const { name, path, kind } of await entriesOf(folder)) {
      if (kind === 'folder') await walk(path);
      else if (kind === 'file' && isImageName(name)) files.push(path);
      else unread.push(path);
    }
  };
  await walk(directory);
  return { files, unread };
}

async function entriesOf(folder: string): Promise<Entry[]> {
  const found = await readdir(folder, { withFileTypes: true }).catch((cause: Error) => unreadable(folder, cause));
  const seen = found.filter(({ name }) => !name.startsWith('.'));
  seen.sort((a, b) => (a.name < b.name ? -1 : 1));
  return Promise.all(
    seen.map(async (entry): Promise<Entry> => {
      const path = join(folder, entry.name);
      const target = entry.isSymbolicLink()
        ? await stat(path).catch((cause: Error) => unreadable(path, cause, 'file or folder'))
        : entry;
      return {
        name: entry.name,
        path,
        kind: target.isDirectory() ? 'folder' : target.isFile() ? 'file' : 'other',
      };
    }),
  );
}

function unreadable(path: string, cause: Error, what = 'folder'): never {
  const error = new InputError(path, `${path}: expected a ${what} that can be read, got ${cause.message}`);
  error.cause = cause;
  throw error;
}

function split<T>(all: readonly T[], isFirst: (one: T) => boolean): [T[], T[]] {
  return [all.filter(isFirst), all.filter((one) => !isFirst(one))];
}

import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { labelKey, labelProblem } from '@whet/runtime/format';
import type { ClassImages } from '@whet/runtime/images';
import { parse } from 'csv-parse/sync';
import { DataError, type SplitName } from './dataset.js';

/** What the file of a split is called. */
const NAMES = {
  train: ['train.csv'],
  validation: ['validation.csv', 'val.csv'],
  test: ['test.csv'],
} as const satisfies Record<SplitName, readonly string[]>;

/** Whether a file may be that of a split, by its name. */
export const isSplitFile = (name: string): boolean =>
  Object.values(NAMES).some((names) => (names as readonly string[]).includes(name));

/** The names of its first columns: as miniImageNet has them, and as they are written by hand. */
const HEADS = ['filename,label', 'path,label'];

/** The first columns of a file, as one of {@link HEADS} in letters of any size, whatever columns follow; undefined where they are others. */
const headOf = (text: string): string | undefined => {
  try {
    const [first = []] = parse(text, { bom: true, trim: true, skip_empty_lines: true, to: 1 }) as string[][];
    const names = first.slice(0, 2).join(',').toLowerCase();
    return HEADS.find((head) => head === names);
  } catch {
    return undefined;
  }
};

/** What is wrong with a first line, in words. */
function firstLine(text: string): string {
  if (text.includes('\u0000')) return 'a file of another encoding than UTF-8, such as UTF-16';
  const line = text.split(/\r?\n/, 1)[0] ?? '';
  const separator = /^\W*(?:filename|path)"?\s*([;\t])/i.exec(line)?.[1];
  const shown = JSON.stringify(line).slice(0, 100);
  return separator ? `${shown}, with ${separator === ';' ? 'semicolons' : 'tabs'} in place of commas` : shown;
}

/**
 * The file of each split in `directory` that is there: how miniImageNet comes (Ravi & Larochelle 2017). A file whose first columns are others than
 * `filename,label` or `path,label` is another's. Throws {@link DataError} where a split has two.
 */
export async function findSplitFiles(directory: string): Promise<Partial<Record<SplitName, string>>> {
  const there = new Set(await readdir(directory).catch(() => []));
  const found: Partial<Record<SplitName, string>> = {};
  for (const [split, names] of Object.entries(NAMES) as [SplitName, readonly string[]][]) {
    for (const name of names.filter((each) => there.has(each))) {
      const path = join(directory, name);
      if (!headOf(await readFile(path, 'utf8').catch(() => ''))) continue;
      if (found[split])
        throw new DataError(`${directory}: expected one file of ${split}, got ${found[split]}, ${path}`);
      found[split] = path;
    }
  }
  return found;
}

/** Where the images of a split's file may stand, from its folder. */
const places = (split: SplitName, label: string): readonly string[] => [
  'images',
  join('images', label),
  '.',
  ...[split, ...(split === 'validation' ? ['val'] : [])].flatMap((folder) => [folder, join(folder, label)]),
];

const isFile = async (path: string): Promise<boolean> => (await stat(path).catch(() => undefined))?.isFile() ?? false;

/**
 * The classes of a split's file, whose images stand in `images`, beside it, or in folders of their split or class: never outside of its own folder.
 *
 * @throws {DataError} as {@link readLabelFile}.
 */
export function readSplitFile(path: string, split: SplitName): Promise<ClassImages[]> {
  const directory = dirname(path);
  const isInside = (place: string) => !relative(directory, place).split(sep).includes('..');
  return readLabelFile(path, async (file, label) => {
    for (const folder of places(split, label)) {
      const place = join(directory, folder, file);
      if (isInside(place) && (await isFile(place))) return place;
    }
    const folders = ['images', split, '.'].join(', ');
    throw new DataError(
      `${join(directory, file)}: expected an image in ${folders} of ${directory}, or a folder "${label}" of them`,
    );
  });
}

/**
 * The classes of a file of all images, whose paths are absolute or from its folder.
 *
 * @throws {DataError} as {@link readLabelFile}.
 */
export function readPathFile(path: string): Promise<ClassImages[]> {
  return readLabelFile(path, async (file) => {
    const place = resolve(dirname(path), file);
    if (await isFile(place)) return place;
    throw new DataError(`${path}: expected paths of images from its folder, got ${file}, where none is`);
  });
}

/**
 * The classes of a file of comma-separated lines, such as `path,label`, below a line of these names. Classes are in the order in
 * which they first stand there, and so are the images of each.
 *
 * @throws {DataError} naming the file: it cannot be read, has other columns or no lines, a label cannot be one, or an image is not there or stands there twice.
 */
async function readLabelFile(
  path: string,
  placeOf: (file: string, label: string) => Promise<string>,
): Promise<ClassImages[]> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new DataError(`${path}: expected a file that can be read, got ${String(cause)}`, { cause });
  });
  const head = headOf(text);
  if (!head) {
    throw new DataError(`${path}: expected a first line "path,label", got ${firstLine(text)}`);
  }
  let lines: string[][];
  try {
    lines = parse(text, { bom: true, trim: true, skip_empty_lines: true, relax_column_count: true });
  } catch (cause) {
    throw new DataError(`${path}: expected lines "${head}": ${(cause as Error).message}`, { cause });
  }
  lines.shift();
  if (lines.length === 0) throw new DataError(`${path}: expected lines "${head}", got none`);
  const classes = new Map<string, { readonly name: string; readonly files: string[] }>();
  const seen = new Set<string>();
  for (const line of lines) {
    const [file = '', label = ''] = line;
    if (line.length < 2 || file === '') {
      throw new DataError(`${path}: expected lines "${head}", got ${JSON.stringify(line.join(',')).slice(0, 100)}`);
    }
    const problem = labelProblem(label);
    if (problem) throw new DataError(`${path}: ${JSON.stringify(label).slice(0, 100)}: ${problem}`);
    const known = classes.get(labelKey(label)) ?? { name: label, files: [] };
    const place = await placeOf(file, label);
    if (seen.has(place)) throw new DataError(`${path}: expected every image once, got ${file} again`);
    seen.add(place);
    known.files.push(place);
    classes.set(labelKey(label), known);
  }
  return [...classes.values()];
}

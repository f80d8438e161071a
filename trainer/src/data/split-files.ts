import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
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

/** The first line of such a file. */
const HEAD = 'filename,label';

/**
 * The file of each split in `directory` that is there: how miniImageNet comes (Ravi & Larochelle 2017). A file whose first line is another than
 * `filename,label` is another's. Throws {@link DataError} where a split has two.
 */
export async function findSplitFiles(directory: string): Promise<Partial<Record<SplitName, string>>> {
  const there = new Set(await readdir(directory).catch(() => []));
  const found: Partial<Record<SplitName, string>> = {};
  for (const [split, names] of Object.entries(NAMES) as [SplitName, readonly string[]][]) {
    for (const name of names.filter((each) => there.has(each))) {
      const path = join(directory, name);
      const text = await readFile(path, 'utf8').catch(() => '');
      if (/^\uFEFF?([^\r\n]*)/.exec(text)?.[1]?.trim() !== HEAD) continue;
      if (found[split])
        throw new DataError(`${directory}: expected one file of ${split}, got ${found[split]}, ${path}`);
      found[split] = path;
    }
  }
  return found;
}

/** Where a file's images may stand, from the folder of the split's file. */
const places = (split: SplitName, label: string): readonly string[] => [
  'images',
  join('images', label),
  '.',
  ...[split, ...(split === 'validation' ? ['val'] : [])].flatMap((folder) => [folder, join(folder, label)]),
];

async function placeOf(directory: string, split: SplitName, file: string, label: string): Promise<string> {
  for (const place of places(split, label)) {
    const found = await stat(join(directory, place, file)).catch(() => undefined);
    if (found?.isFile()) return join(directory, place, file);
  }
  const folders = ['images', split, '.'].join(', ');
  throw new DataError(
    `${join(directory, file)}: expected an image in ${folders} of ${directory}, or a folder "${label}" of them`,
  );
}

/**
 * The classes of a split's file: comma-separated lines `filename,label`, below a line of these names. Classes are in the order in
 * which they first stand there, and so are the images of each.
 *
 * @throws {DataError} naming the file: it cannot be read, has other columns or no lines, a label cannot be one, or an image is not there or stands there twice.
 */
export async function readSplitFile(directory: string, path: string, split: SplitName): Promise<ClassImages[]> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new DataError(`${path}: expected a file that can be read, got ${String(cause)}`, { cause });
  });
  let lines: string[][];
  try {
    lines = parse(text, { bom: true, trim: true, skip_empty_lines: true, relax_column_count: true });
  } catch (cause) {
    throw new DataError(`${path}: expected lines "filename,label": ${(cause as Error).message}`, { cause });
  }
  lines.shift();
  if (lines.length === 0) throw new DataError(`${path}: expected lines "filename,label", got none`);
  const classes = new Map<string, { readonly name: string; readonly files: string[] }>();
  const seen = new Set<string>();
  for (const line of lines) {
    const [file = '', label = ''] = line;
    if (line.length !== 2 || file === '') {
      throw new DataError(
        `${path}: expected lines "filename,label", got ${JSON.stringify(line.join(',')).slice(0, 100)}`,
      );
    }
    const problem = labelProblem(label);
    if (problem) throw new DataError(`${path}: ${JSON.stringify(label).slice(0, 100)}: ${problem}`);
    const known = classes.get(labelKey(label)) ?? { name: label, files: [] };
    const place = await placeOf(directory, split, file, label);
    if (seen.has(place)) throw new DataError(`${path}: expected every image once, got ${file} again`);
    seen.add(place);
    known.files.push(place);
    classes.set(labelKey(label), known);
  }
  return [...classes.values()];
}

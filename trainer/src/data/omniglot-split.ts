import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod/mini';
import { DataError } from './dataset.js';

/** The split of Vinyals et al. 2016 in one file of this project's form. */
export const SPLIT_FILE = 'vinyals-splits.json';
/** The same split as it is published: a list of `<alphabet>/<character>/rot<degrees>` per part. */
const PUBLISHED_FILES = { train: 'train.txt', val: 'val.txt', test: 'test.txt' } as const;

const classPath = z.string().check(z.regex(/^[^/]+\/[^/]+\/[^/]+$/));
const splitSchema = z.object({ train: z.array(classPath), val: z.array(classPath), test: z.array(classPath) });
/** Class paths `<zip>/<alphabet>/<character>` of each part. */
export type SplitFile = z.infer<typeof splitSchema>;

/** The bytes of a split, and how to read them once the classes of the zip files are known. */
export interface SplitSource {
  /** The file, or files, for messages. */
  readonly location: string;
  readonly bytes: Uint8Array;
  parse(classes: ReadonlySet<string>): SplitFile;
}

const readIfThere = (path: string): Promise<Uint8Array | undefined> =>
  readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  });

/** Finds the split in `directory`: `vinyals-splits.json`, or the published `train.txt`, `val.txt` and `test.txt`. */
export async function findSplit(directory: string): Promise<SplitSource | undefined> {
  const location = join(directory, SPLIT_FILE);
  const bytes = await readIfThere(location);
  if (bytes) return { location, bytes, parse: () => parseJson(bytes, location) };
  const parts = Object.entries(PUBLISHED_FILES) as [keyof SplitFile, string][];
  const lists: [keyof SplitFile, string][] = [];
  for (const [part, file] of parts) {
    const list = await readIfThere(join(directory, file));
    if (!list) return undefined;
    lists.push([part, new TextDecoder().decode(list)]);
  }
  return {
    location: join(directory, '{train,val,test}.txt'),
    bytes: new TextEncoder().encode(JSON.stringify(lists)),
    parse: (classes) => parseLists(lists, classes, directory),
  };
}

function parseJson(bytes: Uint8Array, location: string): SplitFile {
  try {
    return splitSchema.parse(JSON.parse(new TextDecoder().decode(bytes)));
  } catch (cause) {
    const reason = cause instanceof z.core.$ZodError ? z.prettifyError(cause) : String(cause);
    throw new DataError(
      `${location}: expected arrays train, val and test of class paths <zip>/<alphabet>/<character>, got: ${reason}`,
      { cause },
    );
  }
}

/** The published lists name every class four times, once per rotation, and not the zip file it is in. */
function parseLists(
  lists: readonly (readonly [keyof SplitFile, string])[],
  classes: ReadonlySet<string>,
  directory: string,
): SplitFile {
  const split: SplitFile = { train: [], val: [], test: [] };
  for (const [part, text] of lists) {
    const names = text.split(/\r?\n/).filter(Boolean);
    for (const name of new Set(names.map((line) => line.replace(/\/rot\d+$/, '')))) {
      const path = [...ZIP_FOLDERS].map((folder) => `${folder}/${name}`).find((candidate) => classes.has(candidate));
      if (path === undefined) {
        throw new DataError(
          `${join(directory, PUBLISHED_FILES[part])}: names the class ${name}, which no zip file has`,
        );
      }
      split[part].push(path);
    }
  }
  return split;
}

const ZIP_FOLDERS = ['images_background', 'images_evaluation'] as const;

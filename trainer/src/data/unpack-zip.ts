import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { unzipSync } from 'fflate';
import { cacheFolder, freeBytesOf } from './cache-folder.js';
import { DataError } from './dataset.js';

export interface UnpackOptions {
  /** As {@link cacheFolder} has it. */
  readonly cacheDirectory?: string;
  /** Files unpacked so far, and in all. Not called where it was unpacked before. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Bytes that are free where it is unpacked to; those of the file system when absent. */
  readonly freeBytes?: (folder: string) => Promise<number>;
}

/** What one array holds. */
const MOST_BYTES = 2 ** 31 - 1;
/** A file inside: more than any image of the 100 megapixels that are read. */
const MOST_OF_A_FILE = 512 * 2 ** 20;
/** How much larger a zip may become: images are compressed already, an empty TIFF a few hundred times. */
const MOST_GROWTH = 200;
/** Unpacked in memory at a time. */
const BATCH_BYTES = 64 * 2 ** 20;

interface Entry {
  readonly name: string;
  readonly size: number;
}

/** Whether a place is a zip file, by its name. */
export const isZip = (place: string): boolean => extname(place).toLowerCase() === '.zip';

/**
 * The folder that a zip file of image folders was unpacked to: once, in the cache, under a name made from what is in it. Hidden files are left out, and so is a
 * folder around all classes.
 *
 * @throws {DataError} naming the file and the entry: it is damaged, leads out of the folder, stands twice, or becomes much larger than what is packed.
 */
export async function unpackZip(place: string, options: UnpackOptions = {}): Promise<string> {
  const bytes = await readZip(place);
  const folder = await cacheFolder(options.cacheDirectory);
  const digest = createHash('sha256').update(bytes).digest('hex').slice(0, 32);
  const target = join(folder, `unpacked-${digest}`, basename(place, extname(place)));
  if (await stat(target).catch(() => undefined)) return target;
  const entries = entriesOf(place, bytes);
  const total = entries.reduce((sum, { size }) => sum + size, 0);
  if (total > MOST_GROWTH * bytes.length) {
    throw new DataError(
      `${place}: expected at most ${MOST_GROWTH} times its ${bytes.length} bytes when unpacked, got ${total}`,
    );
  }
  const free = await (options.freeBytes ?? freeBytesOf)(folder);
  if (total > free) {
    throw new DataError(
      `${place}: expected ${total} free bytes in ${folder} to unpack it to, got ${free}; another folder is said by XDG_CACHE_HOME`,
    );
  }
  const draft = await mkdtemp(join(folder, 'unpacking-'));
  try {
    await writeEntries(place, bytes, entries, draft, options.onProgress);
    await mkdir(dirname(target), { recursive: true });
    // Who unpacked the same meanwhile has the same.
    await rename(draft, target).catch(async (cause: unknown) => {
      if (!(await stat(target).catch(() => undefined))) throw cause;
    });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return target;
}

async function readZip(place: string): Promise<Uint8Array> {
  try {
    const { size } = await stat(place);
    if (size <= MOST_BYTES) return await readFile(place);
    throw new DataError(
      `${place}: expected a zip of at most ${MOST_BYTES} bytes, got ${size}; give what it unpacks to`,
    );
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    throw new DataError(`${place}: expected a zip file that can be read, got ${String(cause)}`, { cause });
  }
}

const damaged = (place: string, cause: unknown): DataError =>
  new DataError(`${place}: expected a zip file, got one that is damaged, encrypted or cut short: ${String(cause)}`, {
    cause,
  });

/** The files that are wanted, checked before any is unpacked. */
function entriesOf(place: string, bytes: Uint8Array): Entry[] {
  const entries: Entry[] = [];
  const seen = new Set<string>();
  const look = ({ name, originalSize }: { readonly name: string; readonly originalSize: number }): boolean => {
    const shown = `${place}: entry ${JSON.stringify(name.slice(0, 100))}`;
    const isFolder = name.endsWith('/');
    const parts = (isFolder ? name.slice(0, -1) : name).split('/');
    if (!parts.every(isPlain)) throw new DataError(`${shown}: expected the name of a file inside the zip`);
    if (isFolder) return false;
    // As file systems tell names apart that take large and small letters for the same.
    const key = name.normalize('NFC').toLowerCase();
    if (seen.has(key)) throw new DataError(`${shown}: expected it once, got it again`);
    seen.add(key);
    if (originalSize > MOST_OF_A_FILE) {
      throw new DataError(`${shown}: expected at most ${MOST_OF_A_FILE} bytes, got ${originalSize}`);
    }
    const isHidden = parts.some((part) => part.startsWith('.') || part === '__MACOSX');
    if (!isHidden) entries.push({ name, size: originalSize });
    return false;
  };
  try {
    unzipSync(bytes, { filter: look });
  } catch (cause) {
    throw cause instanceof DataError ? cause : damaged(place, cause);
  }
  if (entries.length === 0)
    throw new DataError(`${place}: expected a zip file of image folders, got one without files`);
  return entries;
}

/** One part of a path, on any system. */
const isPlain = (part: string): boolean =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  part !== '' && part !== '.' && part !== '..' && !/[\\:\u0000-\u001f]/.test(part);

/** How much of every name is a folder around all classes: `photos/` where all files are `photos/<class>/<image>` or deeper. */
function aroundAll(entries: readonly Entry[]): number {
  const [first = ''] = (entries[0]?.name ?? '').split('/');
  const isAround = entries.every(({ name }) => name.startsWith(`${first}/`) && name.split('/').length > 2);
  return isAround ? first.length + 1 : 0;
}

async function writeEntries(
  place: string,
  bytes: Uint8Array,
  entries: readonly Entry[],
  folder: string,
  onProgress: UnpackOptions['onProgress'],
): Promise<void> {
  const prefix = aroundAll(entries);
  let done = 0;
  while (done < entries.length) {
    const batch = new Map<string, number>();
    let size = 0;
    for (let entry = entries[done + batch.size]; entry; entry = entries[done + batch.size]) {
      if (batch.size > 0 && size + entry.size > BATCH_BYTES) break;
      batch.set(entry.name, entry.size);
      size += entry.size;
    }
    const files = Object.entries(unpackBatch(place, bytes, batch));
    if (files.length !== batch.size) throw damaged(place, `${files.length} of ${batch.size} files are there`);
    for (const [name, content] of files) {
      if (content.length !== batch.get(name)) throw damaged(place, `${name} has ${content.length} bytes`);
      const path = join(folder, name.slice(prefix));
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, content, { flag: 'wx' });
      done++;
      onProgress?.(done, entries.length);
    }
  }
}

function unpackBatch(
  place: string,
  bytes: Uint8Array,
  wanted: ReadonlyMap<string, number>,
): Readonly<Record<string, Uint8Array>> {
  try {
    return unzipSync(bytes, { filter: ({ name }) => wanted.has(name) });
  } catch (cause) {
    throw damaged(place, cause);
  }
}

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { cacheFolder, freeBytesOf } from './cache-folder.js';
import { DataError } from './dataset.js';
import { isPortable, openZip, type ZipEntry } from './zip-entries.js';

export interface UnpackOptions {
  /** As {@link cacheFolder} has it. */
  readonly cacheDirectory?: string;
  /** Files unpacked so far, and in all. Not called where it was unpacked before. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Bytes that are free where it is unpacked to; those of the file system when absent. */
  readonly freeBytes?: (folder: string) => Promise<number>;
  /** Ends it with the signal's reason, and leaves nothing behind. */
  readonly signal?: AbortSignal;
}

/** How much larger a zip may become: images are compressed already, an empty TIFF a few hundred times. */
const MOST_GROWTH = 200;
const DRAFT = 'unpacking-';
/** A draft that is older was left by a process that was ended. */
const OLDEST_DRAFT_MS = 24 * 60 * 60 * 1000;

/** Whether a place is a zip file, by its name. */
export const isZip = (place: string): boolean => extname(place).toLowerCase() === '.zip';

/**
 * The folder that a zip file of image folders was unpacked to: once, in the cache, under a name made from what is in it. Hidden files are left out, and so is a
 * folder around all classes, with the files beside them.
 *
 * @throws {DataError} naming the file and the entry: it is damaged or encrypted, has names that lead elsewhere, stand twice or cannot be written, or becomes much larger
 * than what is packed.
 */
export async function unpackZip(place: string, options: UnpackOptions = {}): Promise<string> {
  const { digest, size } = await digestOf(place);
  const folder = await cacheFolder(options.cacheDirectory);
  const name = basename(place, extname(place));
  const target = join(folder, `unpacked-${digest}`, isPortable(name) ? name : 'data');
  if (await stat(target).catch(() => undefined)) return target;
  const { entries, close } = await openZip(place);
  try {
    const total = entries.reduce((sum, each) => sum + each.size, 0);
    if (total > MOST_GROWTH * size) {
      throw new DataError(
        `${place}: expected at most ${MOST_GROWTH} times its ${size} bytes when unpacked, got ${total}`,
      );
    }
    const free = await (options.freeBytes ?? freeBytesOf)(folder);
    if (total > free) {
      throw new DataError(
        `${place}: expected ${total} free bytes in ${folder} to unpack it to, got ${free}; another folder is said by XDG_CACHE_HOME`,
      );
    }
    await sweepDrafts(folder);
    await writeTo(target, await mkdtemp(join(folder, DRAFT)), place, entries, options);
  } finally {
    close();
  }
  return target;
}

async function digestOf(place: string): Promise<{ digest: string; size: number }> {
  try {
    const { size } = await stat(place);
    const hash = createHash('sha256');
    await pipeline(createReadStream(place), hash);
    return { digest: hash.digest('hex').slice(0, 32), size };
  } catch (cause) {
    throw new DataError(`${place}: expected a zip file that can be read, got ${String(cause)}`, { cause });
  }
}

async function sweepDrafts(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const draft = join(folder, name);
    const made = name.startsWith(DRAFT) ? (await stat(draft).catch(() => undefined))?.mtimeMs : undefined;
    if (made !== undefined && Date.now() - made > OLDEST_DRAFT_MS) await rm(draft, { recursive: true, force: true });
  }
}

/** Writes into a draft, which becomes the target when all is there. */
async function writeTo(
  target: string,
  draft: string,
  place: string,
  entries: readonly ZipEntry[],
  { onProgress, signal }: UnpackOptions,
): Promise<void> {
  try {
    for (const [done, entry] of entries.entries()) {
      signal?.throwIfAborted();
      const content = await entry.read();
      const path = join(draft, entry.path);
      try {
        await mkdir(dirname(path), { recursive: true });
        await writeFile(path, content, { flag: 'wx' });
      } catch (cause) {
        const shown = JSON.stringify(entry.path.slice(0, 100));
        // The message of the system holds all of the path.
        const got = (cause as NodeJS.ErrnoException).code;
        throw new DataError(`${place}: entry ${shown}: expected to write it to the cache, got ${got}`, { cause });
      }
      onProgress?.(done + 1, entries.length);
    }
    await mkdir(dirname(target), { recursive: true });
    // Who unpacked the same meanwhile has the same.
    await rename(draft, target).catch(async (cause: unknown) => {
      if (!(await stat(target).catch(() => undefined))) throw cause;
    });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

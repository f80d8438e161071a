import { BundleError } from './errors.js';
import { isFileName } from './file-name.js';

// Zip's records, APPNOTE.TXT 4.3: signatures and the sizes of their fixed parts.
const END = { signature: 0x06054b50, size: 22 } as const;
const ENTRY = { signature: 0x02014b50, size: 46 } as const;
const LOCAL = { signature: 0x04034b50, size: 30 } as const;
/** A comment behind the archive is at most this long. */
const LONGEST_COMMENT = 0xffff;
const STORED = 0;
/** The bit of an entry's flags that says so. */
const ENCRYPTED = 1;

/**
 * The files of a bundle that is one file: a zip whose entries are stored as they are, as views of its bytes. Throws
 * {@link BundleError} naming the entry where one is compressed, encrypted, stands twice, or is called as no file of a bundle
 * is, and where the archive is damaged.
 */
export function readArchive(bytes: Uint8Array, location: string): Map<string, Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const refuse = (reason: string): never => {
    throw new BundleError(`${location}: ${reason}`);
  };
  const damaged = (what: string): never => refuse(`not a bundle in one file, or damaged: ${what}`);
  /** Whether a record of this kind begins at a place, whole. */
  const isAt = (at: number, { signature, size }: { signature: number; size: number }): boolean =>
    at >= 0 && at + size <= bytes.length && view.getUint32(at, true) === signature;

  let end = bytes.length - END.size;
  while (!isAt(end, END)) {
    if (end <= 0 || end <= bytes.length - END.size - LONGEST_COMMENT) return damaged('it has no directory');
    end--;
  }
  const [disk, directoryDisk, own, count] = [4, 6, 8, 10].map((field) => view.getUint16(end + field, true));
  const [directorySize = 0, directory = 0] = [12, 16].map((field) => view.getUint32(end + field, true));
  if (disk !== 0 || directoryDisk !== 0 || own !== count) return damaged('its directory is in several files');
  if (directory + directorySize !== end) return damaged('its directory does not end where the archive does');
  const files = new Map<string, Uint8Array>();
  /** Where the entries stand, each with its local header. */
  const taken: [start: number, end: number, shown: string][] = [];
  let at = directory;
  while (at < end) {
    if (!isAt(at, ENTRY)) return damaged(`entry ${files.size + 1} of ${count} of its directory is not there`);
    const [size = 0, originalSize = 0] = [20, 24].map((field) => view.getUint32(at + field, true));
    const [flags = 0, method] = [8, 10].map((field) => view.getUint16(at + field, true));
    const [nameLength = 0, extraLength = 0, commentLength = 0] = [28, 30, 32].map((field) =>
      view.getUint16(at + field, true),
    );
    const nameOf = (start: number, length: number) => new TextDecoder().decode(bytes.subarray(start, start + length));
    const name = nameOf(at + ENTRY.size, nameLength);
    const local = view.getUint32(at + 42, true);
    at += ENTRY.size + nameLength + extraLength + commentLength;
    const shown = JSON.stringify(name.slice(0, 100));
    if (!isFileName(name)) return refuse(`entry ${shown}: expected the name of a file inside the bundle`);
    if (files.has(name)) return refuse(`entry ${shown}: expected it once, got it again`);
    if (flags & ENCRYPTED) return refuse(`entry ${shown}: expected it as it is, got it encrypted`);
    if (method !== STORED || size !== originalSize) {
      return refuse(`entry ${shown}: expected it stored, got it compressed`);
    }
    if (!isAt(local, LOCAL)) return damaged(`entry ${shown} is not where its directory says`);
    const localName = view.getUint16(local + 26, true);
    const start = local + LOCAL.size + localName + view.getUint16(local + 28, true);
    if (nameOf(local + LOCAL.size, localName) !== name || view.getUint16(local + 8, true) !== STORED) {
      return damaged(`entry ${shown} is another one where its directory says`);
    }
    if (start + size > directory) return damaged(`entry ${shown} is longer than the file`);
    taken.push([local, start + size, shown]);
    files.set(name, bytes.subarray(start, start + size));
  }
  if (at !== end || files.size !== count) return damaged(`its directory has not the ${count} entries that it says`);
  taken.sort(([a], [b]) => a - b);
  for (const [i, [, last, shown]] of taken.entries()) {
    const next = taken[i + 1];
    if (next && last > next[0]) return damaged(`entries ${shown} and ${next[2]} stand in each other`);
  }
  return files;
}

import { BundleError } from './errors.js';

// Zip's records, APPNOTE.TXT 4.3: signatures and the sizes of their fixed parts.
const END = { signature: 0x06054b50, size: 22 } as const;
const ENTRY = { signature: 0x02014b50, size: 46 } as const;
const LOCAL = { signature: 0x04034b50, size: 30 } as const;
/** A comment behind the archive is at most this long. */
const LONGEST_COMMENT = 0xffff;
const STORED = 0;

const isFileName = (name: string): boolean =>
  /^[\w.-]+(\/[\w.-]+)*$/.test(name) && !name.split('/').some((part) => /^\.+$/.test(part));

/** Whether a bundle at this place or address is one file. */
export const isArchive = (place: string): boolean => /\.whet([?#].*)?$/.test(place);

/**
 * The files of a bundle that is one file: a zip whose entries are stored as they are, as views of its bytes. Throws
 * {@link BundleError} naming the entry where one is compressed, stands twice, or is called as no file of a bundle is, and where
 * the archive is damaged.
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
  const count = view.getUint16(end + 10, true);
  const files = new Map<string, Uint8Array>();
  let at = view.getUint32(end + 16, true);
  for (let i = 0; i < count; i++) {
    if (!isAt(at, ENTRY)) return damaged(`entry ${i + 1} of ${count} of its directory is not there`);
    const [method, size, originalSize] = [10, 20, 24].map((field) => view.getUint32(at + field, true));
    const [nameLength = 0, extraLength = 0, commentLength = 0] = [28, 30, 32].map((field) =>
      view.getUint16(at + field, true),
    );
    const name = new TextDecoder().decode(bytes.subarray(at + ENTRY.size, at + ENTRY.size + nameLength));
    const local = view.getUint32(at + 42, true);
    at += ENTRY.size + nameLength + extraLength + commentLength;
    const shown = JSON.stringify(name.slice(0, 100));
    if (!isFileName(name)) return refuse(`entry ${shown}: expected the name of a file inside the bundle`);
    if (files.has(name)) return refuse(`entry ${shown}: expected it once, got it again`);
    if (((method as number) & 0xffff) !== STORED || size !== originalSize) {
      return refuse(`entry ${shown}: expected it stored, got it compressed`);
    }
    if (!isAt(local, LOCAL)) return damaged(`entry ${shown} is not where its directory says`);
    const start = local + LOCAL.size + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    if (start + (size as number) > end) return damaged(`entry ${shown} is longer than the file`);
    files.set(name, bytes.subarray(start, start + (size as number)));
  }
  return files;
}

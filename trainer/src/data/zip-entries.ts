import { crc32 } from 'node:zlib';
import { type Entry, getFileNameLowLevel, openPromise, type ZipFile } from 'yauzl';
import { DataError } from './dataset.js';
import { folderAround } from './folder-around.js';

/** A file inside: more than any image of the 100 megapixels that are read. */
const MOST_OF_A_FILE = 512 * 2 ** 20;

/** A file of a zip that is wanted. */
export interface ZipEntry {
  /** Where it goes, below the folder that stands around all. */
  readonly path: string;
  readonly size: number;
  /** Its content. Throws {@link DataError} where it is another than the zip says: by its size or checksum. */
  read(): Promise<Uint8Array>;
}

export interface OpenZip {
  readonly entries: readonly ZipEntry[];
  close(): void;
}

const damaged = (place: string, cause: unknown): DataError =>
  new DataError(`${place}: expected a zip file, got one that is damaged, encrypted or cut short: ${String(cause)}`, {
    cause,
  });

/**
 * The files of a zip, without hidden ones and the folder around all classes, checked before any is unpacked.
 *
 * @throws {DataError} naming the zip and the entry: it is damaged or encrypted, is a link, has a name that leads elsewhere or that some system cannot have, or stands
 * twice.
 */
export async function openZip(place: string): Promise<OpenZip> {
  // Names are decoded here, so that a message can say what is wrong with one.
  const zip = await openPromise(place, { autoClose: false, decodeStrings: false }).catch((cause: unknown) => {
    throw damaged(place, cause);
  });
  try {
    return { entries: await listEntries(place, zip), close: () => zip.close() };
  } catch (cause) {
    zip.close();
    throw cause instanceof DataError ? cause : damaged(place, cause);
  }
}

async function listEntries(place: string, zip: ZipFile): Promise<ZipEntry[]> {
  const files = new Map<string, Entry>();
  const tree = new Map<string, { readonly name: string; readonly isFile: boolean }>();
  for await (const entry of zip.eachEntry()) {
    const name = getFileNameLowLevel(entry.generalPurposeBitFlag, entry.fileNameRaw, entry.extraFields, true);
    const shown = `${place}: entry ${JSON.stringify(name.slice(0, 100))}`;
    const isFolder = name.endsWith('/');
    const parts = (isFolder ? name.slice(0, -1) : name).split('/');
    if (parts.some(leadsElsewhere)) throw new DataError(`${shown}: expected the name of a file inside the zip`);
    if (isFolder || parts.some((part) => part.startsWith('.') || part === '__MACOSX')) continue;
    const odd = parts.find((part) => !isPortable(part));
    if (odd !== undefined) {
      const got = JSON.stringify(odd.slice(0, 40));
      throw new DataError(`${shown}: expected names that files have on every system, got ${got}`);
    }
    checkPlace(shown, parts, tree);
    checkKind(shown, entry);
    files.set(name, entry);
  }
  const around = folderAround([...files.keys()]);
  const wanted = [...files].filter(([name]) => name.startsWith(around));
  if (wanted.length === 0) throw new DataError(`${place}: expected a zip file of image folders, got one without files`);
  return wanted.map(([name, entry]) => ({
    path: name.slice(around.length),
    size: entry.uncompressedSize,
    read: () => readEntry(place, zip, name, entry),
  }));
}

const leadsElsewhere = (part: string): boolean =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  part === '' || part === '.' || part === '..' || /[\\:\u0000-\u001f]/.test(part);

/** Names of devices, with any extension, and what Windows leaves out or refuses. */
const NOT_ON_WINDOWS = /^(con|prn|aux|nul|com\d|lpt\d)(\..*)?$|[<>"|?*]|[. ]$/i;
/** Bytes of a name, on most file systems. */
const LONGEST_NAME = 255;

/** Whether one part of a path can be the name of a file or folder on any system. */
export const isPortable = (part: string): boolean =>
  !leadsElsewhere(part) && !NOT_ON_WINDOWS.test(part) && Buffer.byteLength(part) <= LONGEST_NAME;

/** Throws {@link DataError} where a file, or a folder of it, stands where another does; systems may take large and small letters for the same. */
function checkPlace(
  shown: string,
  parts: readonly string[],
  tree: Map<string, { readonly name: string; readonly isFile: boolean }>,
): void {
  for (let length = parts.length; length > 0; length--) {
    const name = parts.slice(0, length).join('/');
    const isFile = length === parts.length;
    const key = name.normalize('NFC').toLowerCase();
    const other = tree.get(key);
    tree.set(key, { name, isFile });
    if (!other) continue;
    if (isFile && other.isFile) throw new DataError(`${shown}: expected it once, got it again`);
    if (isFile !== other.isFile) {
      const got = JSON.stringify(name.slice(0, 100));
      throw new DataError(`${shown}: expected files and folders of different names, got ${got} as both`);
    }
    if (name !== other.name) {
      const got = `${JSON.stringify(other.name.slice(0, 100))} beside ${JSON.stringify(name.slice(0, 100))}`;
      throw new DataError(`${shown}: expected one spelling of a folder, got ${got}`);
    }
  }
}

/** The kind of file by the mode that Unix gives it, which stands in the upper half of the attributes. */
const FILE_TYPE = 0o170000;
const REGULAR = 0o100000;
const UNIX = new Set([3, 19]);

function checkKind(shown: string, entry: Entry): void {
  const type = UNIX.has(entry.versionMadeBy >> 8) ? (entry.externalFileAttributes >>> 16) & FILE_TYPE : 0;
  if (type !== 0 && type !== REGULAR) throw new DataError(`${shown}: expected a file, got a link or a device`);
  if (entry.isEncrypted()) throw new DataError(`${shown}: expected a file without a password, got an encrypted one`);
  if (!entry.canDecodeFileData()) {
    throw new DataError(`${shown}: expected it stored or deflated, got compression method ${entry.compressionMethod}`);
  }
  if (entry.uncompressedSize > MOST_OF_A_FILE) {
    throw new DataError(`${shown}: expected at most ${MOST_OF_A_FILE} bytes, got ${entry.uncompressedSize}`);
  }
}

async function readEntry(place: string, zip: ZipFile, name: string, entry: Entry): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let checksum = 0;
  try {
    // Ends with an error as soon as there is more than the size that the zip says.
    for await (const chunk of await zip.openReadStreamPromise(entry)) {
      chunks.push(chunk as Buffer);
      checksum = crc32(chunk as Buffer, checksum);
    }
  } catch (cause) {
    throw damaged(place, `${name}: ${String(cause)}`);
  }
  if (checksum !== entry.crc32) throw damaged(place, `${name}: its checksum is another than the zip says`);
  return Buffer.concat(chunks);
}

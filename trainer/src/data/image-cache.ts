import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import writeFileAtomic from 'write-file-atomic';
import * as z from 'zod/mini';
import { cacheFolder, unwritable } from './cache-folder.js';
import { type Dataset, type ImageClass, SPLITS } from './dataset.js';

/** What a cache keeps of a dataset. */
export type DecodedImages = Pick<Dataset, 'splits' | 'skipped'>;

/** The decoded images of one dataset on disk. */
export interface ImageCache {
  readonly path: string;
  /** What was written; `undefined` where there is nothing, or the file is damaged. */
  read(): Promise<DecodedImages | undefined>;
  /**
   * Writes the file whole or not at all.
   *
   * @throws {DataError} where it cannot be written.
   */
  write(images: DecodedImages): Promise<void>;
}

const FORMAT = 1;
const DIGEST_BYTES = 32;
const LENGTH_BYTES = 4;

const classesSchema = z.array(
  z.object({ name: z.string(), count: z.int().check(z.gte(0)), bytes: z.int().check(z.gte(0)) }),
);
const headerSchema = z.object({
  train: classesSchema,
  validation: classesSchema,
  test: classesSchema,
  skipped: z.optional(z.array(z.string())),
});
type Header = z.infer<typeof headerSchema>;

/**
 * A cache file named `<label>-<digest of madeFrom>.images` in `directory` (`$XDG_CACHE_HOME/whet`, else
 * `~/.cache/whet`). `madeFrom` is everything the pixels depend on, as JSON: other content, another file.
 *
 * The file: SHA-256 of all that follows; length of the header, uint32 little-endian; header, JSON, the classes of each
 * split with name, count and bytes, and the files left out; the pixels of all classes in that order.
 *
 * @throws {DataError} where the directory cannot be made or written, before anybody has spent time on decoding.
 */
export async function openImageCache(label: string, madeFrom: unknown, directory?: string): Promise<ImageCache> {
  const folder = await cacheFolder(directory);
  const key = sha256(JSON.stringify({ format: FORMAT, madeFrom }))
    .toString('hex')
    .slice(0, 32);
  const path = join(folder, `${label}-${key}.images`);
  return {
    path,
    async read() {
      let bytes: Uint8Array;
      try {
        bytes = await readFile(path);
      } catch {
        return undefined;
      }
      return decode(bytes);
    },
    async write(images) {
      try {
        await writeFileAtomic(path, encode(images));
      } catch (cause) {
        throw unwritable(folder, cause);
      }
    },
  };
}

function encode({ splits, skipped }: DecodedImages): Buffer {
  const describe = ({ name, count, pixels }: ImageClass) => ({ name, count, bytes: pixels.length });
  const header = {
    train: splits.train.map(describe),
    validation: splits.validation.map(describe),
    test: splits.test.map(describe),
    skipped,
  };
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32LE(text.length);
  const body = Buffer.concat([length, text, ...SPLITS.flatMap((split) => splits[split].map(({ pixels }) => pixels))]);
  return Buffer.concat([sha256(body), body]);
}

function decode(bytes: Uint8Array): DecodedImages | undefined {
  const body = bytes.subarray(DIGEST_BYTES);
  if (body.length < LENGTH_BYTES || !sha256(body).equals(bytes.subarray(0, DIGEST_BYTES))) return undefined;
  const length = new DataView(body.buffer, body.byteOffset).getUint32(0, true);
  const header = headerSchema.parse(
    JSON.parse(new TextDecoder().decode(body.subarray(LENGTH_BYTES, LENGTH_BYTES + length))),
  );
  // A plain Uint8Array: subarrays of a Buffer would be Buffers, whose `slice` does not copy.
  const pixels = new Uint8Array(
    body.buffer,
    body.byteOffset + LENGTH_BYTES + length,
    body.length - LENGTH_BYTES - length,
  );
  let at = 0;
  const take = ({ name, count, bytes: size }: Header['train'][number]): ImageClass => {
    at += size;
    return { name, count, pixels: pixels.subarray(at - size, at) };
  };
  const splits = {
    train: header.train.map(take),
    validation: header.validation.map(take),
    test: header.test.map(take),
  };
  return header.skipped ? { splits, skipped: header.skipped } : { splits };
}

function sha256(data: string | Uint8Array): Buffer {
  return createHash('sha256').update(data).digest();
}

import { InputError } from '@whet/runtime';
import { decodePixels, type Preprocessing, pictureChannels } from '@whet/runtime/images';
import { DataError, type SplitName } from './dataset.js';
import type { DrawnImage } from './draw.js';

/** An image file, and what it is called in an error. */
export interface FileBytes {
  readonly bytes: Uint8Array;
  readonly place: string;
}

/** The image files of a class, each read when it is asked for. */
export interface FileClass {
  readonly name: string;
  readonly count: number;
  /** File `i` of `count`. Throws {@link DataError} where it cannot be read. */
  read(i: number): Promise<FileBytes>;
}

/** The classes of one split as image files, to be made into what any bundle takes. */
export interface ImageFiles {
  readonly name: string;
  readonly split: SplitName;
  readonly classes: readonly FileClass[];
  /** What stands beside the images, as paths below the folder, and is none; absent where there is nothing. */
  readonly unread?: readonly string[];
  /** Classes that there are images of and that stand in no split; absent where there are none. */
  readonly unsplit?: readonly string[];
  /** By which classes that came without splits were split; absent where they had some, or all of them are here. */
  readonly splitSeed?: number;
}

/**
 * The pixels `[H, W, C]`, 0..255, of file `i` of a class: read and brought to the bundle's size as `whet adapt` and `predict` do.
 *
 * @throws {DataError} naming the file that cannot be read or decoded.
 */
export async function filePixels(files: FileClass, i: number, preprocessing: Preprocessing): Promise<Uint8Array> {
  const { bytes, place } = await files.read(i);
  try {
    return await decodePixels(bytes, preprocessing, { field: place, isOwn: true });
  } catch (cause) {
    throw cause instanceof InputError ? new DataError(cause.message, { cause }) : cause;
  }
}

export interface LeaveOutOptions {
  /** Images that are going to be read, of files as they are left; all when absent. */
  readonly drawn?: ((files: ImageFiles) => Iterable<DrawnImage>) | undefined;
  /** Images looked at so far, and in all, as far as is known. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * The same without the files that cannot be decoded, and the places of these. Only what is drawn is decoded to find them; it is drawn anew where some are left
 * out.
 *
 * @throws {DataError} where nothing is left of a class; {@link InputError} where the bundle takes no pictures.
 */
export async function leaveOutCorrupt(
  files: ImageFiles,
  preprocessing: Preprocessing,
  { drawn = allOf, onProgress }: LeaveOutOptions = {},
): Promise<{ readonly files: ImageFiles; readonly skipped: string[] }> {
  pictureChannels(preprocessing, files.name);
  const skipped: string[] = [];
  const corrupt = files.classes.map(() => new Set<number>());
  const whole = new Set<string>();
  for (;;) {
    const left = files.classes.map((each, of) => withoutFiles(files.name, each, corrupt[of] as Set<number>));
    const kept = { ...files, classes: left.map(({ files: each }) => each) };
    const places = [...drawn(kept)].map(({ of, image }) => ({ of, image: left[of]?.numbers[image] as number }));
    const unseen = new Map(places.map((place) => [`${place.of}/${place.image}`, place]));
    for (const key of whole) unseen.delete(key);
    const before = skipped.length;
    const done = whole.size + before;
    let looked = 0;
    for (const [key, { of, image }] of unseen) {
      const { bytes, place } = await (files.classes[of] as FileClass).read(image);
      const isWhole = await decodePixels(bytes, preprocessing, { field: place, isOwn: true }).then(
        () => true,
        () => false,
      );
      if (isWhole) whole.add(key);
      else {
        corrupt[of]?.add(image);
        skipped.push(place);
      }
      looked++;
      onProgress?.(done + looked, done + unseen.size);
    }
    if (skipped.length === before) return { files: kept, skipped };
  }
}

function* allOf({ classes }: ImageFiles): Generator<DrawnImage> {
  for (const [of, { count }] of classes.entries()) for (let image = 0; image < count; image++) yield { of, image };
}

/** A class without some of its files, and which of these the others are. */
function withoutFiles(
  name: string,
  each: FileClass,
  corrupt: ReadonlySet<number>,
): { readonly files: FileClass; readonly numbers: readonly number[] } {
  const numbers = Array.from({ length: each.count }, (_, i) => i).filter((i) => !corrupt.has(i));
  if (numbers.length === 0) {
    const got = `${each.count} corrupt ones`;
    throw new DataError(`${name}: class ${each.name}: expected an image that can be decoded, got ${got}`);
  }
  return { files: { name: each.name, count: numbers.length, read: (i) => each.read(numbers[i] as number) }, numbers };
}

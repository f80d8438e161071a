import { InputError } from '@whet/runtime';
import { decodePixels, type Preprocessing, pictureChannels } from '@whet/runtime/images';
import { DataError, type SplitName } from './dataset.js';

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

/**
 * The same without the files that cannot be decoded, and the places of these; every file is decoded to find them.
 *
 * @throws {DataError} where nothing is left of a class; {@link InputError} where the bundle takes no pictures.
 */
export async function leaveOutCorrupt(
  files: ImageFiles,
  preprocessing: Preprocessing,
  onProgress?: (done: number, total: number) => void,
): Promise<{ readonly files: ImageFiles; readonly skipped: string[] }> {
  pictureChannels(preprocessing, files.name);
  const total = files.classes.reduce((sum, { count }) => sum + count, 0);
  const skipped: string[] = [];
  const classes: FileClass[] = [];
  let done = 0;
  for (const each of files.classes) {
    const whole: number[] = [];
    for (let i = 0; i < each.count; i++) {
      const { bytes, place } = await each.read(i);
      const isWhole = await decodePixels(bytes, preprocessing, { field: place, isOwn: true }).then(
        () => true,
        () => false,
      );
      if (isWhole) whole.push(i);
      else skipped.push(place);
      onProgress?.(++done, total);
    }
    if (whole.length === 0) {
      const got = `${each.count} corrupt ones`;
      throw new DataError(`${files.name}: class ${each.name}: expected an image that can be decoded, got ${got}`);
    }
    classes.push({ name: each.name, count: whole.length, read: (i) => each.read(whole[i] as number) });
  }
  return { files: { ...files, classes }, skipped };
}

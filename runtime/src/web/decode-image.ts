import { type ImageProblem, InputError } from '../errors.js';
import { type RgbaImage, resizePixels } from '../pixels.js';
import type { Preprocessing } from '../preprocessing.js';
import { readImageHeader } from './image-size.js';

export interface BrowserDecodeOptions {
  /** What the file is called in an error; `image` when absent. */
  readonly field?: string;
  /** Width x height above which an image is refused without decoding it; 120 million when absent. */
  readonly maxPixels?: number;
}

const DEFAULT_MAX_PIXELS = 120_000_000;
/** Above this many pixels, which is what Node's `decodeImage` takes by default, the browser reduces the image first. */
const WHOLE_PIXELS = 16_000_000;
/** A reduced image has at most the square of this, in pixels. */
const REDUCED_SIDE = 2048;

const SUPPORTED = 'a PNG, JPEG, WebP, GIF or AVIF image';

/**
 * Decodes an image file with the browser into the pixels a bundle takes, `[H, W, C]`, 0..255, as `decodePixels` of
 * `@whet/runtime/images` does in Node.js: upright, on `background`, by `fit` and `kernel`. `pixelsToTensor` makes a tensor of them.
 * Runs in pages and workers.
 *
 * @throws {InputError} naming `options.field`: not an image, a format the browser lacks, damaged, or too many pixels.
 */
export async function decodeFile(
  file: Blob,
  p: Preprocessing,
  options: BrowserDecodeOptions = {},
): Promise<Uint8Array> {
  return resizePixels(await decodeRgba(file, options), p);
}

/** Decodes an image file into RGBA, reduced to at most 2048 x 2048 pixels where it has more than 16 million. */
export async function decodeRgba(file: Blob, options: BrowserDecodeOptions = {}): Promise<RgbaImage> {
  const { field = 'image', maxPixels = DEFAULT_MAX_PIXELS } = options;
  const refuse = (problem: ImageProblem, message: string, cause?: unknown) =>
    Object.assign(new InputError(field, `${field}: ${message}`, problem), cause === undefined ? {} : { cause });
  if (file.size === 0) throw refuse('empty', `expected ${SUPPORTED}, got no bytes`);
  // A JPEG's size stands behind its metadata, thumbnail included: far less than this.
  const header = readImageHeader(new Uint8Array(await file.slice(0, 1 << 20).arrayBuffer()));
  const { format, width = 0, height = 0 } = header ?? {};
  if (!format) throw refuse('not-image', `expected ${SUPPORTED}, got ${file.size} bytes that are not an image`);
  if (format === 'SVG') throw refuse('vector', `expected ${SUPPORTED}, got a drawing in SVG`);
  if (width * height > maxPixels) {
    throw refuse(
      'too-many-pixels',
      `expected at most ${maxPixels} pixels, got ${width} x ${height} = ${width * height}`,
    );
  }
  const base: ImageBitmapOptions = { imageOrientation: 'from-image', colorSpaceConversion: 'default' };
  const reduced = width * height > WHOLE_PIXELS ? { ...base, ...reducedSize(width, height) } : base;
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file, reduced);
  } catch (cause) {
    const lacks = format === 'HEIC' || format === 'AVIF' || format === 'BMP';
    const message = lacks
      ? `this browser cannot read ${format} images; save it as JPEG or PNG first`
      : `expected a whole ${format} image, got one that is damaged, cut short or too large for this browser`;
    throw refuse(lacks ? 'unsupported' : 'damaged', message, cause);
  }
  const image = readOnce(bitmap, (cause) =>
    refuse('no-room', `${width} x ${height} pixels are too many for this browser`, cause),
  );
  // What turns it may be away, which is no fault of the picture.
  return header?.hasExif ? (await import('./upright-webp.js')).uprightWebp(image, file) : image;
}

/** The pixels of a picture, which is freed. */
function readOnce(bitmap: ImageBitmap, refused: (cause: unknown) => Error): RgbaImage {
  try {
    return readBitmap(bitmap);
  } catch (cause) {
    throw refused(cause);
  } finally {
    bitmap.close();
  }
}

/** A width that is small enough whichever way the metadata turns the image; the height follows. */
function reducedSize(width: number, height: number): ImageBitmapOptions {
  const side = Math.max(1, Math.round(REDUCED_SIDE * Math.sqrt(Math.min(width, height) / Math.max(width, height))));
  return { resizeWidth: side, resizeQuality: 'high' };
}

/** The pixels of a picture that the browser has decoded. */
export function readBitmap(bitmap: ImageBitmap): RgbaImage {
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, height);
  // There is none where the browser has no room for it: what is read of it fails.
  const context = canvas.getContext('2d', { willReadFrequently: true }) as OffscreenCanvasRenderingContext2D;
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  return { width, height, data };
}

import type { OutputInfo, Sharp } from 'sharp';
import { InputError } from './errors.js';
import { formatOf } from './image-formats.js';
import { reducibleBy } from './jpeg-header.js';
import { sampleNearest } from './nearest.js';
import { pictureChannels } from './picture-channels.js';
import { greyOf, pixelsToTensor, resizePlanes } from './pixels.js';
import { type Place, placeOf } from './place.js';
import { withoutNeedless } from './png-chunks.js';
import type { Preprocessing } from './preprocessing.js';
import { neededPart, type Size } from './resample.js';
import { loadSharp } from './sharp.js';

export { type ClassImages, type FoundImages, listClasses, listImages } from './image-folders.js';
export { pictureChannels } from './picture-channels.js';
export { pixelsToTensor } from './pixels.js';
export type { Preprocessing } from './preprocessing.js';

export interface DecodeOptions {
  /** What the bytes are called in an error, as in `examples[3].image`; `image` when absent. */
  readonly field?: string;
  /**
   * Width x height above which an image is refused without decoding it; 16 million when absent, 100 million of one's own. A
   * JPEG file, which is decoded at a reduced scale, may have four times as many, a progressive one twice.
   */
  readonly maxPixels?: number;
  /** The file is the caller's own, not what a stranger sent: GIF, TIFF and AVIF are read too, and more pixels. */
  readonly isOwn?: boolean;
}

const MAX_PIXELS = 16_000_000;
const OWN_MAX_PIXELS = 100_000_000;
/** What sharp calls the formats that everybody may send, and those of one's own files. */
const FORMATS: Readonly<Record<string, string>> = { PNG: 'png', JPEG: 'jpeg', WebP: 'webp' };
const OWN_FORMATS: typeof FORMATS = { ...FORMATS, GIF: 'gif', TIFF: 'tiff', AVIF: 'heif' };

/**
 * Decodes a PNG, JPEG or WebP file into raw interleaved pixels `[H, W, C]`, 0..255: turned upright by its EXIF
 * orientation, transparency laid on `background`, brought to `width` x `height` by `fit` and `kernel`, in sRGB
 * (3 channels) or its grey (1 channel). Of an animation, the first frame. Node only; needs the package `sharp`.
 *
 * @throws {InputError} naming `options.field`: not an image, another format, damaged or cut short, or too many pixels; and
 *   where the bundle takes other channels than a picture has.
 */
export async function decodePixels(
  bytes: Uint8Array,
  p: Preprocessing,
  options: DecodeOptions = {},
): Promise<Uint8Array> {
  pictureChannels(p, options.field ?? 'image');
  return (await openImage(bytes, options)).pixels(p);
}

/** An image file whose header was read. */
export interface OpenedImage {
  /** Of the upright image. */
  readonly width: number;
  readonly height: number;
  /** {@link decodePixels} and {@link decodeImage} of it; reject as these. */
  pixels(p: Preprocessing): Promise<Uint8Array>;
  tensor(p: Preprocessing): Promise<Float32Array>;
}

/**
 * Reads the header of an image file, for those who want to know its size before it is decoded.
 *
 * @throws {InputError} naming `options.field`: not an image, another format, damaged or cut short, or too many pixels.
 */
export async function openImage(
  bytes: Uint8Array,
  { field = 'image', isOwn = false, maxPixels = isOwn ? OWN_MAX_PIXELS : MAX_PIXELS }: DecodeOptions = {},
): Promise<OpenedImage> {
  const format = checkFormat(bytes, field, isOwn);
  const file = format === 'PNG' ? readablePng(bytes, field) : bytes;
  const limit = format === 'JPEG' ? maxPixels * reducibleBy(file) : maxPixels;
  const { width, height } = await readHeader(file, format, field);
  if (width * height > limit) {
    throw new InputError(
      field,
      `${field}: expected an image of at most ${limit} pixels, got ${width} x ${height} = ${width * height}`,
    );
  }
  const pixels = (p: Preprocessing) => pixelsOf({ file, width, height, limit }, p, field);
  return { width, height, pixels, tensor: async (p) => pixelsToTensor(await pixels(p), p) };
}

interface Readable {
  readonly file: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly limit: number;
}

async function pixelsOf(
  { file, width, height, limit }: Readable,
  p: Preprocessing,
  field: string,
): Promise<Uint8Array> {
  const wanted = pictureChannels(p, field);
  // Loaded with the first image: what adapts to tensors alone does without its native library.
  const sharp = loadSharp();
  const background = { r: p.background, g: p.background, b: p.background };
  const isLinear = wanted === 1 && p.grey !== 'rec601';
  const channels = isLinear ? 1 : 3;
  const place = placeOf(width, height, p);
  try {
    const image = sharp(file, { failOn: 'error', limitInputPixels: limit, autoOrient: true }).flatten({ background });
    const asPixels = (pipeline: Sharp) =>
      pipeline
        .toColourspace(isLinear ? 'b-w' : 'srgb')
        .raw({ depth: 'uchar' })
        .toBuffer({ resolveWithObject: true });
    // libvips takes the first of several pixels where it leaves out most; networks were trained on the one in the middle.
    if (p.kernel === 'nearest' && width * height <= MAX_PIXELS) {
      const whole = await asPixels(image);
      const sampled = sampleNearest({ ...whole.info, data: whole.data }, place, p);
      return channels > wanted ? greyOf(sampled) : sampled;
    }
    // libvips enlarges from the corner, half a pixel beside everybody else, and with a kernel of its own.
    if (place.width > width || place.height > height) return await enlarged(image, { width, height }, place, p);
    const { data, info } = await asPixels(resized(image, place, p));
    expectSize(info, p, channels);
    if (channels > wanted) return greyOf(data);
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  } catch (cause) {
    throw undecodable(field, cause);
  }
}

function resized(image: Sharp, place: Place, p: Preprocessing): Sharp {
  const background = { r: p.background, g: p.background, b: p.background };
  const how = { kernel: p.kernel, background, fastShrinkOnLoad: false } as const;
  if (p.fit !== 'cover') return image.resize(p.width, p.height, { ...how, fit: p.fit });
  // Sizes and corner are not left to sharp where a part is cut out: a pixel beside is what a network was not trained on.
  return image
    .resize(place.width, place.height, { ...how, fit: 'fill' })
    .extract({ left: place.left, top: place.top, width: p.width, height: p.height });
}

/** What libvips makes is as large as it was asked for. */
function expectSize({ height, width, channels }: OutputInfo, size: Size, expected: number): void {
  if (height === size.height && width === size.width && channels === expected) return;
  throw new Error(`${height} x ${width} x ${channels}`);
}

/** An image of which a side becomes longer: libvips reduces the other, where that becomes shorter, and cuts out what is needed. */
async function enlarged(image: Sharp, { width, height }: Size, place: Place, p: Preprocessing): Promise<Uint8Array> {
  const size = { width: Math.min(width, place.width), height: Math.min(height, place.height) };
  const part = neededPart(size, p);
  const { data, info } = await image
    .resize(size.width, size.height, { kernel: p.kernel, fit: 'fill', fastShrinkOnLoad: false })
    .extract(part)
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  expectSize(info, part, 3);
  const planes = [0, 1, 2].map((c) => {
    const plane = new Uint8Array(data.length / 3);
    for (let i = 0; i < plane.length; i++) plane[i] = data[i * 3 + c] as number;
    return plane;
  });
  return resizePlanes({ planes, ...part }, size, p);
}

function readablePng(bytes: Uint8Array, field: string): Uint8Array {
  try {
    return withoutNeedless(bytes);
  } catch (cause) {
    throw undecodable(field, cause);
  }
}

/**
 * An image file as the tensor a bundle takes, `[C, H, W]`: `decodePixels`, then `pixelsToTensor`.
 *
 * @throws {InputError} as these two.
 */
export async function decodeImage(bytes: Uint8Array, p: Preprocessing, options?: DecodeOptions): Promise<Float32Array> {
  return pixelsToTensor(await decodePixels(bytes, p, options), p);
}

/** Whether bytes begin as a format that everybody may send: PNG, JPEG or WebP. */
export const isTaken = (bytes: Uint8Array): boolean => (formatOf(ascii(bytes, 0, 64)) ?? '') in FORMATS;

// Looked at before sharp sees the bytes: its other loaders (SVG, PDF, ...) never get to parse what a stranger sent.
function checkFormat(bytes: Uint8Array, field: string, isOwn: boolean): string {
  const format = formatOf(ascii(bytes, 0, 64));
  const formats = Object.keys(isOwn ? OWN_FORMATS : FORMATS);
  if (format !== undefined && formats.includes(format)) return format;
  const names = `${formats.slice(0, -1).join(', ')} or ${formats.at(-1)}`;
  const got = format ?? (bytes.length === 0 ? 'no bytes' : `${bytes.length} bytes that are not an image`);
  const advice = format && isOwn ? '; save it as JPEG or PNG first' : '';
  throw new InputError(field, `${field}: expected a ${names} image, got ${got}${advice}`);
}

/** Width and height of the upright image. */
async function readHeader(
  bytes: Uint8Array,
  format: string,
  field: string,
): Promise<{ width: number; height: number }> {
  const sharp = loadSharp();
  try {
    const { autoOrient, format: found } = await sharp(bytes, { failOn: 'error', limitInputPixels: false }).metadata();
    // libvips looks at the same bytes.
    if (found !== OWN_FORMATS[format]) throw new Error(found);
    return autoOrient;
  } catch (cause) {
    throw undecodable(field, cause);
  }
}

function undecodable(field: string, cause: unknown): InputError {
  const reason = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause);
  const error = new InputError(
    field,
    `${field}: expected a whole image, got one that is damaged or cut short: ${reason}`,
  );
  error.cause = cause;
  return error;
}

function ascii(bytes: Uint8Array, from: number, length: number): string {
  return String.fromCharCode(...bytes.subarray(from, from + length));
}

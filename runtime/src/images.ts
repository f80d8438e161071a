import type { Metadata } from 'sharp';
import { InputError } from './errors.js';
import { pixelsToTensor } from './pixels.js';
import type { Preprocessing } from './preprocessing.js';

export { pixelsToTensor } from './pixels.js';
export type { Preprocessing } from './preprocessing.js';

export interface DecodeOptions {
  /** What the bytes are called in an error, as in `examples[3].image`; `image` when absent. */
  readonly field?: string;
  /** Width x height above which an image is refused without decoding it; 16 million when absent. */
  readonly maxPixels?: number;
}

const DEFAULT_MAX_PIXELS = 16_000_000;
const PNG_SIGNATURE = '\x89PNG\r\n\x1a\n';

/**
 * Decodes a PNG, JPEG or WebP file into raw interleaved pixels `[H, W, C]`, 0..255: turned upright by its EXIF
 * orientation, transparency laid on `background`, brought to `width` x `height` by `fit` and `kernel`, in sRGB
 * (3 channels) or its luminance (1 channel). Of an animation, the first frame. Node only; needs the package `sharp`.
 *
 * @throws {InputError} naming `options.field`: not an image, another format, damaged or cut short, or too many pixels.
 */
export async function decodePixels(
  bytes: Uint8Array,
  p: Preprocessing,
  options: DecodeOptions = {},
): Promise<Uint8Array> {
  const { field = 'image', maxPixels = DEFAULT_MAX_PIXELS } = options;
  await readImageSize(bytes, options);
  // Loaded with the first image: what adapts to tensors alone does without its native library.
  const { default: sharp } = await import('sharp');
  const grey = p.background;
  const background = { r: grey, g: grey, b: grey };
  try {
    const { data, info } = await sharp(bytes, { failOn: 'error', limitInputPixels: maxPixels, autoOrient: true })
      .flatten({ background })
      .resize(p.width, p.height, { fit: p.fit, kernel: p.kernel, background, fastShrinkOnLoad: false })
      .toColourspace(p.channels === 1 ? 'b-w' : 'srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    if (info.width !== p.width || info.height !== p.height || info.channels !== p.channels) {
      throw new Error(
        `expected ${p.height} x ${p.width} x ${p.channels} pixels, got ${info.height} x ${info.width} x ${info.channels}`,
      );
    }
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  } catch (cause) {
    throw undecodable(field, cause);
  }
}

/**
 * The size of a PNG, JPEG or WebP file as it is stored, in pixels, by its header alone.
 *
 * @throws {InputError} naming `options.field`: not an image, another format, damaged or cut short, or too many pixels.
 */
export async function readImageSize(
  bytes: Uint8Array,
  { field = 'image', maxPixels = DEFAULT_MAX_PIXELS }: DecodeOptions = {},
): Promise<{ readonly width: number; readonly height: number }> {
  checkFormat(bytes, field);
  const { width, height } = await readHeader(bytes, field);
  if (width * height > maxPixels) {
    throw new InputError(
      field,
      `${field}: expected an image of at most ${maxPixels} pixels, got ${width} x ${height} = ${width * height}`,
    );
  }
  return { width, height };
}

/**
 * An image file as the tensor a bundle takes, `[C, H, W]`: `decodePixels`, then `pixelsToTensor`.
 *
 * @throws {InputError} as these two.
 */
export async function decodeImage(bytes: Uint8Array, p: Preprocessing, options?: DecodeOptions): Promise<Float32Array> {
  return pixelsToTensor(await decodePixels(bytes, p, options), p);
}

// Looked at before sharp sees the bytes: its other loaders (SVG, TIFF, PDF, ...) never get to parse what a stranger sent.
function checkFormat(bytes: Uint8Array, field: string): void {
  const start = ascii(bytes, 0, 16);
  if (start.startsWith(PNG_SIGNATURE)) {
    checkPngEnd(bytes, field);
    return;
  }
  if (start.startsWith('\xff\xd8\xff')) return;
  if (start.startsWith('RIFF') && start.slice(8, 12) === 'WEBP') return;
  const got = bytes.length === 0 ? 'no bytes' : (otherFormat(start) ?? `${bytes.length} bytes that are not an image`);
  throw new InputError(field, `${field}: expected a PNG, JPEG or WebP image, got ${got}`);
}

function otherFormat(start: string): string | undefined {
  if (start.startsWith('GIF8')) return 'GIF';
  if (start.startsWith('II*\0') || start.startsWith('MM\0*')) return 'TIFF';
  if (start.startsWith('BM')) return 'BMP';
  if (start.startsWith('%PDF')) return 'PDF';
  if (start.startsWith('<svg') || start.startsWith('<?xml')) return 'SVG or XML';
  if (start.slice(4, 8) === 'ftyp') return start.slice(8, 12) === 'avif' ? 'AVIF' : 'HEIF or a film';
  return undefined;
}

/** Of a PNG file at most; one of tens of megabytes has some thousands. */
const MAX_PNG_CHUNKS = 100_000;
const IEND = 0x49454e44;

// libpng is content once all pixels are there; a file without its last chunk was cut short all the same.
function checkPngEnd(bytes: Uint8Array, field: string): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = PNG_SIGNATURE.length;
  for (let chunks = 0; at + 12 <= bytes.length; chunks++) {
    // Only so many: walking millions of empty ones would hold the thread up.
    if (chunks === MAX_PNG_CHUNKS) throw undecodable(field, new Error(`more than ${MAX_PNG_CHUNKS} chunks`));
    const next = at + 12 + view.getUint32(at);
    if (view.getUint32(at + 4) === IEND) {
      if (next <= bytes.length) return;
      break;
    }
    at = next;
  }
  throw undecodable(field, new Error('no IEND chunk'));
}

async function readHeader(bytes: Uint8Array, field: string): Promise<Metadata> {
  const { default: sharp } = await import('sharp');
  try {
    const metadata = await sharp(bytes, { failOn: 'error', limitInputPixels: false }).metadata();
    if (metadata.format === 'png' || metadata.format === 'jpeg' || metadata.format === 'webp') return metadata;
    throw new Error(`read as ${metadata.format}`);
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

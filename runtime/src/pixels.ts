import { InputError } from './errors.js';
import { pictureChannels } from './picture-channels.js';
import type { Preprocessing } from './preprocessing.js';
import { planeResizer, type Size, sidesOf } from './resample.js';

/** An image as browsers give it: interleaved RGBA `[height, width, 4]`, 0..255, not premultiplied. */
export interface RgbaImage {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array | Uint8ClampedArray;
}

/**
 * Brings an image to the pixels a bundle takes, interleaved `[H, W, C]`, 0..255: transparency laid on `background`, resized by
 * `fit` and `kernel`, in sRGB or its grey. The counterpart of `decodePixels` of `@whet/runtime/images` without a native library; they differ
 * by libvips' arithmetic in whole numbers where an image is reduced, and not where it is enlarged.
 *
 * @throws {InputError} where the data is not `width` x `height` x 4 values, or the bundle takes other channels.
 */
export function resizePixels({ width, height, data }: RgbaImage, p: Preprocessing): Uint8Array {
  if (!(width > 0 && height > 0) || data.length !== width * height * 4) {
    throw new InputError('image', `image: expected ${width} x ${height} x 4 values, got ${data.length}`);
  }
  return resizePlanes({ planes: flatten(data, p.background), width, height, left: 0, top: 0 }, { width, height }, p);
}

/** Red, green and blue, 0..255, of a part of an image that begins at its pixel `left`, `top`. */
interface ImagePart {
  readonly planes: readonly (Float32Array | Uint8Array)[];
  readonly width: number;
  readonly height: number;
  readonly left: number;
  readonly top: number;
}

/** The whole of an image of this size as {@link resizePixels} makes it, from the part that it needs (see `neededPart`). */
export function resizePlanes(part: ImagePart, size: Size, p: Preprocessing): Uint8Array {
  const channels = pictureChannels(p, 'image');
  const { background } = p;
  const { across, down, left, top } = sidesOf(size, p);
  const [red, green, blue] = part.planes.map(planeResizer(part, across, down, p.kernel)) as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];
  const toGrey = p.grey === 'rec601' ? rec601 : luminance;
  const out = new Uint8Array(p.width * p.height * channels).fill(background);
  const [fromLeft, fromTop] = [Math.max(0, -left), Math.max(0, -top)];
  for (let y = 0; y < down.count; y++) {
    for (let x = 0; x < across.count; x++) {
      const from = y * across.count + x;
      const at = ((y + fromTop) * p.width + x + fromLeft) * channels;
      const [r, g, b] = [red[from] as number, green[from] as number, blue[from] as number];
      out[at] = channels === 1 ? toGrey(r, g, b) : r;
      if (channels === 1) continue;
      out[at + 1] = g;
      out[at + 2] = b;
    }
  }
  return out;
}

/** Red, green and blue of an image on a grey background. */
function flatten(rgba: Uint8Array | Uint8ClampedArray, background: number): Float32Array[] {
  const count = rgba.length / 4;
  return [0, 1, 2].map((channel) => {
    const plane = new Float32Array(count);
    for (let i = 0; i < count; i++) {
      const alpha = (rgba[i * 4 + 3] as number) / 255;
      plane[i] = (rgba[i * 4 + channel] as number) * alpha + background * (1 - alpha);
    }
    return plane;
  });
}

const linear = Float64Array.from({ length: 256 }, (_, i) => {
  const v = i / 255;
  return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
});

/** As Pillow computes it, and OpenCV, torchvision and Keras but for rounding. */
const rec601 = (r: number, g: number, b: number): number => (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16;

/** ITU-R BT.601's grey of interleaved RGB pixels. */
export const greyOf = (rgb: Uint8Array): Uint8Array =>
  Uint8Array.from({ length: rgb.length / 3 }, (_, i) =>
    rec601(rgb[i * 3] as number, rgb[i * 3 + 1] as number, rgb[i * 3 + 2] as number),
  );

/** The grey of the same luminance (ITU-R BT.709, in linear light), 0..255. */
function luminance(r: number, g: number, b: number): number {
  if (r === g && g === b) return r;
  const y = 0.2126 * (linear[r] as number) + 0.7152 * (linear[g] as number) + 0.0722 * (linear[b] as number);
  return Math.round(255 * (y <= 0.0031308 ? 12.92 * y : 1.055 * y ** (1 / 2.4) - 0.055));
}

/**
 * Turns pixels `[H, W, C]`, 0..255, into the planar tensor `[C, H, W]` by the formula of `Preprocessing`. Written into
 * `out` from `offset` on where `out` is given, so that a batch is filled without copies. Returns `out`.
 *
 * @throws {InputError} where `pixels`, `mean`, `std` or `out` has another length than the preprocessing asks for.
 */
export function pixelsToTensor(pixels: Uint8Array, p: Preprocessing, out?: Float32Array, offset = 0): Float32Array {
  const plane = p.width * p.height;
  const length = plane * p.channels;
  const shape = `[${p.height}, ${p.width}, ${p.channels}]`;
  if (pixels.length !== length) {
    throw new InputError('pixels', `pixels: expected ${length} values ${shape}, got ${pixels.length}`);
  }
  for (const name of ['mean', 'std'] as const) {
    if (p[name].length !== p.channels) {
      throw new InputError(
        `preprocessing.${name}`,
        `preprocessing.${name}: expected ${p.channels} values, one per channel, got ${p[name].length}`,
      );
    }
  }
  const target = out ?? new Float32Array(offset + length);
  if (!Number.isInteger(offset) || offset < 0 || offset + length > target.length) {
    throw new InputError(
      'out',
      `out: expected room for ${length} values from ${offset} on, got ${target.length} in all`,
    );
  }
  for (let c = 0; c < p.channels; c++) {
    const mean = p.mean[c] as number;
    const std = p.std[c] as number;
    const from = p.bgr ? p.channels - 1 - c : c;
    for (let i = 0, at = offset + c * plane; i < plane; i++, at++) {
      const v = (pixels[i * p.channels + from] as number) / 255;
      target[at] = ((p.invert ? 1 - v : v) - mean) / std;
    }
  }
  return target;
}

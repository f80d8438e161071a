import { InputError } from './errors.js';
import { nearestPlaces } from './nearest.js';
import { pictureChannels } from './picture-channels.js';
import { placeOf } from './place.js';
import type { Preprocessing } from './preprocessing.js';

/** An image as browsers give it: interleaved RGBA `[height, width, 4]`, 0..255, not premultiplied. */
export interface RgbaImage {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array | Uint8ClampedArray;
}

/**
 * Brings an image to the pixels a bundle takes, interleaved `[H, W, C]`, 0..255: transparency laid on `background`, resized by
 * `fit` and `kernel`, in sRGB or its grey. The counterpart of `decodePixels` of `@whet/runtime/images` without a native library; they differ
 * by libvips' arithmetic in whole numbers.
 *
 * @throws {InputError} where the data is not `width` x `height` x 4 values, or the bundle takes other channels.
 */
export function resizePixels({ width, height, data }: RgbaImage, p: Preprocessing): Uint8Array {
  if (!(width > 0 && height > 0) || data.length !== width * height * 4) {
    throw new InputError('image', `image: expected ${width} x ${height} x 4 values, got ${data.length}`);
  }
  const channels = pictureChannels(p, 'image');
  const { background } = p;
  const planes = flatten(data, background);
  const { width: w, height: h, left, top } = placeOf(width, height, p);
  // One scale for both sides where the whole image stays as it is; else each side is exactly as long as it has to be.
  const scale = p.fit === 'contain' ? Math.max(width / p.width, height / p.height) : undefined;
  const across = sideOf(width, w, scale ?? width / w, left, p.width);
  const down = sideOf(height, h, scale ?? height / h, top, p.height);
  const [red, green, blue] = planes.map((plane) => resizePlane(plane, across, down, p.kernel)) as [
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
      const rgb = [red[from] as number, green[from] as number, blue[from] as number] as const;
      if (channels === 1) out[at] = toGrey(...rgb);
      else out.set(rgb, at);
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

const cubic =
  (b: number, c: number) =>
  (x: number): number => {
    const t = Math.abs(x);
    if (t < 1) return ((12 - 9 * b - 6 * c) * t ** 3 + (-18 + 12 * b + 6 * c) * t ** 2 + (6 - 2 * b)) / 6;
    if (t < 2)
      return ((-b - 6 * c) * t ** 3 + (6 * b + 30 * c) * t ** 2 + (-12 * b - 48 * c) * t + (8 * b + 24 * c)) / 6;
    return 0;
  };
const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
const lanczos =
  (a: number) =>
  (x: number): number =>
    Math.abs(x) < a ? sinc(x) * sinc(x / a) : 0;

/** Weight at a distance, and the distance from which it is 0; in pixels of the larger of the two grids. */
const kernels: Readonly<Record<Exclude<Preprocessing['kernel'], 'nearest'>, [(x: number) => number, number]>> = {
  linear: [(x) => Math.max(0, 1 - Math.abs(x)), 1],
  cubic: [cubic(0, 0.5), 2],
  mitchell: [cubic(1 / 3, 1 / 3), 2],
  lanczos2: [lanczos(2), 2],
  lanczos3: [lanczos(3), 3],
};

/** Which input pixels one output pixel is made of, and their weights. */
interface Taps {
  readonly from: number;
  readonly weights: Float64Array;
}

/** One direction of a resize: pixels before and after, how many of the former make one of the latter, and which of these are wanted. */
interface Side {
  readonly from: number;
  readonly to: number;
  readonly scale: number;
  readonly first: number;
  readonly count: number;
}

const sideOf = (from: number, to: number, scale: number, corner: number, wanted: number): Side => {
  const first = Math.max(0, corner);
  return { from, to, scale, first, count: Math.min(to - first, wanted) };
};

function tapsFor({ from, to, scale, first: at, count }: Side, kernel: Preprocessing['kernel']): Taps[] {
  if (kernel === 'nearest') {
    const places = nearestPlaces(from, to).subarray(at, at + count);
    return Array.from(places, (place) => ({ from: place, weights: Float64Array.of(1) }));
  }
  // A size is a whole number; what rounding left over is split between both edges.
  const offset = (from - to * scale) / 2;
  return Array.from({ length: count }, (_, wanted) => {
    const i = at + wanted;
    // libvips enlarges from the corner, and with a cubic, whichever wider kernel reduces.
    const enlarged = scale < 1;
    const centre = (enlarged ? i : i + 0.5) * scale - 0.5 + offset;
    const [weight, support] = kernels[enlarged && kernel !== 'linear' ? 'cubic' : kernel];
    const stretch = Math.max(1, scale);
    const first = Math.ceil(centre - support * stretch);
    const last = Math.floor(centre + support * stretch);
    const weights = Float64Array.from({ length: last - first + 1 }, (_, at) => weight((first + at - centre) / stretch));
    const sum = weights.reduce((a, b) => a + b, 0);
    return { from: first, weights: weights.map((value) => value / sum) };
  });
}

function resizePlane(plane: Float32Array, across: Side, down: Side, kernel: Preprocessing['kernel']): Uint8Array {
  const isWhole = (side: Side) => side.from === side.to && side.to === side.count;
  if (isWhole(across) && isWhole(down)) return Uint8Array.from(plane, (value) => Math.round(value));
  // Whole pixels are averaged first, so that the kernel reduces by two to four, as in libvips.
  const shrink = ({ scale }: Side) => (kernel === 'nearest' ? 1 : Math.max(1, Math.floor(scale / 2)));
  const [sx, sy] = [shrink(across), shrink(down)];
  const small = averageBlocks(plane, across.from, down.from, sx, sy);
  const [width, height] = [Math.ceil(across.from / sx), Math.ceil(down.from / sy)];
  const rest = (side: Side, by: number) => tapsFor({ ...side, from: side.from / by, scale: side.scale / by }, kernel);
  const columns = bytes(alongRows(transpose(small, width, height), height, width, rest(down, sy)));
  return bytes(alongRows(transpose(columns, down.count, width), width, down.count, rest(across, sx)));
}

const bytes = (values: Float32Array): Uint8Array =>
  Uint8Array.from(values, (value) => Math.min(255, Math.max(0, Math.round(value))));

/** Means over blocks of `sx` x `sy` pixels; those at the right and lower edge may be smaller. */
function averageBlocks(plane: Float32Array, width: number, height: number, sx: number, sy: number): Float32Array {
  if (sx === 1 && sy === 1) return plane;
  const [w, h] = [Math.ceil(width / sx), Math.ceil(height / sy)];
  const out = new Float32Array(w * h);
  for (let y = 0; y < height; y++) {
    const row = Math.floor(y / sy) * w;
    for (let x = 0; x < width; x++) {
      const at = row + Math.floor(x / sx);
      out[at] = (out[at] as number) + (plane[y * width + x] as number);
    }
  }
  for (let y = 0; y < h; y++) {
    const blockHeight = Math.min(sy, height - y * sy);
    for (let x = 0; x < w; x++) {
      const at = y * w + x;
      out[at] = (out[at] as number) / (blockHeight * Math.min(sx, width - x * sx));
    }
  }
  return out;
}

/** Weighs the pixels of each row; beyond the edge stands the edge's pixel. */
function alongRows(
  plane: Float32Array | Uint8Array,
  width: number,
  height: number,
  taps: readonly Taps[],
): Float32Array {
  const out = new Float32Array(taps.length * height);
  for (let y = 0; y < height; y++) {
    for (const [x, { from, weights }] of taps.entries()) {
      let sum = 0;
      for (let i = 0; i < weights.length; i++) {
        const at = Math.min(width - 1, Math.max(0, from + i));
        sum += (weights[i] as number) * (plane[y * width + at] as number);
      }
      out[y * taps.length + x] = sum;
    }
  }
  return out;
}

function transpose(plane: Float32Array | Uint8Array, width: number, height: number): Float32Array {
  const out = new Float32Array(plane.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) out[x * height + y] = plane[y * width + x] as number;
  }
  return out;
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

import { nearestPlaces } from './nearest.js';
import { placeOf } from './place.js';
import type { Preprocessing } from './preprocessing.js';

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

/** Width and height of an image. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Which input pixels one output pixel is made of, and their weights. */
interface Taps {
  readonly from: number;
  readonly weights: Float64Array;
}

/** One direction of a resize: pixels before and after, how many of the former make one of the latter, and which of these are wanted. */
export interface Side {
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

/** Both directions of a resize, and where the result stands in the whole. */
export function sidesOf({ width, height }: Size, p: Preprocessing) {
  const { width: w, height: h, left, top } = placeOf(width, height, p);
  // One scale for both sides where the whole image stays as it is; else each side is exactly as long as it has to be.
  const scale = p.fit === 'contain' ? Math.max(width / p.width, height / p.height) : undefined;
  const across = sideOf(width, w, scale ?? width / w, left, p.width);
  const down = sideOf(height, h, scale ?? height / h, top, p.height);
  return { across, down, left, top };
}

const isEnlarged = ({ from, to }: Side): boolean => to > from;

/** Pixels that one direction of an enlarged image is made of: from the first, and how many. */
function neededOf(side: Side, kernel: Preprocessing['kernel']): readonly [first: number, count: number] {
  if (!isEnlarged(side)) return [0, side.from];
  const taps = tapsFor(side, kernel);
  const first = Math.min(...taps.map(({ from }) => from));
  return [first, Math.max(...taps.map(({ from, weights }) => from + weights.length)) - first];
}

/** The part of an image that its result is made of, where it is enlarged; the whole length of a direction where it is not. */
export function neededPart(size: Size, p: Preprocessing): Size & { readonly left: number; readonly top: number } {
  const { across, down } = sidesOf(size, p);
  const [left, width] = neededOf(across, p.kernel);
  const [top, height] = neededOf(down, p.kernel);
  return { left, top, width, height };
}

/** Taps of the sides that came last: pictures of one camera are of one size. */
const recent = new Map<string, readonly Taps[]>();
const RECENT = 8;

function tapsFor(side: Side, kernel: Preprocessing['kernel']): readonly Taps[] {
  const { from, to, scale, first, count } = side;
  const key = [from, to, scale, first, count, kernel].join();
  const taps = recent.get(key) ?? makeTaps(side, kernel);
  recent.delete(key);
  recent.set(key, taps);
  if (recent.size > RECENT) recent.delete(recent.keys().next().value as string);
  return taps;
}

function makeTaps(side: Side, kernel: Preprocessing['kernel']): Taps[] {
  const { from, to, scale, first: at, count } = side;
  if (kernel === 'nearest') {
    const places = nearestPlaces(from, to).subarray(at, at + count);
    return Array.from(places, (place) => ({ from: place, weights: Float64Array.of(1) }));
  }
  // A size is a whole number; what rounding left over is split between both edges.
  const offset = (from - to * scale) / 2;
  const [weight, support] = kernels[kernel];
  const stretch = Math.max(1, scale);
  return Array.from({ length: count }, (_, wanted) => {
    const centre = (at + wanted + 0.5) * scale - 0.5 + offset;
    let first = Math.ceil(centre - support * stretch);
    let last = Math.floor(centre + support * stretch);
    // Beyond the edge Pillow takes nothing, which is what enlarged images are compared with; libvips, which reduces, the edge's pixel.
    if (isEnlarged(side)) [first, last] = [Math.max(0, first), Math.min(from - 1, last)];
    const weights = Float64Array.from({ length: last - first + 1 }, (_, at) => weight((first + at - centre) / stretch));
    const sum = weights.reduce((a, b) => a + b, 0);
    return { from: first, weights: weights.map((value) => value / sum) };
  });
}

/** A part of an image. */
interface Part extends Size {
  /** Where it begins in the image. */
  readonly left: number;
  readonly top: number;
}

/**
 * Makes planes of `across.count` x `down.count` pixels, 0..255, of planes of one part of an image: what the pixels are made of is found
 * once for all.
 */
export function planeResizer(
  { width, height, left, top }: Part,
  across: Side,
  down: Side,
  kernel: Preprocessing['kernel'],
): (plane: Float32Array | Uint8Array) => Uint8Array {
  const isWhole = (side: Side) => side.from === side.to && side.to === side.count;
  if (isWhole(across) && isWhole(down)) return bytes;
  // Whole pixels are averaged first, so that the kernel reduces by two to four, as in libvips.
  const shrink = ({ scale }: Side) => (kernel === 'nearest' ? 1 : Math.max(1, Math.floor(scale / 2)));
  const [sx, sy] = [shrink(across), shrink(down)];
  const [w, h] = [Math.ceil(width / sx), Math.ceil(height / sy)];
  const rest = (side: Side, by: number) => ({ ...side, from: side.from / by, scale: side.scale / by });
  const acrossBy = spread(tapsFor(rest(across, sx), kernel), w, left);
  const downBy = spread(tapsFor(rest(down, sy), kernel), h, top);
  return (given) => {
    const plane = sx > 1 || sy > 1 ? averageBlocks(given, width, height, sx, sy) : given;
    // libvips, which reduces, goes down first; Pillow, which enlarges, across. What is reduced comes first.
    return isEnlarged(down)
      ? weighDown(weighAcross(plane, w, acrossBy), across.count, downBy)
      : weighAcross(weighDown(plane, w, downBy), w, acrossBy);
  };
}

/** To the nearest of 0..255, a half up. */
const toByte = (value: number): number => {
  const up = Math.fround(value) + 0.5;
  return up < 0 ? 0 : up >= 256 ? 255 : Math.trunc(up);
};

function bytes(values: Float32Array | Uint8Array): Uint8Array {
  const out = new Uint8Array(values.length);
  for (let i = 0; i < out.length; i++) out[i] = toByte(values[i] as number);
  return out;
}

/** Means over blocks of `sx` x `sy` pixels; those at the right and lower edge may be smaller. */
function averageBlocks(
  plane: Float32Array | Uint8Array,
  width: number,
  height: number,
  sx: number,
  sy: number,
): Float32Array {
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

/** Taps of `count` pixels: the first of each, then the second, and so on, as many of each. */
interface SpreadTaps {
  readonly count: number;
  readonly places: Int32Array;
  readonly factors: Float64Array;
}

/** Of a side of `length` pixels that begins at the image's pixel `start`; beyond the edge stands the edge's pixel. */
function spread(taps: readonly Taps[], length: number, start: number): SpreadTaps {
  const count = taps.length;
  const most = Math.max(0, ...taps.map(({ weights }) => weights.length));
  const places = new Int32Array(count * most);
  const factors = new Float64Array(count * most);
  for (const [at, { from, weights }] of taps.entries()) {
    for (const [i, weight] of weights.entries()) {
      places[i * count + at] = Math.min(length - 1, Math.max(0, from + i - start));
      factors[i * count + at] = weight;
    }
  }
  return { count, places, factors };
}

/** Weighs the pixels of each row of `width`. */
function weighAcross(plane: Float32Array | Uint8Array, width: number, { count, places, factors }: SpreadTaps) {
  const out = new Uint8Array((plane.length / width) * count);
  const sums = new Float64Array(count);
  for (let row = 0, to = 0; to < out.length; row += width, to += count) {
    sums.fill(0);
    for (let tap = 0; tap < places.length; tap += count) {
      for (let x = 0; x < count; x++) {
        sums[x] =
          (sums[x] as number) + (factors[tap + x] as number) * (plane[row + (places[tap + x] as number)] as number);
      }
    }
    for (let x = 0; x < count; x++) out[to + x] = toByte(sums[x] as number);
  }
  return out;
}

/** Weighs the pixels of each column of a plane whose rows are `width` long. */
function weighDown(plane: Float32Array | Uint8Array, width: number, { count, places, factors }: SpreadTaps) {
  const out = new Uint8Array(width * count);
  const sums = new Float64Array(width);
  for (let y = 0; y < count; y++) {
    sums.fill(0);
    for (let tap = y; tap < places.length; tap += count) {
      const factor = factors[tap] as number;
      const row = (places[tap] as number) * width;
      for (let x = 0; x < width; x++) sums[x] = (sums[x] as number) + factor * (plane[row + x] as number);
    }
    for (let x = 0; x < width; x++) out[y * width + x] = toByte(sums[x] as number);
  }
  return out;
}

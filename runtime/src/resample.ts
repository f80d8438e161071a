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

function tapsFor(side: Side, kernel: Preprocessing['kernel']): Taps[] {
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

/** One colour of a part of an image. */
interface Plane extends Size {
  readonly plane: Float32Array | Uint8Array;
  /** Where it begins in the image. */
  readonly left: number;
  readonly top: number;
}

/** A plane of `across.count` x `down.count` pixels of a plane, 0..255. */
export function resizePlane(part: Plane, across: Side, down: Side, kernel: Preprocessing['kernel']): Uint8Array {
  const isWhole = (side: Side) => side.from === side.to && side.to === side.count;
  if (isWhole(across) && isWhole(down)) return bytes(part.plane);
  // Whole pixels are averaged first, so that the kernel reduces by two to four, as in libvips.
  const shrink = ({ scale }: Side) => (kernel === 'nearest' ? 1 : Math.max(1, Math.floor(scale / 2)));
  const [sx, sy] = [shrink(across), shrink(down)];
  let { plane, width, height } = part;
  if (sx > 1 || sy > 1) {
    plane = averageBlocks(plane, width, height, sx, sy);
    [width, height] = [Math.ceil(width / sx), Math.ceil(height / sy)];
  }
  const rest = (side: Side, by: number) => ({ ...side, from: side.from / by, scale: side.scale / by });
  const goAcross = () => {
    plane = bytes(alongRows(plane, width, height, tapsFor(rest(across, sx), kernel), part.left));
    width = across.count;
  };
  const goDown = () => {
    const columns = transpose(plane, width, height);
    const made = bytes(alongRows(columns, height, width, tapsFor(rest(down, sy), kernel), part.top));
    plane = transpose(made, down.count, width);
    height = down.count;
  };
  // libvips, which reduces, goes down first; Pillow, which enlarges, across. What is reduced comes first.
  const passes = isEnlarged(down) ? [goAcross, goDown] : [goDown, goAcross];
  for (const pass of passes) pass();
  return plane as Uint8Array;
}

function bytes(values: Float32Array | Uint8Array): Uint8Array {
  const out = new Uint8Array(values.length);
  for (let i = 0; i < out.length; i++) out[i] = Math.min(255, Math.max(0, Math.round(values[i] as number)));
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

/** Weighs the pixels of each row, which begins at the image's pixel `start`; beyond the edge stands the edge's pixel. */
function alongRows(
  plane: Float32Array | Uint8Array,
  width: number,
  height: number,
  taps: readonly Taps[],
  start: number,
): Float32Array {
  const out = new Float32Array(taps.length * height);
  // Flat, as many of each.
  const most = Math.max(0, ...taps.map(({ weights }) => weights.length));
  const places = new Int32Array(taps.length * most);
  const factors = new Float64Array(taps.length * most);
  taps.forEach(({ from, weights }, x) => {
    weights.forEach((weight, i) => {
      places[x * most + i] = Math.min(width - 1, Math.max(0, from + i - start));
      factors[x * most + i] = weight;
    });
  });
  for (let y = 0; y < height; y++) {
    const row = y * width;
    for (let x = 0; x < taps.length; x++) {
      let sum = 0;
      for (let i = x * most; i < (x + 1) * most; i++) {
        sum += (factors[i] as number) * (plane[row + (places[i] as number)] as number);
      }
      out[y * taps.length + x] = sum;
    }
  }
  return out;
}

function transpose<T extends Float32Array | Uint8Array>(plane: T, width: number, height: number): T {
  const out = plane.slice() as T;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) out[x * height + y] = plane[y * width + x] as number;
  }
  return out;
}

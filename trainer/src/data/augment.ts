import { DataError } from './dataset.js';
import type { Random } from './random.js';

/** How far an image may be distorted; each is drawn uniformly between minus and plus the bound. 0 when absent. */
export interface Augmentation {
  /** Pixels, across and down. */
  readonly shift?: number;
  readonly degrees?: number;
  /** A share: 0.1 is from 0.9 to 1.1 times the size. */
  readonly scale?: number;
  /** Slant: pixels across per pixel down. */
  readonly shear?: number;
  /** Standard deviation, in pixels, of a smooth random displacement of each part of the image (Simard et al. 2003). */
  readonly elastic?: number;
  /** Half of the images are mirrored. */
  readonly mirror?: boolean;
}

/**
 * How far all images of a class may be distorted alike in an episode, which makes another class of it (Liu et al. 2020,
 * task augmentation); drawn once a class, as {@link Augmentation} is once an image.
 */
export interface ClassAugmentation extends Omit<Augmentation, 'shift' | 'mirror'> {
  /** Half of the classes are mirrored. */
  readonly mirror?: boolean;
  /** A share: 0.2 makes a class up to 1.2 times as wide, and 1 / 1.2 times as high, or the other way round. */
  readonly stretch?: number;
}

/** Displacements in pixels at `GRID x GRID` points over the image, its corners included, bilinear between. */
export interface Field {
  readonly dx: Float64Array;
  readonly dy: Float64Array;
}

/** Points along each side of a {@link Field}. */
const GRID = 5;

/**
 * Output pixel (x, y), from the centre, is read at (xx x + xy y + dx, yx x + yy y + dy) from the centre, and further
 * away by the field.
 */
export interface Distortion {
  readonly xx: number;
  readonly xy: number;
  readonly yx: number;
  readonly yy: number;
  readonly dx: number;
  readonly dy: number;
  readonly field?: Field;
}

/** One channel of an image: pixel (y, x) is `pixels[start + y * down + x * right]`. */
export interface Plane {
  readonly pixels: Uint8Array;
  readonly start: number;
  readonly down: number;
  readonly right: number;
}

/**
 * `setting` names it in errors.
 *
 * @throws {DataError} where a bound is negative, not finite, or a scale of 1 or more, which would leave no image.
 */
export function checkAugmentation(augmentation: Augmentation & ClassAugmentation, setting = 'augment'): void {
  const { mirror: _, ...bounds } = augmentation;
  for (const [name, bound] of Object.entries(bounds)) {
    if (bound >= 0 && bound < (name === 'scale' ? 1 : Infinity)) continue;
    const below = name === 'scale' ? ' and below 1' : '';
    throw new DataError(`${setting}.${name}: expected 0 or more${below}, got ${bound}`);
  }
}

const drawWithin = (random: Random, bound: number) => (2 * random.uniform() - 1) * bound;

/** A turn, a scaling and a slant: the slant first. */
function linear(angle: number, shrink: number, slant: number): Pick<Distortion, 'xx' | 'xy' | 'yx' | 'yy'> {
  const [a, b] = [shrink * Math.cos(angle), shrink * Math.sin(angle)];
  return { xx: a, xy: a * slant - b, yx: b, yy: b * slant + a };
}

function drawField(elastic: number, random: Random): { field?: Field } {
  const displacements = () => Float64Array.from({ length: GRID * GRID }, () => elastic * random.normal());
  return elastic > 0 ? { field: { dx: displacements(), dy: displacements() } } : {};
}

/** A random distortion; shift, degrees and scale always draw, so that the bound of one does not change the others. */
export function drawDistortion(augmentation: Augmentation, random: Random): Distortion {
  const { shift = 0, degrees = 0, scale = 0, shear = 0, elastic = 0, mirror = false } = augmentation;
  const dx = drawWithin(random, shift);
  const dy = drawWithin(random, shift);
  const angle = (drawWithin(random, degrees) * Math.PI) / 180;
  const shrink = 1 / (1 + drawWithin(random, scale));
  const slant = shear > 0 ? drawWithin(random, shear) : 0;
  const turned = linear(angle, shrink, slant);
  const field = drawField(elastic, random);
  const across = mirror && random.uniform() < 0.5 ? -1 : 1;
  return { ...turned, xx: turned.xx * across, yx: turned.yx * across, dx, dy, ...field };
}

/** A random distortion of all images of a class, whatever the bounds from as many draws. */
export function drawClassDistortion(augmentation: ClassAugmentation, random: Random): Distortion {
  const { mirror = false, degrees = 0, scale = 0, shear = 0, stretch = 0, elastic = 0 } = augmentation;
  const angle = (drawWithin(random, degrees) * Math.PI) / 180;
  const shrink = 1 / (1 + drawWithin(random, scale));
  const { xx, xy, yx, yy } = linear(angle, shrink, drawWithin(random, shear));
  const wider = (1 + stretch) ** drawWithin(random, 1);
  const across = (random.uniform() < 0.5 && mirror ? -1 : 1) / wider;
  return {
    xx: xx * across,
    xy: xy * wider,
    yx: yx * across,
    yy: yy * wider,
    dx: 0,
    dy: 0,
    ...drawField(elastic, random),
  };
}

/** The value between four neighbours of a field: `right` and `down` are shares of the way from `at`. */
function between(values: Float64Array, at: number, right: number, down: number): number {
  const topLeft = values[at] as number;
  const bottomLeft = values[at + GRID] as number;
  const top = topLeft + ((values[at + 1] as number) - topLeft) * right;
  const bottom = bottomLeft + ((values[at + GRID + 1] as number) - bottomLeft) * right;
  return top + (bottom - top) * down;
}

/** Replaces places in an image, from its corner, by those where a distortion reads them. Beyond the border a field goes on as there. */
function move(xs: Float64Array, ys: Float64Array, distortion: Distortion, width: number, height: number): void {
  const { xx, xy, yx, yy, dx, dy, field } = distortion;
  const cx = (width - 1) / 2;
  const cy = (height - 1) / 2;
  const across = (GRID - 1) / Math.max(1, width - 1);
  const along = (GRID - 1) / Math.max(1, height - 1);
  for (let i = 0; i < xs.length; i++) {
    const x = xs[i] as number;
    const y = ys[i] as number;
    let sx = xx * (x - cx) + xy * (y - cy) + dx + cx;
    let sy = yx * (x - cx) + yy * (y - cy) + dy + cy;
    if (field) {
      const u = Math.min(Math.max(x * across, 0), GRID - 1);
      const v = Math.min(Math.max(y * along, 0), GRID - 1);
      const column = Math.min(Math.floor(u), GRID - 2);
      const row = Math.min(Math.floor(v), GRID - 2);
      sx += between(field.dx, row * GRID + column, u - column, v - row);
      sy += between(field.dy, row * GRID + column, u - column, v - row);
    }
    xs[i] = sx;
    ys[i] = sy;
  }
}

/**
 * Writes the distorted channel into `target` `[H, W]`: bilinear between pixels, `background` outside, then from
 * 0..255 by `table` `[256]`, which is affine in the pixel value. Of several distortions the last is that nearest to the
 * source: all of them are read through at once, so that pixels are interpolated only once.
 */
export function warp(
  target: Float32Array,
  plane: Plane,
  size: { readonly width: number; readonly height: number; readonly background: number },
  distortions: readonly Distortion[],
  table: Float32Array,
): void {
  const { pixels, start, down, right } = plane;
  const { width, height, background } = size;
  const low = table[0] as number;
  const slope = ((table[255] as number) - low) / 255;
  const xs = new Float64Array(width * height);
  const ys = new Float64Array(width * height);
  for (let at = 0; at < xs.length; at++) {
    xs[at] = at % width;
    ys[at] = Math.floor(at / width);
  }
  for (const distortion of distortions) move(xs, ys, distortion, width, height);

  let i = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const sx = xs[i] as number;
      const sy = ys[i] as number;
      const x0 = Math.floor(sx);
      const y0 = Math.floor(sy);
      // Unrolled, because a call per neighbour takes three times as long; a place outside counts as background.
      const left = x0 >= 0 && x0 < width;
      const beside = x0 >= -1 && x0 + 1 < width;
      const at = start + y0 * down + x0 * right;
      let topLeft = background;
      let topRight = background;
      let bottomLeft = background;
      let bottomRight = background;
      if (y0 >= 0 && y0 < height) {
        if (left) topLeft = pixels[at] as number;
        if (beside) topRight = pixels[at + right] as number;
      }
      if (y0 >= -1 && y0 + 1 < height) {
        if (left) bottomLeft = pixels[at + down] as number;
        if (beside) bottomRight = pixels[at + down + right] as number;
      }
      const top = topLeft + (topRight - topLeft) * (sx - x0);
      const bottom = bottomLeft + (bottomRight - bottomLeft) * (sx - x0);
      target[i++] = low + slope * (top + (bottom - top) * (sy - y0));
    }
  }
}

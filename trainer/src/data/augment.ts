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

/** @throws {DataError} where a bound is negative, not finite, or a scale of 1 or more, which would leave no image. */
export function checkAugmentation(augmentation: Augmentation): void {
  const { shift = 0, degrees = 0, scale = 0, shear = 0, elastic = 0 } = augmentation;
  for (const [name, bound] of Object.entries({ shift, degrees, scale, shear, elastic })) {
    if (bound >= 0 && bound < (name === 'scale' ? 1 : Infinity)) continue;
    throw new DataError(`augment.${name}: expected 0 or more${name === 'scale' ? ' and below 1' : ''}, got ${bound}`);
  }
}

/** A random distortion; shift, degrees and scale always draw, so that the bound of one does not change the others. */
export function drawDistortion(augmentation: Augmentation, random: Random): Distortion {
  const { shift = 0, degrees = 0, scale = 0, shear = 0, elastic = 0 } = augmentation;
  const draw = (bound: number) => (2 * random.uniform() - 1) * bound;
  const dx = draw(shift);
  const dy = draw(shift);
  const angle = (draw(degrees) * Math.PI) / 180;
  const shrink = 1 / (1 + draw(scale));
  const slant = shear > 0 ? draw(shear) : 0;
  const [a, b] = [shrink * Math.cos(angle), shrink * Math.sin(angle)];
  const displacements = () => Float64Array.from({ length: GRID * GRID }, () => elastic * random.normal());
  const field = elastic > 0 ? { field: { dx: displacements(), dy: displacements() } } : {};
  return { xx: a, xy: a * slant - b, yx: b, yy: b * slant + a, dx, dy, ...field };
}

/** The displacement of every pixel `[height * width]`, of those at the field's points. */
function spread(values: Float64Array, width: number, height: number): Float64Array {
  const out = new Float64Array(width * height);
  for (let y = 0; y < height; y++) {
    const v = (y * (GRID - 1)) / Math.max(1, height - 1);
    const row = Math.min(Math.floor(v), GRID - 2);
    for (let x = 0; x < width; x++) {
      const u = (x * (GRID - 1)) / Math.max(1, width - 1);
      const column = Math.min(Math.floor(u), GRID - 2);
      const at = row * GRID + column;
      const across = (from: number) =>
        (values[from] as number) + ((values[from + 1] as number) - (values[from] as number)) * (u - column);
      const top = across(at);
      out[y * width + x] = top + (across(at + GRID) - top) * (v - row);
    }
  }
  return out;
}

/**
 * Writes the distorted channel into `target` `[H, W]`: bilinear between pixels, `background` outside, then from
 * 0..255 by `table` `[256]`, which is affine in the pixel value.
 */
export function warp(
  target: Float32Array,
  plane: Plane,
  size: { readonly width: number; readonly height: number; readonly background: number },
  { xx, xy, yx, yy, dx, dy, field }: Distortion,
  table: Float32Array,
): void {
  const { pixels, start, down, right } = plane;
  const { width, height, background } = size;
  const low = table[0] as number;
  const slope = ((table[255] as number) - low) / 255;
  const cx = (width - 1) / 2;
  const cy = (height - 1) / 2;
  const across = field && spread(field.dx, width, height);
  const along = field && spread(field.dy, width, height);

  let i = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const sx = xx * (x - cx) + xy * (y - cy) + dx + cx + (across ? (across[i] as number) : 0);
      const sy = yx * (x - cx) + yy * (y - cy) + dy + cy + (along ? (along[i] as number) : 0);
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

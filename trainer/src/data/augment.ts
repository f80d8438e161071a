import { DataError } from './dataset.js';
import type { Random } from './random.js';

/** How far an image may be distorted; each is drawn uniformly between minus and plus the bound. 0 when absent. */
export interface Augmentation {
  /** Pixels, across and down. */
  readonly shift?: number;
  readonly degrees?: number;
  /** A share: 0.1 is from 0.9 to 1.1 times the size. */
  readonly scale?: number;
}

/** Output pixel (x, y), from the centre, is read at (a x - b y + dx, b x + a y + dy) from the centre. */
export interface Affine {
  readonly a: number;
  readonly b: number;
  readonly dx: number;
  readonly dy: number;
}

/** One channel of an image: pixel (y, x) is `pixels[start + y * down + x * right]`. */
export interface Plane {
  readonly pixels: Uint8Array;
  readonly start: number;
  readonly down: number;
  readonly right: number;
}

/** @throws {DataError} where a bound is negative, not finite, or a scale of 1 or more, which would leave no image. */
export function checkAugmentation({ shift = 0, degrees = 0, scale = 0 }: Augmentation): void {
  for (const [name, bound] of Object.entries({ shift, degrees, scale })) {
    if (bound >= 0 && bound < (name === 'scale' ? 1 : Infinity)) continue;
    throw new DataError(`augment.${name}: expected 0 or more${name === 'scale' ? ' and below 1' : ''}, got ${bound}`);
  }
}

/** A random distortion; always draws four numbers, so that one bound does not change what the others draw. */
export function drawAffine(augmentation: Augmentation, random: Random): Affine {
  const { shift = 0, degrees = 0, scale = 0 } = augmentation;
  const draw = (bound: number) => (2 * random.uniform() - 1) * bound;
  const dx = draw(shift);
  const dy = draw(shift);
  const angle = (draw(degrees) * Math.PI) / 180;
  const shrink = 1 / (1 + draw(scale));
  return { a: shrink * Math.cos(angle), b: shrink * Math.sin(angle), dx, dy };
}

/**
 * Writes the distorted channel into `target` `[H, W]`: bilinear between pixels, `background` outside, then from
 * 0..255 by `table` `[256]`, which is affine in the pixel value.
 */
export function warp(
  target: Float32Array,
  plane: Plane,
  size: { readonly width: number; readonly height: number; readonly background: number },
  { a, b, dx, dy }: Affine,
  table: Float32Array,
): void {
  const { pixels, start, down, right } = plane;
  const { width, height, background } = size;
  const low = table[0] as number;
  const slope = ((table[255] as number) - low) / 255;
  const cx = (width - 1) / 2;
  const cy = (height - 1) / 2;

  let i = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const sx = a * (x - cx) - b * (y - cy) + dx + cx;
      const sy = b * (x - cx) + a * (y - cy) + dy + cy;
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

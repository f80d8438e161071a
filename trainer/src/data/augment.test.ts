import { describe, expect, test } from 'vitest';
import { type Affine, drawAffine, warp } from './augment.js';
import { generatorFor } from './random.js';

const IDENTITY_TABLE = Float32Array.from({ length: 256 }, (_, i) => i);

/** Warps a `[side, side]` image whose background is 255. */
function warped(pixels: Uint8Array, side: number, affine: Affine): number[] {
  const target = new Float32Array(side * side);
  const size = { width: side, height: side, background: 255 };
  warp(target, { pixels, start: 0, down: side, right: 1 }, size, affine, IDENTITY_TABLE);
  return [...target];
}

describe('warp', () => {
  test.each([5, 6])('by a quarter turn is a turn about the centre, %i pixels wide', (side) => {
    const pixels = Uint8Array.from({ length: side * side }, (_, i) => i * 7);
    const turned = [...pixels].map((_, i) => pixels[(i % side) * side + (side - 1 - Math.floor(i / side))]);
    expect(warped(pixels, side, { a: 0, b: 1, dx: 0, dy: 0 })).toEqual(turned);
  });

  test('enlarges about the centre', () => {
    const side = 9;
    const square = (half: number) =>
      Uint8Array.from({ length: side * side }, (_, i) => {
        const [x, y] = [(i % side) - 4, Math.floor(i / side) - 4];
        return Math.max(Math.abs(x), Math.abs(y)) <= half ? 0 : 255;
      });
    // Read at half the distance from the centre: places 0 to 2 fall on ink, 3 half way between ink and paper.
    const large = warped(square(1), side, { a: 0.5, b: 0, dx: 0, dy: 0 });
    expect(large.slice(4 * side, 5 * side)).toEqual([255, 127.5, 0, 0, 0, 0, 0, 127.5, 255]);
  });

  test('moves by whole pixels exactly, and fills with the background', () => {
    const pixels = new Uint8Array(9);
    expect(warped(pixels, 3, { a: 1, b: 0, dx: 1, dy: 0 })).toEqual([0, 0, 255, 0, 0, 255, 0, 0, 255]);
    expect(warped(pixels, 3, { a: 1, b: 0, dx: 0, dy: -2 })).toEqual([255, 255, 255, 255, 255, 255, 0, 0, 0]);
    expect(warped(pixels, 3, { a: 1, b: 0, dx: 0.25, dy: 0 })[2]).toBe(63.75);
    expect(new Set(warped(pixels, 3, { a: 1, b: 0, dx: 9, dy: -9 }))).toEqual(new Set([255]));
  });
});

test('drawAffine stays within its bounds and reaches near them', () => {
  const seen = { degrees: 0, enlarged: 1, shrunk: 1, shift: 0 };
  for (let index = 0; index < 2000; index++) {
    const { a, b, dx, dy } = drawAffine({ shift: 3, degrees: 20, scale: 0.25 }, generatorFor(1, 'affine', index));
    const size = 1 / Math.hypot(a, b);
    seen.degrees = Math.max(seen.degrees, Math.abs((Math.atan2(b, a) * 180) / Math.PI));
    seen.enlarged = Math.max(seen.enlarged, size);
    seen.shrunk = Math.min(seen.shrunk, size);
    seen.shift = Math.max(seen.shift, Math.abs(dx), Math.abs(dy));
  }
  const within = (value: number, bound: number) => {
    expect(value).toBeLessThanOrEqual(bound + 1e-12);
    expect(value).toBeGreaterThan(bound * 0.98);
  };
  within(seen.degrees, 20);
  within(seen.enlarged, 1.25);
  within(seen.shift, 3);
  within(1 - seen.shrunk, 0.25);
});

import { describe, expect, test } from 'vitest';
import { type Distortion, drawClassDistortion, drawDistortion, warp } from './augment.js';
import { generatorFor } from './random.js';

const STILL = { xx: 1, xy: 0, yx: 0, yy: 1, dx: 0, dy: 0 };

const IDENTITY_TABLE = Float32Array.from({ length: 256 }, (_, i) => i);

/** Warps a `[side, side]` image whose background is 255. */
function warped(pixels: Uint8Array, side: number, ...distortions: Distortion[]): number[] {
  const target = new Float32Array(side * side);
  const size = { width: side, height: side, background: 255 };
  warp(target, { pixels, start: 0, down: side, right: 1 }, size, distortions, IDENTITY_TABLE);
  return [...target];
}

describe('warp', () => {
  test.each([5, 6])('by a quarter turn is a turn about the centre, %i pixels wide', (side) => {
    const pixels = Uint8Array.from({ length: side * side }, (_, i) => i * 7);
    const turned = [...pixels].map((_, i) => pixels[(i % side) * side + (side - 1 - Math.floor(i / side))]);
    expect(warped(pixels, side, { ...STILL, xx: 0, xy: -1, yx: 1, yy: 0 })).toEqual(turned);
  });

  test('enlarges about the centre', () => {
    const side = 9;
    const square = (half: number) =>
      Uint8Array.from({ length: side * side }, (_, i) => {
        const [x, y] = [(i % side) - 4, Math.floor(i / side) - 4];
        return Math.max(Math.abs(x), Math.abs(y)) <= half ? 0 : 255;
      });
    // Read at half the distance from the centre: places 0 to 2 fall on ink, 3 half way between ink and paper.
    const large = warped(square(1), side, { ...STILL, xx: 0.5, yy: 0.5 });
    expect(large.slice(4 * side, 5 * side)).toEqual([255, 127.5, 0, 0, 0, 0, 0, 127.5, 255]);
  });

  test('slants about the centre: a row below it is read further right', () => {
    const pixels = Uint8Array.from({ length: 9 }, (_, i) => i * 10);
    expect(warped(pixels, 3, { ...STILL, xy: 1 })).toEqual([255, 0, 10, 30, 40, 50, 70, 80, 255]);
  });

  test('a field that is the same everywhere is a shift', () => {
    const pixels = Uint8Array.from({ length: 25 }, (_, i) => i * 10);
    const field = { dx: new Float64Array(25).fill(1), dy: new Float64Array(25).fill(-2) };
    expect(warped(pixels, 5, { ...STILL, field })).toEqual(warped(pixels, 5, { ...STILL, dx: 1, dy: -2 }));
  });

  test('a field moves the places between its points in proportion', () => {
    const side = 9;
    const ramp = Uint8Array.from({ length: side * side }, (_, i) => (i % side) * 10);
    const dx = new Float64Array(25);
    dx[12] = 1;
    const moved = warped(ramp, side, { ...STILL, field: { dx, dy: new Float64Array(25) } });
    // The middle point stands at pixel 4 of 9, its neighbours two pixels away.
    expect(moved.slice(4 * side, 5 * side)).toEqual([0, 10, 20, 35, 50, 55, 60, 70, 80]);
    expect(moved.slice(3 * side + 4, 3 * side + 5)).toEqual([45]);
    expect(moved.slice(2 * side, 3 * side)).toEqual([0, 10, 20, 30, 40, 50, 60, 70, 80]);
  });

  test('reads through several distortions, the last of them first applied to the image', () => {
    const side = 5;
    const pixels = Uint8Array.from({ length: side * side }, (_, i) => i * 10);
    const right = { ...STILL, dx: 1 };
    const quarter = { ...STILL, xx: 0, xy: -1, yx: 1, yy: 0 };
    const turnedFirst = warped(Uint8Array.from(warped(pixels, side, quarter)), side, right);
    expect(warped(pixels, side, right, quarter)).toEqual(turnedFirst);
    expect(warped(pixels, side, quarter, right)).not.toEqual(turnedFirst);
    const field = { dx: new Float64Array(25), dy: Float64Array.from({ length: 25 }, (_, i) => (i % 5 < 2 ? 2 : 0)) };
    const displaced = Uint8Array.from(warped(pixels, side, { ...STILL, field }));
    expect(warped(pixels, side, right, { ...STILL, field })).toEqual(warped(displaced, side, right));
  });

  test('moves by whole pixels exactly, and fills with the background', () => {
    const pixels = new Uint8Array(9);
    expect(warped(pixels, 3, { ...STILL, dx: 1, dy: 0 })).toEqual([0, 0, 255, 0, 0, 255, 0, 0, 255]);
    expect(warped(pixels, 3, { ...STILL, dx: 0, dy: -2 })).toEqual([255, 255, 255, 255, 255, 255, 0, 0, 0]);
    expect(warped(pixels, 3, { ...STILL, dx: 0.25, dy: 0 })[2]).toBe(63.75);
    expect(new Set(warped(pixels, 3, { ...STILL, dx: 9, dy: -9 }))).toEqual(new Set([255]));
  });
});

test('drawDistortion stays within its bounds and reaches near them', () => {
  const seen = { degrees: 0, enlarged: 1, shrunk: 1, shift: 0 };
  for (let index = 0; index < 2000; index++) {
    const {
      xx: a,
      yx: b,
      dx,
      dy,
    } = drawDistortion({ shift: 3, degrees: 20, scale: 0.25 }, generatorFor(1, 'affine', index));
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

test('drawDistortion slants within its bound, and displaces with the standard deviation asked for', () => {
  const slants: number[] = [];
  const displacements: number[] = [];
  for (let index = 0; index < 400; index++) {
    const { xx, xy, yx, yy, field } = drawDistortion({ shear: 0.3, elastic: 2 }, generatorFor(2, 'affine', index));
    expect([xx, Math.abs(yx), yy]).toEqual([1, 0, 1]);
    slants.push(xy);
    displacements.push(...(field?.dx ?? []), ...(field?.dy ?? []));
  }
  expect(Math.max(...slants)).toBeLessThanOrEqual(0.3);
  expect(Math.max(...slants)).toBeGreaterThan(0.29);
  expect(Math.min(...slants)).toBeLessThan(-0.29);
  const deviation = Math.sqrt(displacements.reduce((sum, each) => sum + each * each, 0) / displacements.length);
  expect(displacements).toHaveLength(400 * 50);
  expect(deviation).toBeCloseTo(2, 1);
});

test('drawClassDistortion mirrors half of the classes, and stretches within its bound, keeping the area', () => {
  let mirrored = 0;
  let widest = 1;
  for (let index = 0; index < 400; index++) {
    const { xx, xy, yx, yy } = drawClassDistortion({ mirror: true, stretch: 0.5 }, generatorFor(3, 'class', index));
    expect([xy, yx].map(Math.abs)).toEqual([0, 0]);
    expect(Math.abs(xx * yy)).toBeCloseTo(1, 12);
    if (xx < 0) mirrored++;
    widest = Math.max(widest, 1 / Math.abs(xx));
  }
  expect(Math.abs(mirrored - 200)).toBeLessThan(50);
  expect(widest).toBeLessThanOrEqual(1.5);
  expect(widest).toBeGreaterThan(1.48);
});

test('drawClassDistortion without bounds leaves classes as they are; one bound does not change what others draw', () => {
  const draw = (bounds: Parameters<typeof drawClassDistortion>[0]) =>
    drawClassDistortion(bounds, generatorFor(4, 'class', 0));
  expect(draw({})).toEqual(STILL);
  const { xx, yx } = draw({ degrees: 30 });
  const { xx: a, yx: b } = draw({ degrees: 30, shear: 0.3 });
  expect([a, b]).toEqual([xx, yx]);
  const turned = draw({ degrees: 30, mirror: true, elastic: 1 });
  expect(Math.abs(turned.xx)).toBeCloseTo(Math.abs(xx), 12);
});

import { describe, expect, it } from 'vitest';
import { fromHalf, halvesOf, toHalf } from './half.js';

describe('half precision', () => {
  it('reads back every half as itself', () => {
    for (let half = 0; half < 65536; half++) {
      const value = fromHalf(half);
      if (Number.isNaN(value)) expect(toHalf(value)).toBe(0x7e00);
      else if (toHalf(value) !== half) expect.fail(`${half} is read as ${value} and written as ${toHalf(value)}`);
    }
  });

  it('stands for numbers that it is fine enough for, and no others', () => {
    const values = Float32Array.from({ length: 100 }, (_, i) => Math.sin(i));
    expect([...(halvesOf(values) ?? [])].map(fromHalf)).toEqual([...values].map((value) => fromHalf(toHalf(value))));
    for (const factor of [1e-7, 1e6, Number.NaN])
      expect(halvesOf(values.map((value) => factor * value))).toBeUndefined();
    expect(halvesOf(new Float32Array(3))).toEqual(new Uint16Array(3));
  });

  it.each([
    [1 + 2 ** -11, 1],
    [1 + 3 * 2 ** -11, 1 + 2 ** -9],
    [65519, 65504],
    [65520, Number.POSITIVE_INFINITY],
    [2 ** -25, 0],
    [3 * 2 ** -26, 2 ** -24],
  ])('rounds %f to the nearest, ties to even', (value, nearest) => {
    expect(fromHalf(toHalf(value))).toBe(nearest);
    expect(fromHalf(toHalf(-value))).toBe(-nearest);
  });
});

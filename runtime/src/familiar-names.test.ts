import { describe, expect, it } from 'vitest';
import { distancesToClasses } from './familiar-names.js';

describe('how far outputs are from those of each class', () => {
  it.each([
    ['of one class', [1, 0, 0], [0, Math.SQRT2, Math.SQRT2]],
    ['between two', [0.5, 0.5, 0], [Math.SQRT1_2, Math.SQRT1_2, Math.sqrt(1.5)]],
    ['of none', [1 / 3, 1 / 3, 1 / 3], [Math.sqrt(2 / 3), Math.sqrt(2 / 3), Math.sqrt(2 / 3)]],
    ['beyond a class', [1.5, -0.5, 0], [Math.SQRT1_2, 2.1213, 1.8708]],
  ])('%s, at any scale', (_, outputs, expected) => {
    for (const scale of [1, 7]) {
      const distances = distancesToClasses(Float32Array.from(outputs, (value) => value * scale));
      for (const [way, distance] of distances.entries()) expect(distance).toBeCloseTo(expected[way] as number, 4);
    }
  });

  it('is a number for outputs that add up to nothing', () => {
    expect(distancesToClasses(new Float32Array(3))).toEqual(new Float32Array([1, 1, 1]));
  });
});

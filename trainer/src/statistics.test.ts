import { describe, expect, it } from 'vitest';
import { meanInterval, median, quantile } from './statistics.js';

describe('figures', () => {
  it('give 1.96 standard errors', () => {
    const { mean, halfWidth } = meanInterval([0, 1, 0, 1]);
    expect(mean).toBe(0.5);
    expect(halfWidth).toBeCloseTo((1.96 * Math.sqrt(1 / 3)) / 2, 10);
  });

  it('are in the middle, or as far up as is asked for', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(median([])).toBeNaN();
    expect(quantile([4, 1, 2, 3], 0.75)).toBe(3);
    expect(quantile([4, 1, 2, 3], 0)).toBe(1);
  });
});

import { oneHot } from '@whet/runtime';
import { describe, expect, it } from 'vitest';
import { accuracyOf, meanInterval } from './statistics.js';

describe('figures', () => {
  it('count rows whose largest logit is the label', () => {
    expect(accuracyOf(Float32Array.of(1, 0, 0, 1, 0, 2), Int32Array.of(0, 1, 0), 2)).toBeCloseTo(2 / 3);
    expect(oneHot(Int32Array.of(2, 0), 3)).toEqual(Float32Array.of(0, 0, 1, 1, 0, 0));
  });

  it('give 1.96 standard errors', () => {
    const { mean, halfWidth } = meanInterval([0, 1, 0, 1]);
    expect(mean).toBe(0.5);
    expect(halfWidth).toBeCloseTo((1.96 * Math.sqrt(1 / 3)) / 2, 10);
  });
});

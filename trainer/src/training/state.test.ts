import { describe, expect, it } from 'vitest';
import { mixMoments } from './state.js';

describe('population moments', () => {
  it('are those of the mixture: computed over both samples at once', () => {
    const [a, b] = [
      [1, 2, 4, 9],
      [10, 11, 15, 20],
    ];
    const momentsOf = (values: number[]) => {
      const mean = values.reduce((x, y) => x + y) / values.length;
      return { mean, variance: values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length };
    };
    const [first, second, both] = [
      momentsOf(a as number[]),
      momentsOf(b as number[]),
      momentsOf([...(a ?? []), ...(b ?? [])]),
    ];
    const mixed = { mean: Float32Array.of(first.mean), variance: Float32Array.of(first.variance) };
    mixMoments(mixed, Float32Array.of(second.mean), Float32Array.of(second.variance), 0.5);
    expect(mixed.mean[0]).toBeCloseTo(both.mean, 5);
    expect(mixed.variance[0]).toBeCloseTo(both.variance, 4);
  });
});

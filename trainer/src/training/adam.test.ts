import { describe, expect, it } from 'vitest';
import { adamState, adamStep } from './adam.js';

describe('Adam', () => {
  it('takes a first step of the rate against the sign of the gradient, whatever its size', () => {
    const state = adamState(Float32Array.of(1, 1, 1));
    adamStep(state, Float32Array.of(1e-3, -50, 0), 0.1, 1);
    expect(Array.from(state.value, (v) => Number(v.toFixed(4)))).toEqual([0.9, 1.1, 1]);
  });

  it('finds the minimum of a quadratic', () => {
    const state = adamState(Float32Array.of(5, -3));
    for (let step = 1; step <= 2000; step++) {
      adamStep(state, Float32Array.of(2 * (state.value[0] as number) - 2, 8 * (state.value[1] as number)), 0.05, step);
    }
    expect(state.value[0]).toBeCloseTo(1, 2);
    expect(state.value[1]).toBeCloseTo(0, 2);
  });
});

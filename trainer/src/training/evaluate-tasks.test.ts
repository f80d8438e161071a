import { expect, it } from 'vitest';
import { accuracyOf } from './evaluate-tasks.js';

it('counts rows whose largest logit is the label', () => {
  expect(accuracyOf(Float32Array.of(1, 0, 0, 1, 0, 2), Int32Array.of(0, 1, 0), 2)).toBeCloseTo(2 / 3);
});

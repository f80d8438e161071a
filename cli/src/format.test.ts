import { expect, it } from 'vitest';
import { signed } from './format.js';

it('gives a difference its sign, and none to what rounds to 0', () => {
  expect([1.234, -1.234, -0.001, 0.001, -0.005001].map(signed)).toEqual(['+1.23', '−1.23', '+0.00', '+0.00', '−0.01']);
});

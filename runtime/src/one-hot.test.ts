import { expect, it } from 'vitest';
import { oneHot } from './one-hot.js';

it('puts a one at the label of each row', () => {
  expect(oneHot(Int32Array.of(2, 0), 3)).toEqual(Float32Array.of(0, 0, 1, 1, 0, 0));
});

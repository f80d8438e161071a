import { expect, it } from 'vitest';
import { Calibration } from './calibration.js';

it('is 0 where probabilities are how often they are right, and the mean distance where they are not', () => {
  const honest = new Calibration();
  for (let i = 0; i < 10; i++) honest.add(0.7, i < 7);
  expect(honest.error).toBeCloseTo(0, 12);
  const proud = new Calibration();
  for (let i = 0; i < 10; i++) proud.add(1, i < 6);
  expect(proud.error).toBeCloseTo(0.4, 12);
  // Too much in one bin does not make up for too little in another.
  for (let i = 0; i < 30; i++) proud.add(0.5, i < 27);
  expect(proud.error).toBeCloseTo((10 * 0.4 + 30 * 0.4) / 40, 12);
  expect(new Calibration().error).toBeNaN();
});

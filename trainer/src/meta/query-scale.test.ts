import { expect, it } from 'vitest';
import { generatorFor } from '../data/random.js';
import { type AskedRows, bestScale, lossAt } from './query-scale.js';

const random = generatorFor(4, 'query-scale', 0);
const [ways, rows, first] = [3, 40, 5];
const labels = Int32Array.from({ length: rows }, (_, i) => i % ways);
/** Logits that are right more often than not, a quarter of what they should be. */
const logits = Float64Array.from(
  { length: rows * ways },
  (_, i) => 0.25 * (random.normal() + 2 * Number(i % ways === labels[Math.floor(i / ways)])),
);
const asked: AskedRows = { logits, labels, ways, first };

it('a loss at a scale has the slope of its differences, and leaves out rows that are not asked about', () => {
  const [times, by] = [1.7, 1e-5];
  const difference = (lossAt(asked, times + by).loss - lossAt(asked, times - by).loss) / (2 * by);
  expect(lossAt(asked, times).slope).toBeCloseTo(difference, 8);
  const other = logits.slice();
  other.fill(9, 0, first * ways - 1);
  expect(lossAt({ ...asked, logits: other }, times)).toEqual(lossAt(asked, times));
});

it('no scale has a smaller loss than the best one, however logits were scaled before', () => {
  const best = bestScale(asked);
  for (const times of [0.1, 0.5, 0.9, 0.99, 1.01, 1.1, 2, 10]) {
    expect(lossAt(asked, best).loss).toBeLessThan(lossAt(asked, times * best).loss);
  }
  const larger = bestScale({ ...asked, logits: logits.map((each) => 3 * each) });
  expect(larger).toBeCloseTo(best / 3, 6);
});

it('where all is right the scale ends, and where all is wrong it is small', () => {
  const right = { ...asked, logits: logits.map((_, i) => Number(i % ways === labels[Math.floor(i / ways)])) };
  expect(bestScale(right)).toBeCloseTo(16, 5);
  expect(bestScale({ ...right, logits: right.logits.map((each) => -each) })).toBeCloseTo(1 / 16, 5);
});

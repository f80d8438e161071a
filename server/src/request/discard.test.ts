import { expect, test } from 'vitest';
import { discard, joinAndDiscard } from './discard.js';

const pieces = () => [1, 2, 3].map((value) => Buffer.alloc(100_000, value));

test('what is discarded is freed at once, without the collector', () => {
  const before = process.memoryUsage().arrayBuffers;
  const large = Buffer.alloc(50_000_000);
  expect(process.memoryUsage().arrayBuffers - before).toBeGreaterThan(40_000_000);
  discard([large]);
  expect(large.length).toBe(0);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10_000_000);
});

test('memory that others share stays', () => {
  const whole = Buffer.alloc(100, 7);
  discard([whole.subarray(10, 20), Buffer.alloc(0), Buffer.from('from a pool')]);
  expect(whole).toEqual(Buffer.alloc(100, 7));
});

test('pieces become one, and are freed', () => {
  const all = pieces();
  expect(joinAndDiscard(all)).toEqual(Buffer.concat(pieces()));
  expect(all.map(({ length }) => length)).toEqual([0, 0, 0]);
});

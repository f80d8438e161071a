import { expect, test } from 'vitest';
import { mapLimited } from './concurrency.js';

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test('keeps the order, and runs no more than the limit at once', async () => {
  let running = 0;
  let most = 0;
  const results = await mapLimited([5, 1, 4, 1, 3, 2], 3, async (value, index) => {
    most = Math.max(most, ++running);
    await pause(value);
    running--;
    return [index, value * 10];
  });
  expect(most).toBe(3);
  expect(results).toEqual([5, 1, 4, 1, 3, 2].map((value, i) => [i, value * 10]));
  expect(await mapLimited([], 3, async () => 1)).toEqual([]);
});

test('throws the error of the first item that fails, whichever fails first, and starts nothing more', async () => {
  const started: number[] = [];
  const ended: number[] = [];
  const run = mapLimited([30, 20, 1, 1, 1, 1], 3, async (ms, index) => {
    started.push(index);
    await pause(ms);
    ended.push(index);
    if (index === 1 || index === 2) throw new Error(`item ${index}`);
  });
  await expect(run).rejects.toThrow('item 1');
  expect(started).toEqual([0, 1, 2]);
  expect(ended.sort()).toEqual([0, 1, 2]);
});

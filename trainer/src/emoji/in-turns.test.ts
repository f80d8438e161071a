import { expect, it } from 'vitest';
import { inTurns } from './in-turns.js';

const items = Array.from({ length: 20 }, (_, i) => i);
const later = () => new Promise<void>((resolve) => setImmediate(resolve));

it('works on every item once', async () => {
  const done: number[] = [];
  await inTurns(items, undefined, async (item) => {
    await later();
    done.push(item);
  });
  expect(done.sort((a, b) => a - b)).toEqual(items);
});

it('begins nothing after a failure, and rejects when nothing runs any more', async () => {
  let running = 0;
  const begun: number[] = [];
  const work = inTurns(items, undefined, async (item) => {
    begun.push(item);
    running++;
    for (let i = 0; i <= item; i++) await later();
    running--;
    if (item === 1) throw new Error('of item 1');
  });
  await expect(work).rejects.toThrow('of item 1');
  expect(running).toBe(0);
  expect(begun.length).toBeLessThan(8);
});

it('begins nothing after an abort', async () => {
  const controller = new AbortController();
  const begun: number[] = [];
  const work = inTurns(items, controller.signal, async (item) => {
    begun.push(item);
    if (item === 2) controller.abort(new Error('ended'));
    await later();
  });
  await expect(work).rejects.toThrow('ended');
  expect(begun.length).toBeLessThan(8);
});

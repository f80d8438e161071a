import { expect, onTestFinished, test, vi } from 'vitest';
import { Batcher, FullError } from './batcher.js';

const never = new AbortController().signal;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

function recording(options: { maxBatch?: number; maxWaitMs?: number; maxWaiting?: number } = {}, ms = 5) {
  const batches: number[][] = [];
  const run = async (items: readonly number[]) => {
    batches.push([...items]);
    await pause(ms);
    return items.map((item) => item * 10);
  };
  const batcher = new Batcher(run, { maxBatch: 4, maxWaitMs: 0, maxWaiting: 1000, ...options });
  return { batches, submit: (item: number, weight = 1, signal = never) => batcher.submit(item, weight, signal) };
}

test('runs what comes at once together, and what comes meanwhile next; each caller gets its own result', async () => {
  const { batches, submit } = recording();
  const first = [1, 2].map((item) => submit(item));
  await pause(1);
  const second = [3, 4, 5, 6, 7].map((item) => submit(item));
  expect(await Promise.all([...first, ...second])).toEqual([10, 20, 30, 40, 50, 60, 70]);
  expect(batches).toEqual([[1, 2], [3, 4, 5, 6], [7]]);
});

test('waits for others as long as it was told, and no longer once a batch is full', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const { batches, submit } = recording({ maxWaitMs: 40 });
  const early = submit(1);
  await vi.advanceTimersByTimeAsync(10);
  const late = submit(2);
  await vi.advanceTimersByTimeAsync(29);
  expect(batches).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(batches).toEqual([[1, 2]]);
  await vi.runAllTimersAsync();
  await Promise.all([early, late]);
  // No time passes until a full batch is run.
  const full = [3, 4, 5, 6].map((item) => submit(item));
  expect(batches).toEqual([
    [1, 2],
    [3, 4, 5, 6],
  ]);
  await vi.runAllTimersAsync();
  await Promise.all(full);
});

test('counts weights, and runs what is heavier than a batch by itself', async () => {
  const { batches, submit } = recording();
  await Promise.all([submit(1, 3), submit(2, 2), submit(3, 9), submit(4, 1)]);
  expect(batches).toEqual([[2], [4, 1], [3]]);
});

test('leaves out whoever went away, and refuses what would wait in too long a queue', async () => {
  const { batches, submit } = recording({ maxWaiting: 3 });
  const running = submit(0, 4);
  const controller = new AbortController();
  const gone = submit(1, 1, controller.signal);
  const waiting = submit(2, 2);
  expect(() => submit(3, 1)).toThrow(FullError);
  expect(() => submit(3, 1)).toThrow(/expected at most \d+ images that wait, got \d+/);
  controller.abort(new Error('gone'));
  await expect(gone).rejects.toThrow('gone');
  await Promise.all([running, waiting]);
  expect(batches).toEqual([[0], [2]]);
  expect(await submit(4)).toBe(40);
});

test('fails everyone of a batch that fails, and goes on', async () => {
  let failing = true;
  const run = async (items: readonly number[]) => {
    if (failing) throw new Error('broken');
    return items;
  };
  const batcher = new Batcher(run, { maxBatch: 4, maxWaitMs: 0, maxWaiting: 10 });
  const both = await Promise.allSettled([batcher.submit(1, 1, never), batcher.submit(2, 1, never)]);
  expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  failing = false;
  expect(await batcher.submit(3, 1, never)).toBe(3);
});

test('one image does not wait for long lists of others, and these do not wait for ever', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const quick = recording({ maxBatch: 32 });
  const all = [quick.submit(1, 32), quick.submit(2, 32), quick.submit(3, 32), quick.submit(4, 1), quick.submit(5, 2)];
  await vi.runAllTimersAsync();
  await Promise.all(all);
  expect(quick.batches).toEqual([[1], [4, 5], [2], [3]]);
  const slow = recording({ maxBatch: 32 }, 600);
  const some = [slow.submit(1, 32), slow.submit(2, 32)];
  await vi.advanceTimersByTimeAsync(599);
  some.push(slow.submit(3, 1));
  await vi.runAllTimersAsync();
  await Promise.all(some);
  expect(slow.batches).toEqual([[1], [2], [3]]);
});

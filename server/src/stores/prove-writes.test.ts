import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { StoreFullError, StoreUnavailableError } from './contract.js';
import { proveWrites } from './prove-writes.js';

beforeEach(() => vi.useFakeTimers({ toFake: ['performance'] }));
afterEach(() => vi.useRealTimers());

const full = new StoreUnavailableError('the disk is full');

test('whoever asks, it is tried once a second at most', async () => {
  const attempt = vi.fn(async () => undefined);
  const prove = proveWrites(attempt);
  for (let i = 0; i < 5; i++) await Promise.all(Array.from({ length: 10 }, () => prove.check()));
  expect(attempt).toHaveBeenCalledTimes(1);
  vi.advanceTimersByTime(1001);
  await prove.check();
  expect(attempt).toHaveBeenCalledTimes(2);
});

test('an attempt that takes long is not joined by another', async () => {
  let finish = () => {};
  const attempt = vi.fn(() => new Promise<void>((resolve) => (finish = resolve)));
  const prove = proveWrites(attempt);
  const first = prove.check();
  vi.advanceTimersByTime(60_000);
  const second = prove.check();
  finish();
  await Promise.all([first, second]);
  expect(attempt).toHaveBeenCalledTimes(1);
});

test('after a refused write, one as large must be possible', async () => {
  let room = 100;
  const attempt = vi.fn(async (bytes: number) => {
    if (bytes > room) throw full;
  });
  const prove = proveWrites(attempt);
  await prove.check();
  await expect(prove.watch(300, () => Promise.reject(full))).rejects.toBe(full);
  await expect(prove.watch(200, () => Promise.reject(full))).rejects.toBe(full);
  // At once, though another was tried a moment ago.
  await expect(prove.check()).rejects.toBe(full);
  room = 299;
  vi.advanceTimersByTime(1001);
  await expect(prove.check()).rejects.toBe(full);
  room = 300;
  vi.advanceTimersByTime(1001);
  await prove.check();
  expect(attempt).toHaveBeenLastCalledWith(300);
  vi.advanceTimersByTime(1001);
  await prove.check();
  expect(attempt).toHaveBeenLastCalledWith(0);
});

test('a refusal that is not of the store says nothing of it', async () => {
  const attempt = vi.fn(async () => undefined);
  const prove = proveWrites(attempt);
  const error = new StoreFullError(5, 3);
  await expect(prove.watch(5, () => Promise.reject(error))).rejects.toBe(error);
  expect(await prove.watch(5, async () => 'kept')).toBe('kept');
  await prove.check();
  expect(attempt).toHaveBeenCalledWith(0);
});

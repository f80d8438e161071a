import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Records } from './records.js';

const before = process.env['TMPDIR'];
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-records-'));
  process.env['TMPDIR'] = folder;
});
afterEach(async () => {
  if (before === undefined) delete process.env['TMPDIR'];
  else process.env['TMPDIR'] = before;
  await rm(folder, { recursive: true, force: true });
});

const record = (number: number) => Uint8Array.from({ length: 8 }, (_, i) => number * 8 + i);

it('keeps records in memory while that lasts, then in a file that goes with them', async () => {
  const memory = { left: 20 };
  const [one, other] = [new Records(8, memory), new Records(8, memory)];
  const shared = new Uint8Array(8);
  for (const number of [0, 1, 2, 3]) {
    shared.set(record(number));
    await one.put(number, shared);
  }
  await other.put(5, record(5));
  expect(memory.left).toBe(4);
  for (const number of [3, 0, 2, 1]) expect(await one.get(number)).toEqual(record(number));
  expect(await other.get(5)).toEqual(record(5));
  await one.close();
  await other.close();
  expect(await readdir(folder)).toEqual([]);
});

it('says where there is no room', async () => {
  await rm(folder, { recursive: true });
  await expect(new Records(8, { left: 0 }).put(0, record(0))).rejects.toThrow(
    `${folder}: expected room for what the images are encoded to, got ENOENT`,
  );
});

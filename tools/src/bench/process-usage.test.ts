import { expect, test } from 'vitest';
import { processUsage, usageOf } from './process-usage.js';

test('times and memory are read, whatever the program is called', () => {
  const stat = '7 (a) b (c) S 1 7 7 0 -1 4194304 9 0 0 0 123 45 6 7 20 0 11 0 99 1 2';
  expect(usageOf(stat, 'Name:\ta\nVmHWM:\t  30 kB\nVmRSS:\t  20 kB\n')).toEqual({ seconds: 1.68, bytes: 20 * 1024 });
});

test.skipIf(process.platform !== 'linux')('a process knows of itself what Linux says of it', async () => {
  const before = process.cpuUsage();
  const { seconds, bytes } = await processUsage(process.pid);
  const after = process.cpuUsage();
  // In hundredths of a second, user and system each.
  expect(seconds).toBeGreaterThan((before.user + before.system) / 1e6 - 0.03);
  expect(seconds).toBeLessThan((after.user + after.system) / 1e6 + 0.03);
  expect(bytes).toBeGreaterThan(2 ** 20);
});

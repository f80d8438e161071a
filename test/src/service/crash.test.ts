import { crash } from '@whet/tools/crash/crash';
import { expect, test } from 'vitest';

test('5 kills at random moments lose no acknowledged profile and leave none half-written', async () => {
  const report = await crash(5, 1, () => undefined);
  expect(report.acknowledged).toBeGreaterThanOrEqual(10);
  expect(report.compared).toBeGreaterThanOrEqual(9);
});

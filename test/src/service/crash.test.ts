import { crash } from '@whet/tools/crash/crash';
import { expect, test } from 'vitest';

test('10 kills at random moments lose no acknowledged profile and leave none half-written', async () => {
  const report = await crash(10, 1, () => undefined);
  expect(report.acknowledged).toBeGreaterThan(20);
  expect(report.compared).toBeGreaterThan(20);
});

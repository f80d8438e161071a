import { crash } from '@whet/tools/crash/crash';
import { expect, test } from 'vitest';

test('6 kills at random moments lose no acknowledged profile and leave none half-written', async () => {
  const report = await crash(6, 1, () => undefined);
  expect(report.acknowledged).toBeGreaterThan(10);
  expect(report.compared).toBeGreaterThan(10);
});

import { attackStores } from '@whet/tools/attack/stores';
import { writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import { expect, test } from 'vitest';

test('a service with many profiles that expire answers whoever asks how it is, and counts what is left', {
  timeout: 120_000,
}, async () => {
  const bundle = await writeTinyBundle();
  const figures = await attackStores({ bundle, profiles: 1500, milliseconds: 600, clients: 4 });
  expect(figures.map(({ what, failed }) => [what, failed])).toEqual([
    ['alone', 0],
    ['asked', 0],
    ['swept and asked', 0],
  ]);
  expect(figures[1]?.asked).toBeGreaterThan(0);
  // Three of the other client's own, and of those that expired at most what a count leaves out.
  expect(figures[1]?.kept).toBe(1503);
  expect(figures[2]?.kept).toBeLessThan(502);
});

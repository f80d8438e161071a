import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { attackFor, unexpected } from '@whet/tools/attack/attack';
import { attacks } from '@whet/tools/attack/attacks';
import { watch } from '@whet/tools/attack/measure';
import { type RunningTarget, startTarget } from '@whet/tools/attack/target';
import { writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import { afterAll, beforeAll, expect, test } from 'vitest';

// Each attack for a moment; `npm run attack` says what another client sees meanwhile.

const MOMENT_MS = 80;
/** What docs/bench/attacks.md promises. */
const MAX_BYTES = 600e6;

let directory: string;
const targets = new Map<string, RunningTarget>();
beforeAll(async () => {
  directory = await writeTinyBundle();
  for (const auth of ['off', 'keys'] as const) {
    targets.set(auth, await startTarget({ bundle: directory, auth, args: ['--threads', '1'] }));
  }
});
afterAll(async () => {
  for (const target of targets.values()) await target.close();
  await rm(dirname(directory), { recursive: true, force: true });
});

test.each(attacks.map((attack) => [attack.name, attack] as const))('%s', async (_name, attack) => {
  const target = targets.get(attack.auth ?? 'off') as RunningTarget;
  const [got, { failures }] = await Promise.all([attackFor(attack, target, MOMENT_MS), watch(target, MOMENT_MS)]);
  expect(unexpected(attack, got)).toEqual([]);
  expect(failures).toEqual([]);
  expect(target.exit()).toBeUndefined();
  expect(await target.peakBytes()).toBeLessThan(MAX_BYTES);
});

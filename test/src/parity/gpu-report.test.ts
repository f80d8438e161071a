import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { program } from '../programs.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const report = program('tools/src/gpu/run.ts');

it('the report of a packed folder says what computes correctly, and how many tasks a second', () => {
  const small = [
    '--backend',
    'ort-cpu',
    '--channels',
    '4',
    '--shots',
    '1',
    '--tasks',
    '2',
    '--tasks',
    '3',
    '--rounds',
    '1',
  ];
  const { stdout, stderr, status } = spawnSync(process.execPath, [...report, '--root', root, ...small], {
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  expect(stdout).toMatch(/^\| ort-cpu \| CPU \(.*\) \| [\d.]+ ms \| \de-\d \|$/m);
  expect(stdout).toMatch(/^\| backend \| 2 tasks \| 3 tasks \|$/m);
  expect(stdout).toMatch(/^\| ort-cpu, 2 threads \| [\d.]+ \(1\.0x\) \| {2}\|$/m);
  // Drawings travel with the pack only.
  expect(stdout).not.toContain('A real run');
});

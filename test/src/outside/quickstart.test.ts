import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { program } from '../programs.js';

const quickstart = program('tools/src/demo/quickstart.ts');

/** Cells of the table's rows. */
function rowsOf(out: string): string[][] {
  return out
    .split('\n')
    .filter((line) => line.startsWith('│') && !line.includes('pattern'))
    .map((line) =>
      line
        .split('│')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

it('the quickstart learns things and characters it never saw, and the head as well as all that may move', {
  timeout: 240_000,
}, async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [...quickstart, '--queries', '10', '--repeats', '0']);
  const rows = rowsOf(stdout).map(([of, shots, pattern, , adapted, , , speedUp]) => ({
    ...{ of, shots, pattern },
    adapted: Number.parseFloat(adapted ?? ''),
    speedUp: Number.parseFloat(speedUp ?? ''),
  }));
  for (const [of, dense] of [
    ['things', 'dense'],
    ['characters', 'full'],
  ]) {
    for (const shots of ['1', '5']) {
      const own = rows.filter((row) => row.of === of && row.shots === shots);
      const most = own.find(({ pattern }) => pattern === dense);
      expect(most?.adapted).toBeGreaterThan(40);
      const head = own.find(({ pattern }) => pattern === 'head');
      expect(head?.adapted).toBeGreaterThanOrEqual((most?.adapted ?? Number.NaN) - 20);
      expect(own.some(({ pattern }) => pattern?.startsWith('auto: '))).toBe(true);
      for (const { speedUp } of own) expect(speedUp).toBeGreaterThan(0);
    }
  }
});

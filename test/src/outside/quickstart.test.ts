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

it('the quickstart learns characters it never saw, and cached patterns as well as all weights', {
  timeout: 180_000,
}, async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [...quickstart, '--queries', '10', '--repeats', '1']);
  const rows = rowsOf(stdout).map(([pattern, shots, guessing, , adapted, , , speedUp]) => ({
    pattern,
    shots,
    guessing: Number.parseFloat(guessing ?? ''),
    adapted: Number.parseFloat(adapted ?? ''),
    speedUp: Number.parseFloat(speedUp ?? ''),
  }));
  for (const shots of ['1', '5']) {
    const own = rows.filter((row) => row.shots === shots);
    const full = own.find(({ pattern }) => pattern === 'full');
    expect(full?.adapted).toBeGreaterThan(2 * (full?.guessing ?? Number.NaN));
    const head = own.find(({ pattern }) => pattern === 'head');
    expect(head?.adapted).toBeGreaterThanOrEqual((full?.adapted ?? Number.NaN) - 1);
    for (const { speedUp } of own) expect(speedUp).toBeGreaterThan(0);
  }
});

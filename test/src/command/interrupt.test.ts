import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { program } from '../programs.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-interrupt-'));
});
afterAll(() => rm(folder, { recursive: true }));

const url = (path: string) => JSON.stringify(pathToFileURL(path).href);
const [interrupt] = program('cli/src/interrupt.ts') as [string];
const writeFileAtomic = createRequire(interrupt).resolve('write-file-atomic');

/** What a process that is told so often to end, while it writes files, ends with, and what it says then. */
async function told(times: number): Promise<{ ended: number | NodeJS.Signals | null; out: string }> {
  const code = `
    import { interruptible } from ${url(interrupt)};
    import writeFileAtomic from ${url(writeFileAtomic)};
    const { signal, stop } = interruptible();
    signal.addEventListener('abort', () => ${times > 1} && process.kill(process.pid, 'SIGINT'));
    const writes = Array.from({ length: 50 }, (_, i) => writeFileAtomic(String(i), 'x'));
    process.kill(process.pid, 'SIGINT');
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    await Promise.all(writes);
    stop();
    if (${times === 1}) console.log('kept');
    else setInterval(() => {}, 1000);
  `;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', code], { cwd: folder });
  let out = '';
  child.stdout.on('data', (text) => {
    out += text;
  });
  const ended = await new Promise<number | NodeJS.Signals | null>((resolve) =>
    child.on('close', (code, signal) => resolve(code ?? signal)),
  );
  return { ended, out };
}

it('a command that is told once to end writes what it has, also where that is in the middle of a write', async () => {
  expect(await told(1)).toEqual({ ended: 0, out: 'kept\n' });
});

it('a command that is told twice ends', async () => {
  expect(await told(2)).toEqual({ ended: 'SIGINT', out: '' });
});

import { execFile, spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { readDocument } from '@whet/site/documents';
import { thingsDirectory } from '@whet/tools/demo/demo-images';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { runWhet } from '../command/whet-process.js';
import { mobile, networkOf } from '../compile/block-networks.js';
import { lacking } from '../needs.js';
import { type ServeProcess, startServe } from '../service/whet-serve.js';
import { commandsOf } from './shell.js';

const hasCurl = spawnSync('curl', ['--version'], { stdio: 'ignore' }).status === 0;
let folder: string;
let server: ServeProcess | undefined;

/** What a reader has: pictures of four things in folders, of one more, and some files. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-recipes-'));
  vi.stubEnv('WHET_STORE', join(folder, 'store'));
  const copy = async (from: string, to: string) => {
    await mkdir(join(folder, to, '..'), { recursive: true });
    await cp(join(thingsDirectory, `${from}.webp`), join(folder, to));
  };
  for (const thing of ['pear', 'crown', 'bank', 'scissors']) {
    for (const style of ['noto-v1', 'fluent-emoji', 'fluent-emoji-flat']) {
      for (const n of [1, 2, 3]) await copy(`${thing}/${style}-${n}`, `PICTURES/${thing}/${style}-${n}.webp`);
    }
  }
  await copy('mobile-phone/noto-v1-1', 'MORE/mobile-phone/1.webp');
  for (const name of ['one', 'two', 'picture', 'pear', 'other']) await copy('pear/noto-v1-5', `${name}.jpg`);
  await copy('crown/noto-v1-5', 'crown.jpg');
  await writeFile(join(folder, 'model.onnx'), networkOf(mobile, false, 3));
});
afterAll(async () => {
  vi.unstubAllEnvs();
  server?.kill('SIGTERM');
  await server?.ended;
  await rm(folder, { recursive: true });
});

/** What the reader writes in place of `KEY` and `ID`. */
const told: Record<string, string> = {};

const written = (word: string): string =>
  word
    .replace('http://127.0.0.1:8080', server?.url ?? '')
    .replace(/KEY$/, told['KEY'] ?? 'KEY')
    .replace(/(?<==|\/)ID(?=$|\/)/, told['ID'] ?? 'ID');

/** Runs a command of a recipe; returns what it prints. Throws where it fails. */
async function follow(words: readonly string[]): Promise<string> {
  const [program, ...rest] = words;
  if (program === 'curl') return (await promisify(execFile)('curl', rest.map(written), { cwd: folder })).stdout;
  const [command = '', ...given] = words.slice(words.indexOf('--') + 1);
  if (command === 'serve') {
    server = await startServe(given.filter((word) => !/^(--port|8080)$/.test(word)));
    return '';
  }
  const fewer = command === 'evaluate' ? ['--tasks', '2'] : [];
  const { code, out, err } = await runWhet(folder, [command, ...given, ...fewer]);
  if (code !== 0) throw new Error(`${words.join(' ')}: ${err}`);
  return out;
}

it.skipIf(!hasCurl)(`the recipes run, one after the other${lacking({ curl: hasCurl })}`, async () => {
  const blocks = readDocument('docs/recipes.md').blocks.filter(({ language }) => language === 'sh');
  // Python's is run with the examples.
  const commands = blocks.flatMap(({ text }) => commandsOf(text)).filter(([program]) => program !== 'python');
  expect(commands.length).toBeGreaterThan(12);
  for (const words of commands) {
    const out = await follow(words);
    const name = words.join(' ');
    told['KEY'] ??= /^whet_\S+$/m.exec(out)?.[0] as string;
    if (words[0] === 'curl' && !name.includes('-o ')) {
      const answer = JSON.parse(out);
      if (name.includes('/adapt')) told['ID'] = answer.profile;
      else expect(answer.label, name).toBe('pear');
    }
    if (name.includes('predict') && words[0] === 'npm') expect(out, name).toContain('pear');
  }
});

import { spawn } from 'node:child_process';
import { access, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { tinyCheckpoint, writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import { partOfBundle } from '@whet/tools/page/part-of-bundle';
import { readBench } from '@whet/trainer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whetMain } from '../programs.js';
import { writeSyntheticOmniglot } from './synthetic-omniglot.js';
import { inFolder, runWhet, startWhet } from './whet-process.js';

/** Of each bundle. */
const PATTERNS = ['head', 'full'];

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-cli-bench-'));
  await writeSyntheticOmniglot(join(folder, 'data'), { train: 2, val: 2, test: 4 });
  const [one, other] = [await writeTinyBundle(), await writeTinyBundle(tinyCheckpoint('shared'))];
  await rename(await partOfBundle(one, PATTERNS), join(folder, 'one'));
  await rename(await partOfBundle(other, PATTERNS), join(folder, 'other'));
  for (const whole of [one, other]) await rm(whole, { recursive: true });
  await mkdir(join(folder, 'broken'));
  await writeFile(join(folder, 'broken', 'manifest.json'), '{}');
});
afterAll(() => rm(folder, { recursive: true }));

const whet = (...args: string[]) => runWhet(folder, args);

const small = ['--ways', '2', '--steps', '1', '--threads', '1'];
const text = (name: string) => readFile(join(folder, name), 'utf8');

describe('whet bench', () => {
  it('measures bundles on both runtimes, with accuracies and memory', async () => {
    const data = ['--data', 'data', '--tasks', '2', '--queries', '2'];
    // In a process of its own, for those that it starts to measure memory run what was built too.
    const { code, out, err } = await startWhet(folder, [
      ...['bench', 'one', '--runs', '2', '--shots', '1', '--backend', 'node', 'wasm', '--memory', ...data, ...small],
      ...['--json', 'all.json', '--markdown', 'all.md', '--html', 'all.html'],
    ]);
    expect(err).not.toContain('not measured');
    expect(code).toBe(0);
    for (const head of ['backend', 'peak memory', 'accuracy', 'adapt / floor', 'speed-up']) expect(out).toContain(head);
    const { results, machine, backends, bundles, options, interrupted } = await readBench(join(folder, 'all.json'));
    expect(results).toHaveLength(2 * PATTERNS.length);
    for (const { floor, peakBytes, accuracy, runs, speedUp } of results) {
      expect(runs).toBe(2);
      expect(floor?.median).toBeGreaterThan(0);
      expect(peakBytes).toBeGreaterThanOrEqual(0);
      expect(accuracy).toMatchObject({ dataset: 'omniglot', split: 'test', tasks: 2, from: 'data' });
      expect(speedUp).toBeGreaterThan(0);
    }
    expect(machine.node).toBe(process.versions.node);
    expect(backends.map(({ version }) => version)).toEqual([
      expect.stringMatching(/^onnxruntime-node \d/),
      expect.stringMatching(/^onnxruntime-web \d/),
    ]);
    expect(bundles).toEqual([{ label: 'tiny', name: 'tiny', version: '0.0.1', digest: expect.any(String) }]);
    expect(options).toEqual({ ways: 2, shots: [1], steps: 1, runs: 2, threads: 1, tasks: 2 });
    expect(interrupted).toBe(false);
    expect(await text('all.md')).toMatch(/^# Bench\n[\s\S]*\| head \| wasm \| 2-way 1-shot \|/);
    expect(await text('all.html')).toContain('Bench of tiny');
  });

  it('compares two files, and says at the top what else differs', async () => {
    for (const [bundle, file] of [
      ['one', 'a.json'],
      ['other', 'b.json'],
    ] as const) {
      const benched = await whet('bench', bundle, '--runs', '1', '--shots', '1', '--json', file, ...small);
      expect(benched.code).toBe(0);
    }
    const same = await whet('bench', '--compare', 'a.json', 'a.json');
    expect(same).toMatchObject({ code: 0, out: expect.not.stringContaining('NOT LIKE WITH LIKE') });
    expect(same.out).toMatch(/head .* 1\.00 .* too few runs/);
    const { out } = await whet('bench', '--compare', 'a.json', 'b.json');
    expect(out).toMatch(/^NOT LIKE WITH LIKE:\n- bundle tiny: 0\.0\.1 \(\w{8}\) before, 0\.0\.1 \(\w{8}\) after\n/);
    expect((await whet('bench', '--compare', 'a.json')).err).toMatch(/expected two files of .*, got 1/);
    const others = JSON.parse(await readFile(join(folder, 'b.json'), 'utf8'));
    for (const result of others.results) result.bundle = 'another';
    await writeFile(join(folder, 'c.json'), JSON.stringify(others));
    expect((await whet('bench', '--compare', 'a.json', 'c.json')).err).toContain(
      '--compare: a.json and c.json have no bundle, backend, pattern, task and steps in common',
    );
    const wrong = await whet('bench', '--compare', 'a.json', join('one', 'manifest.json'));
    expect(wrong).toMatchObject({ code: 1 });
    expect(wrong.err).toMatch(/manifest\.json: expected a bench file \(whet-bench\/1\): schema/);
  });

  it('says what does not load or has too few images, and measures the rest', async () => {
    const args = [
      'bench',
      'one',
      'broken',
      'other',
      './one',
      '--runs',
      '1',
      '--shots',
      '1',
      '30',
      '--no-floor',
      ...small,
    ];
    const { code, out, err } = await whet(...args, '--data', 'data', '--tasks', '1', '--json', 'rest.json');
    expect(code).toBe(1);
    expect(err).toMatch(/not measured: broken on node: .*manifest\.json: schema version: expected/);
    expect(err).toMatch(/not measured: accuracy of tiny 0\.0\.1 \w{8}, 2-way 30-shot: .*expected/);
    expect(out).toMatch(/tiny 0\.0\.1 \w{8}/);
    const { results, problems } = await readBench(join(folder, 'rest.json'));
    expect(results).toHaveLength(2 * 2 * PATTERNS.length);
    expect(results.every(({ accuracy, shots }) => (accuracy === null) === (shots === 30))).toBe(true);
    expect(problems).toHaveLength(4);
    expect(problems).toContain('./one on node: is the same bundle as one');
  });

  it('keeps what it measured when it is interrupted', async () => {
    const args = ['bench', 'one', '--runs', '3000', '--shots', '1', ...small, '--json', 'part.json'];
    const code = await new Promise<number | null>((resolve) => {
      const child = spawn(process.execPath, [...whetMain, ...args], inFolder(folder));
      // Off a terminal, progress is a line for the first, and one every tenth of the way.
      child.stderr.on('data', (said) => /^bench .*: \d\d+\//m.test(String(said)) && child.kill('SIGINT'));
      child.on('exit', resolve);
    });
    expect(code).toBe(0);
    const { results, interrupted } = await readBench(join(folder, 'part.json'));
    expect(interrupted).toBe(true);
    expect(results).toHaveLength(PATTERNS.length);
  });

  it('says what to install where a runtime is missing, and measures on the others', async () => {
    const hooks = `export async function resolve(name, context, next) {
      if (!name.startsWith('onnxruntime-web')) return next(name, context);
      throw Object.assign(new Error(\`Cannot find package '\${name}'\`), { code: 'ERR_MODULE_NOT_FOUND' });
    }`;
    await writeFile(join(folder, 'hooks.mjs'), hooks);
    const register = `import { register } from 'node:module'; register(${JSON.stringify(pathToFileURL(join(folder, 'hooks.mjs')))});`;
    await writeFile(join(folder, 'hide.mjs'), register);
    const args = ['bench', 'one', '--backend', 'wasm', 'node', '--runs', '1', '--shots', '1', ...small];
    const { code, out, err } = await startWhet(folder, args, ['--import', join(folder, 'hide.mjs')]);
    expect(code).toBe(1);
    expect(err).toContain('backend "wasm" cannot be used: onnxruntime-web is not installed; run `npm install');
    expect(out).toContain('head');
  });

  it('measures nothing where no bundle loads', async () => {
    const { code, err } = await whet('bench', 'broken', 'nowhere', '--json', 'none.json');
    expect(code).toBe(1);
    expect(err).toMatch(/nowhere on node: .*cannot be read[\s\S]*nothing was measured/);
    await access(join(folder, 'none.json'));
    const unwritable = await whet('bench', 'one', '--html', 'missing/bench.html');
    expect(unwritable).toMatchObject({ code: 1, out: '' });
    expect(unwritable.err).toMatch(/missing\/bench\.html: expected a folder that can be written to, got ENOENT/);
  });
});

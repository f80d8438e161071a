import { spawn } from 'node:child_process';
import { access, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
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

  it('sets results of other engines beside its own, with ratios where machine and losses are the same', async () => {
    const timed = ['bench', 'one', '--runs', '1', '--shots', '1', '--no-floor', ...small];
    expect((await whet(...timed, '--json', 'own.json')).code).toBe(0);
    const { machine, results: own } = await readBench(join(folder, 'own.json'));
    const at = { cpu: machine.cpu, cores: machine.cores, threads: 1 };
    const taken = own.map(({ pattern, ways, shots, steps, losses }) => {
      const task = { network: 'tiny', pattern, ways, shots, steps };
      return { ...task, losses: losses as number[], milliseconds: [4, 2, 8], processor: [10, 20, 30] };
    });
    const write = (name: string, more: object) => {
      const record = { schema: 'whet-peer/1', engine: name, version: '1', machine: at, results: taken, ...more };
      return writeFile(join(folder, `${name}.json`), JSON.stringify(record));
    };
    await write('same', {});
    await write('away', { machine: { ...at, cpu: 'Abacus', threads: 3 } });
    const [first, ...others] = taken as [(typeof taken)[number], ...typeof taken];
    await write('wrong', { results: [{ ...first, losses: first.losses.map((loss) => 1.001 * loss) }] });
    await write('further', { results: [...others, { ...first, ways: 7 }] });
    const peers = ['same', 'away', 'wrong', 'further'].flatMap((name) => ['--peer', `${name}.json`]);
    const { code, out } = await whet(...timed, ...peers, '--markdown', 'beside.md');
    expect(code).toBe(0);
    const [head, , ...rows] = (await text('beside.md')).split('\n').filter((line) => line.startsWith('|'));
    expect(head).toMatch(/\| Whet \| same 1 \| away 1 \| wrong 1 \| further 1 \|$/);
    const times = String.raw`4\.0 \(20\.0\)`;
    const ratios = String.raw`${times}: \d+\.\d\d \(\d+\.\d\d\)`;
    const wrong = String.raw`${times}: other losses, after 0 steps \d\S+, not \d\S+`;
    expect(rows[0]).toMatch(new RegExp(`${ratios} \\| ${times}: another machine \\| ${wrong} \\| - \\|$`));
    expect(rows[1]).toMatch(new RegExp(`${ratios} \\| ${times}: another machine \\| - \\| ${ratios} \\|$`));
    expect(out).toContain(
      `away 1 is of another machine (processor: ${machine.cpu} here, Abacus there; threads: 1 here, 3 there).`,
    );
    expect(out).toContain(`further 1: not timed here: tiny ${first.pattern}, 7-way 1-shot, 1 steps.`);
  });

  it('refuses files of other engines by path and field', async () => {
    const result = { network: 'a', pattern: 'b', ways: 2, shots: 1, steps: 2, losses: [3, 2, 1] };
    const whole = { ...result, milliseconds: [1], processor: [1] };
    const machine = { cpu: 'Abacus', cores: 2, threads: 1 };
    const good = { schema: 'whet-peer/1', engine: 'beads', version: '1', machine, results: [whole] };
    const wrong = [
      [{ schema: 'whet-bench/1' }, 'schema: '],
      [{ machine: { cpu: 'Abacus', cores: 2 } }, 'machine.threads: '],
      [{ results: [] }, 'results: '],
      [
        { results: [{ ...whole, losses: [1] }] },
        'results.0.losses: expected 3 numbers, one before each step and one after the last, got 1',
      ],
      [
        { results: [{ ...whole, processor: [1, 2] }] },
        'results.0.processor: expected 1 numbers, as many as milliseconds, got 2',
      ],
      [{ results: [{ ...whole, milliseconds: [0] }] }, 'results.0.milliseconds.0: '],
      [{ engine: 'beads\nof glass' }, 'engine: expected a line of text'],
      [{ results: [whole, whole] }, 'results.1: expected each task once, got "a b, 2-way 1-shot, 2 steps" again'],
    ] as const;
    for (const [more, told] of wrong) {
      await writeFile(join(folder, 'bad.json'), JSON.stringify({ ...good, ...more }));
      const { code, err } = await whet('bench', 'one', '--peer', 'bad.json');
      expect(code).toBe(1);
      expect(err).toContain(`bad.json: expected a file of another engine (whet-peer/1): ${told}`);
    }
    await writeFile(join(folder, 'bad.json'), '{"losses": [NaN]}');
    expect((await whet('bench', 'one', '--peer', 'bad.json')).err).toContain(
      'bad.json: expected a file of another engine (whet-peer/1), got no JSON',
    );
    expect((await whet('bench', 'one', '--peer', 'none.json')).err).toContain('none.json: cannot be read: ENOENT');
  });

  it('writes what other engines need to take the same steps', async () => {
    const { code, out } = await whet('bench', 'one', '--peer-task', 'tasks', '--shots', '2', ...small);
    expect(code).toBe(0);
    expect(out.trim().split('\n').sort()).toEqual(['full', 'head'].map((name) => join('tasks', `tiny-${name}-2w2s-1`)));
    const files = ['encode.onnx', 'examples.safetensors', 'rest.onnx', 'task.json'];
    expect(await readdir(join(folder, 'tasks', 'tiny-head-2w2s-1'))).toEqual(files);
    expect(await readdir(join(folder, 'tasks', 'tiny-full-2w2s-1'))).toEqual(files.slice(1));
    await rename(await partOfBundle(await writeTinyBundle(), ['sparse']), join(folder, 'masked'));
    const refused = await whet('bench', 'masked', '--peer-task', 'none', ...small);
    expect(refused.code).toBe(1);
    expect(refused.err).toContain('not written: tiny sparse, 2-way 1-shot, 1 steps: expected plain gradient steps');
    expect(refused.err).toContain('none: expected a task that other engines can take, got none');
    const write = (...args: string[]) => whet('bench', 'one', '--peer-task', ...args);
    expect((await write('tasks')).err).toContain('--peer-task tasks: expected an empty folder, or none, got "tiny-');
    expect((await write('one/manifest.json')).err).toContain(
      '--peer-task one/manifest.json: expected an empty folder, or none: ENOTDIR',
    );
    expect((await write('none', '--ways', '1')).err).toContain('--ways 1: expected 2 or more');
    expect((await write('none', '--ways', '4000')).err).toMatch(
      /--ways 4000: expected at most \d+, as many classes as tiny takes/,
    );
    const other = await write('none', '--json', 'x.json');
    expect(other.err).toContain("option '--peer-task <dir>' cannot be used with option '--json <file>'");
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

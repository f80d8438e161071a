import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { loadBundle } from '@whet/runtime/node';
import { tinyCheckpoint } from '@whet/tools/bundles/tiny-bundle';
import { median, omniglotPreprocessing, type SearchRecord, saveCheckpoint } from '@whet/trainer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whetMain } from '../programs.js';
import { writeSyntheticOmniglot } from './synthetic-omniglot.js';
import { inFolder, runWhet } from './whet-process.js';

const PATTERNS = 7;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-cli-search-'));
  await writeSyntheticOmniglot(join(folder, 'data'), { train: 2, val: 6, test: 2 });
  const line = (step: number) => ({ step, loss: 1 / step, accuracy: 0.5, validation: { mean: 0.5, halfWidth: 0.1 } });
  for (const [run, overrides] of [
    ['sparse', {}],
    ['dense', { rule: 'maml', normalization: 'layer' }],
    ['fixed', { head: 'fixed' }],
    ['still', { innerSteps: 0 }],
    ['short', { innerSteps: 1 }],
    ['folders', { preprocessing: { ...omniglotPreprocessing(12), invert: false } }],
    ['seen', { trainOn: 'train+validation' }],
  ] as const) {
    await saveCheckpoint(join(folder, run, 'last.safetensors'), tinyCheckpoint('prototype', overrides));
    const frozen = run === 'sparse' ? { frozen: { block1: 0.5, block2: 0.5, head: 0.5 } } : {};
    const lines = [1, 2].map((step) => `${JSON.stringify({ ...line(step), ...frozen })}\n`);
    await writeFile(join(folder, run, 'metrics.jsonl'), lines.join(''));
  }
  await saveCheckpoint(join(folder, 'alone', 'last.safetensors'), tinyCheckpoint());
  const model = { architecture: 'conv4', channels: 2, blocks: 1, imageSize: 12, imageChannels: 3 };
  const colour = tinyCheckpoint('prototype', { model });
  await mkdir(join(folder, 'colour'));
  await saveCheckpoint(join(folder, 'colour', 'last.safetensors'), colour);
  await writeFile(join(folder, 'colour', 'metrics.jsonl'), `${JSON.stringify(line(1))}\n`);
});
afterAll(() => rm(folder, { recursive: true }));

const whet = (...args: string[]) => runWhet(folder, args);

const small = ['--data', 'data', '--ways', '3', '--queries', '2', '--threads', '1'];
const search = (out: string, tasks: number, ...more: string[]) => [
  'search',
  'sparse/last.safetensors',
  '--out',
  out,
  '--tasks',
  String(tasks),
  ...small,
  ...more,
];

const recordOf = async (out: string) =>
  JSON.parse(await readFile(join(folder, out, 'search.json'), 'utf8')) as SearchRecord;

describe('whet search', () => {
  it('measures every pattern, reports, and hands its choice to an export', async () => {
    const found = await whet(...search('found', 3));
    expect(found.code).toBe(0);
    expect(found.out).toContain('(chosen)');
    expect(found.out).toContain('7 patterns on 3 validation tasks, 3-way 1-shot, 3 steps, one image at a time');
    const { outcome, measured, settings } = await recordOf('found');
    expect(Object.keys(measured)).toHaveLength(PATTERNS);
    expect(outcome?.results).toHaveLength(PATTERNS);
    expect(settings.split).toBe('validation');
    const stopped = { ...(await recordOf('found')), outcome: null };
    await writeFile(join(folder, 'found', 'stopped.json'), JSON.stringify(stopped));
    const none = await whet('export', 'sparse/last.safetensors', '--out', 'none', '--search', 'found/stopped.json');
    expect(none.err).toContain('--search found/stopped.json: the search was stopped before it came to an outcome');
    const page = await readFile(join(folder, 'found', 'search.html'), 'utf8');
    expect(page).toContain('Which layers should move: sparse');

    const args = ['export', 'sparse/last.safetensors', '--out', 'bundle', '--patterns', 'head'];
    const exported = await whet(...args, '--pattern', 'low=block1', '--search', 'found/search.json');
    expect(exported.out).toContain('fast (default)');
    const bundle = await loadBundle(join(folder, 'bundle'));
    const { patterns, defaultPattern, provenance } = bundle.manifest;
    await bundle.release();
    expect(Object.keys(patterns)).toEqual(['head', 'low', 'fast']);
    expect(defaultPattern).toBe('fast');
    const chosen = outcome?.results.find(({ name }) => name === outcome.chosen);
    expect(patterns['fast']).toMatchObject({ layers: chosen?.layers, rate: chosen?.rate, steps: settings.steps });
    expect(patterns['low']?.layers).toEqual(['block1']);
    expect(provenance).toMatchObject({ search: { tasks: 3, chosen: { name: outcome?.chosen } } });
    const other = await whet('export', 'alone/last.safetensors', '--out', 'x', '--search', 'found/search.json');
    expect(other.code).toBe(0);
    const wrong = await whet('export', 'dense/last.safetensors', '--out', 'x', '--search', 'found/search.json');
    expect(wrong.err).toMatch(/found\/search\.json: is of another checkpoint: expected SHA-256/);
  });

  it('tries a few choices where that is asked for, whose outcome an export takes, and then the others', async () => {
    const few = await whet(...search('few', 2, '--limit', '2'));
    expect(few.code, few.err).toBe(0);
    expect(few.out).toContain('2 of 7 patterns on 2 validation tasks');
    expect(await readFile(join(folder, 'few', 'search.html'), 'utf8')).toContain('2 of 7 layer patterns');
    const { measured } = await recordOf('few');
    expect(Object.keys(measured)).toEqual(['block1+block2+head', 'block2+head']);
    const args = ['export', 'sparse/last.safetensors', '--out', 'few-bundle', '--search', 'few/search.json'];
    expect((await whet(...args)).out).toContain('fast (default)');
    expect((await whet(...search('few', 2))).out).toContain('7 patterns on 2 validation tasks');
    const gone = await recordOf('few');
    expect(gone.measured).toMatchObject(measured);
    expect(gone.outcome?.of).toBeUndefined();
  });

  it('splits what the chosen pattern saves, and says what a single step comes to where that is asked for', async () => {
    const one = await whet(...search('one', 2, '--limit', '3', '--one-step', '--budget', '100'));
    expect(one.code, one.err).toBe(0);
    expect(one.out).toMatch(/saved: moves less │ saved: caches │ speed-up │ +rate │ one step │ its adapt/);
    const { outcome, measured } = await recordOf('one');
    expect(outcome?.results).toHaveLength(3);
    for (const { oneStep, saved, name, layers } of outcome?.results ?? []) {
      const { adapt, rerun, oneStep: single } = measured[name] as NonNullable<(typeof measured)[string]>;
      // What nothing is frozen of has no frozen part that could run again.
      const caches = !layers.includes('block1');
      expect(rerun, name).toHaveLength(caches ? 2 : 0);
      expect(saved.caching, name).toBe(caches ? median(rerun) - median(adapt) : 0);
      const shares = single?.accuracies[0]?.tasks as number[];
      expect(shares, name).toHaveLength(2);
      expect(oneStep?.accuracy.mean, name).toBeCloseTo(((shares[0] as number) + (shares[1] as number)) / 2, 9);
    }
    const page = await readFile(join(folder, 'one', 'search.html'), 'utf8');
    expect(page).toContain('and one step in place of 3');
    expect(page).toContain('<h2>One step</h2>');
    const { chosen, dense } = outcome as NonNullable<typeof outcome>;
    // Which one is fastest is the machine's to say.
    expect(one.out.includes(`${chosen} adapts in `)).toBe(chosen !== dense);
    expect(/times as fast by moving less, [\d.]+ by caching\./.test(one.out)).toBe(chosen !== dense);
    const again = await whet(...search('one', 2, '--limit', '3'));
    expect(again.err).toContain('is of another search: oneStep: expected the default, got true');
    const none = await whet(...search('none', 2, '--steps', '1', '--one-step'));
    expect(none.err).toContain('--one-step: expected more steps than 1, got --steps 1');
    const short = await whet('search', 'short/last.safetensors', '--out', 'none', '--one-step', ...small);
    expect(short.err).toContain(
      'short/last.safetensors: was trained with 1 inner step; say with --steps what one step is to be set beside',
    );
  });

  it('keeps what it measured when it is interrupted, and goes on', async () => {
    const stopped = await new Promise<{ code: number | null; out: string }>((resolve) => {
      const child = spawn(process.execPath, [...whetMain, ...search('part', 2000)], inFolder(folder));
      let out = '';
      child.stdout.on('data', (text) => {
        out += text;
      });
      child.on('exit', (code) => resolve({ code, out }));
      // Once: a second signal ends it without more ado.
      const interrupt = async () => {
        const isWhole = async () => {
          const outcome = (await recordOf('part').catch(() => undefined))?.outcome;
          return outcome && outcome.of === undefined;
        };
        while (child.exitCode === null && !(await isWhole())) await pause(50);
        child.kill('SIGINT');
      };
      void interrupt();
    });
    expect(stopped.code).toBe(0);
    expect(stopped.out).toContain('(stopped; the same command goes on)');
    const before = await recordOf('part');
    expect(before.outcome?.tasks).toBeGreaterThanOrEqual(2);
    expect(await readFile(join(folder, 'part', 'search.html'), 'utf8')).toContain('the search was interrupted');
    // As many tasks as there are by now: nothing to measure, and the choice under another budget.
    const again = await whet(...search('part', 2, '--budget', '100', '--json'));
    const outcome = JSON.parse(again.out) as SearchRecord['outcome'];
    expect(outcome?.chosen).toBe(outcome?.results[0]?.name);
    expect((await recordOf('part')).measured).toEqual(before.measured);
    const more =
      Math.max(...Object.values(before.measured).map(({ accuracies }) => accuracies[0]?.tasks.length ?? 0)) + 1;
    expect((await whet(...search('part', more))).code).toBe(0);
    expect((await recordOf('part')).outcome?.tasks).toBe(more);
    const changed = await whet(...search('part', 2, '--rate', '0.5'));
    expect(changed.err).toMatch(/part\/search\.json is of another search: rates: expected \[0\.5\], got \[0\.002\]/);
  });
});

describe('whet report', () => {
  it.each([
    ['sparse', /<h2>Masks<\/h2>/],
    ['dense', /<td>the same<\/td>/],
    ['seen', /The run trains on these classes\./],
  ])('writes a page about the run "%s"', async (run, content) => {
    const written = await whet('report', run, '--data', 'data', '--tasks', '1', '--queries', '2', '--threads', '1');
    expect(written).toMatchObject({ code: 0, out: `${join(run, 'report.html')}\n` });
    const page = await readFile(join(folder, run, 'report.html'), 'utf8');
    expect(page).toMatch(content);
    expect(page.includes('Which weights move')).toBe(run !== 'dense');
    expect(page.includes('the run trains on their classes too')).toBe(run === 'seen');
    expect(page).toMatch(/5-way 5-shot<\/th><td>\d+\.\d\d %/);
    // Six classes only: that row says so, the others are there.
    expect(page).toMatch(/20-way 1-shot<\/th><td>[^<]*expected at least 20 classes for 20 ways, got 6/);
  });

  it.each<[string, string[], RegExp]>([
    ['a missing run', ['report', 'nowhere'], /nowhere: expected the folder of a run .*got no such folder/],
    ['a run without metrics', ['report', 'alone'], /alone\/metrics\.jsonl: expected the metrics of a run/],
    ['data that does not fit', ['report', 'colour'], /expected images of 12 x 12 x 3 .*got 12 x 12 x 1/],
    [
      'an export of it',
      ['export', 'colour/last.safetensors', '--out', 'x'],
      /colour\/last\.safetensors: expected a checkpoint that says how images are prepared \(preprocessing\), got none/,
    ],
    ['a search for it', ['search', 'colour/last.safetensors', '--out', 'x'], /expected images of 12 x 12 x 3/],
    ['a missing checkpoint', ['search', 'none.safetensors', '--out', 'x'], /checkpoint "none\.safetensors": ENOENT/],
    [
      'validation classes that were trained on',
      ['search', 'seen/last.safetensors', '--out', 'x'],
      /seen\/last\.safetensors: was trained on the validation classes/,
    ],
    [
      'no inner steps of training',
      ['search', 'still/last.safetensors', '--out', 'x'],
      /still\/last\.safetensors: was trained with 0 inner steps; say with --steps how many to search with/,
    ],
    [
      'to go on with data that is prepared otherwise',
      ['train', '--resume', '--run', 'folders', '--backend', 'ort-cpu'],
      /--data data: the run prepares images in another way than \S+ does/,
    ],
    ['a head of fixed ways', ['search', 'fixed/last.safetensors', '--out', 'x'], /a fixed head serves one number/],
    ['a budget that is none', ['search', 'x', '--out', 'x', '--budget', '-1'], /expected a number of 0 or more/],
    [
      'too few classes',
      ['search', 'sparse/last.safetensors', '--out', 'x', '--ways', '9'],
      /expected at least 9 classes for 9 ways, got 6/,
    ],
    [
      'an unknown layer',
      ['export', 'sparse/last.safetensors', '--out', 'x', '--pattern', 'a=block7'],
      /pattern "a": expected layers of block1, block2, head, got "block7"/,
    ],
    [
      'a pattern that is there already',
      ['export', 'sparse/last.safetensors', '--out', 'x', '--pattern', 'head=block2'],
      /there is a pattern "head" already/,
    ],
    [
      'a search that is not there',
      ['export', 'sparse/last.safetensors', '--out', 'x', '--search', 'none.json'],
      /--search none\.json: expected search\.json/,
    ],
    [
      'a default that is none of its patterns',
      ['export', 'sparse/last.safetensors', '--out', 'x', '--patterns', 'head', '--default', 'tail'],
      /--default: expected one of the patterns head, got "tail"/,
    ],
  ])('or search or export refuses %s in one clear line', async (_, args, message) => {
    const data = args[0] === 'export' ? [] : ['--data', 'data'];
    const { code, err } = await whet(...args, ...data);
    expect(code).toBe(1);
    expect(err).toMatch(message);
    expect(err).not.toMatch(/ at .*\.[jt]s:\d+/);
  });
});

import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readBench } from '@whet/trainer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whetProgram } from 'whet';
import { writeSyntheticOmniglot } from './synthetic-omniglot.js';
import { runWhet, startWhet } from './whet-process.js';

const demo = fileURLToPath(new URL('../../../models/demo/characters', import.meta.url));

let folder: string;
let data: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-cli-'));
  data = join(folder, 'data');
  await writeSyntheticOmniglot(data, { train: 3, val: 5, test: 3 });
  await writeFile(
    join(folder, 'narrow.json'),
    JSON.stringify({ model: { architecture: 'conv4', channels: 8 }, rule: 'sparse-maml' }),
  );
});
afterAll(() => rm(folder, { recursive: true }));

const whet = (...args: string[]) => runWhet(folder, args);

const small = ['--config', 'narrow.json', '--inner-steps', '2', '--ways', '3', '--tasks', '1'];

describe('whet', () => {
  it('says what it can do, and each command what it takes', async () => {
    const { out } = await whet('--help');
    const commands = [
      'data',
      'train',
      'report',
      'search',
      'evaluate',
      'export',
      'compile',
      'serve',
      'keys',
      'store',
      'migrate',
      'adapt',
      'freeze',
      'predict',
      'doctor',
      'bench',
      'page',
    ];
    for (const command of commands) {
      expect(out).toContain(command);
    }
    const { commands: parts } = await whetProgram('0.0.0');
    expect(parts.map((part) => part.name()).sort()).toEqual(commands.sort());
    for (const part of parts) expect(part.helpInformation()).toContain(`Usage: whet ${part.name()}`);
    const { commands: one } = await whetProgram('0.0.0', 'serve');
    expect(one.map((part) => part.name())).toEqual(['serve']);
    expect((await whetProgram('0.0.0', 'sreve')).commands).toHaveLength(commands.length);
    const help = await whet('train', '--help');
    expect(help.code).toBe(0);
    expect(help.out).toContain('Usage: whet train');
  });

  it('trains, resumes, exports, evaluates, adapts, predicts and benches', { timeout: 180_000 }, async () => {
    const onCpu = ['--backend', 'ort-cpu'];
    const trained = await whet('train', '--data', data, '--run', 'run', '--outer-steps', '2', ...onCpu, ...small);
    expect(trained.err).toContain('sparse-maml on ort-cpu, from step 0 of 2\ndevice: CPU (');
    expect(trained.code).toBe(0);
    const resumed = await whet('train', '--data', data, '--run', 'run', '--outer-steps', '4', '--resume', ...onCpu);
    expect(resumed.err).toContain('from step 2 of 4');
    expect(resumed.code).toBe(0);
    const lines = (await readFile(join(folder, 'run', 'metrics.jsonl'), 'utf8')).trim().split('\n');
    expect(lines.map((line) => JSON.parse(line).step)).toEqual([2, 4]);

    const exported = await whet(
      'export',
      'run/last.safetensors',
      '--out',
      'bundle',
      '--patterns',
      'full',
      'head',
      'sparse',
    );
    expect(exported).toMatchObject({ code: 0, out: expect.stringContaining('sparse (default)') });
    const exportedFiles = await readdir(join(folder, 'bundle'));
    expect(exportedFiles).toEqual(expect.arrayContaining(['manifest.json', 'sparse.step.onnx', 'weights.safetensors']));

    const tiny = ['--ways', '3', '--shots', '2', '--queries', '2', '--tasks', '3'];
    const evaluated = await whet(
      'evaluate',
      'bundle',
      '--data',
      data,
      '--pattern',
      'all',
      '--record',
      '--json',
      ...tiny,
    );
    expect(evaluated.code).toBe(0);
    const measured = JSON.parse(evaluated.out) as { pattern: string; accuracy: number; protocol: string }[];
    expect(measured.map(({ pattern }) => pattern)).toEqual(['full', 'head', 'sparse']);
    for (const { accuracy, protocol } of measured) {
      expect(accuracy).toBeGreaterThanOrEqual(0);
      expect(accuracy).toBeLessThanOrEqual(1);
      expect(protocol).toBe('one-image');
    }
    const manifest = JSON.parse(await readFile(join(folder, 'bundle', 'manifest.json'), 'utf8'));
    expect(measured).toMatchObject(manifest.measurements);

    await cp(join(demo, 'zero'), join(folder, 'examples', 'zero'), { recursive: true });
    await cp(join(demo, 'plus'), join(folder, 'examples', 'plus'), { recursive: true });
    const adapted = await whet('adapt', 'bundle', '--examples', 'examples', '--per-class', '2', '--out', 'me.profile');
    expect(adapted.out).toContain('4 examples of 2 classes, pattern sparse, 2 steps');
    expect(adapted.err).toContain('step 2: loss');
    const image = join('examples', 'zero', (await readdir(join(folder, 'examples', 'zero'))).at(-1) as string);
    const predicted = await whet('predict', '--bundle', 'bundle', '--profile', 'me.profile', '--json', image);
    const [prediction] = JSON.parse(predicted.out) as { label: string; probabilities: Record<string, number> }[];
    expect(Object.keys(prediction?.probabilities ?? {}).sort()).toEqual(['plus', 'zero']);
    expect((await whet('predict', '--bundle', 'bundle', '--profile', 'me.profile', image)).out).toContain(image);

    const benched = await whet(
      'bench',
      'bundle',
      '--runs',
      '2',
      '--ways',
      '2',
      '--shots',
      '1',
      '--steps',
      '1',
      '--json',
      'bench.json',
    );
    expect(benched.out).toContain('speed-up');
    const { results } = await readBench(join(folder, 'bench.json'));
    expect(results.find(({ pattern }) => pattern === 'full')?.speedUp).toBe(1);
  });

  it('takes a bundle in one file wherever it takes a folder', { timeout: 180_000 }, async () => {
    const exported = await whet('export', 'run/last.safetensors', '--out', 'one.whet', '--patterns', 'head');
    expect(exported.out).toMatch(/\none\.whet: [\d.]+ kB in \d files\n$/);
    const tiny = ['--ways', '3', '--shots', '2', '--queries', '2', '--tasks', '3'];
    expect((await whet('evaluate', 'one.whet', '--data', data, '--record', ...tiny)).code).toBe(0);
    const few = ['--per-class', '2', '--out', 'one.profile'];
    expect((await whet('adapt', 'one.whet', '--examples', 'examples', ...few)).code).toBe(0);
    const image = join(demo, 'plus', 'caveat.png');
    const predicted = await whet('predict', '--bundle', 'one.whet', '--profile', 'one.profile', '--json', image);
    expect(JSON.parse(predicted.out)).toHaveLength(1);
    expect((await whet('page', 'one.whet', '--out', 'site')).code).toBe(0);
    const { name, measurements, files } = JSON.parse(
      await readFile(join(folder, 'site', 'bundles', 'one', 'manifest.json'), 'utf8'),
    );
    expect(name).toBe('one');
    expect(measurements).toHaveLength(1);
    const written = await readdir(join(folder, 'site', 'bundles', 'one'));
    expect(written.sort()).toEqual([...Object.keys(files), 'manifest.json'].sort());
  });

  it.each<[string, string[], RegExp]>([
    [
      'a missing data folder',
      ['train', '--data', 'nowhere'],
      /--data nowhere: expected .*<class>.*images_background\.zip.*test_batch\.bin.*got nothing of that name/,
    ],
    [
      'a run that is there already',
      ['train', '--data', 'data', '--run', 'run'],
      /last\.safetensors exists; go on with --resume/,
    ],
    ['a model that is not there', ['compile', 'none.onnx', '--out', 'x'], /none\.onnx/],
    ['a model that is not ONNX', ['compile', 'run/metrics.jsonl', '--out', 'x'], /metrics\.jsonl: not an ONNX model/],
    ['an image size that is none', ['compile', 'none.onnx', '--out', 'x', '--size', '9'], /expected HEIGHTxWIDTH/],
    ['a checkpoint that is not there', ['export', 'none.safetensors', '--out', 'x'], /checkpoint "none\.safetensors"/],
    [
      'a pattern the checkpoint lacks',
      ['export', 'run/last.safetensors', '--out', 'x', '--patterns', 'tail'],
      /no pattern "tail"; expected of full, head/,
    ],
    [
      'two bundles of one name',
      ['page', 'bundle', 'bundle', '--out', 'pages'],
      /bundle: another bundle is called ".+" too; names must differ/,
    ],
    [
      'what is taken of a model, of a network',
      ['export', 'run/last.safetensors', '--out', 'x', '--no-learned', '--head-scale', '1'],
      /--head-scale, --no-learned: expected of a checkpoint of `whet train --model`/,
    ],
    [
      'keys of a store that is not there',
      ['keys', 'list', '--store', 'none'],
      /store: expected that of a service, got .*none with none/,
    ],
    [
      'keys of what is not kept',
      ['keys', 'list', '--store', 'memory:'],
      /--store: expected a folder or postgres:\/\/\.\.\., got memory:/,
    ],
    ['a missing bundle', ['adapt', 'nothing', '--examples', 'examples'], /nothing\/manifest\.json: cannot be read/],
    [
      'an unknown pattern',
      ['adapt', 'bundle', '--examples', 'examples', '--pattern', 'tail'],
      /expected one of full, head, sparse, got "tail"/,
    ],
    ['a folder without images', ['adapt', 'bundle', '--examples', 'data'], /expected images as <label>\/<image>/],
    ['a file that is no profile', ['predict', '--bundle', 'bundle', '--profile', 'bench.json', 'x.png'], /profile/],
    ['a number that is none', ['bench', 'bundle', '--runs', 'many'], /expected a whole number/],
    [
      'a backend that there is not',
      ['train', '--data', 'data', '--run', 'other', '--backend', 'abacus'],
      /--backend: expected auto, tfjs or one of ort-cuda, .*, got "abacus"/,
    ],
    ['a backend doctor does not know', ['doctor', '--backend', 'abacus'], /expected of ort-cuda, .*, got "abacus"/],
  ])('refuses %s in one clear line', async (_, args, message) => {
    const { code, err } = await whet(...args);
    expect(code).toBe(1);
    expect(err).toMatch(message);
    expect(err).not.toMatch(/ at .*\.[jt]s:\d+/);
  });

  it('refuses to revoke a key that is not there', async () => {
    expect((await whet('keys', 'add', 'phone', '--store', 'keys')).code).toBe(0);
    const { code, err } = await whet('keys', 'revoke', 'tablet', '--store', 'keys');
    expect([code, err]).toEqual([1, 'whet: expected the name or id of a key, got "tablet" (whet keys list)\n']);
  });

  // Only Node.js itself says of a package that it is missing in a way that can be told from one that does not load.
  it('in a process of its own refuses a backend whose package is missing in one clear line', async () => {
    const args = ['train', '--data', 'data', '--run', 'other', '--backend', 'tfjs-node-gpu'];
    const { code, err } = await startWhet(folder, args);
    expect(code).toBe(1);
    expect(err).toMatch(/backend "tfjs-node-gpu" cannot be used: .*npm install @tensorflow\/tfjs-node-gpu/);
    expect(err.trim().split('\n')).toEqual(['other: training on data', expect.stringContaining('whet: backend')]);
  });

  it('in a process of its own says its version, and what it does not know', async () => {
    const { version } = JSON.parse(await readFile(new URL('../../../cli/package.json', import.meta.url), 'utf8'));
    expect(await startWhet(folder, ['--version'])).toEqual({ code: 0, out: `${version}\n`, err: '' });
    const unknown = await startWhet(folder, ['sharpen']);
    expect(unknown).toMatchObject({ code: 1, out: '', err: expect.stringContaining("unknown command 'sharpen'") });
  });
});

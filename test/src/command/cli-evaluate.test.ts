import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeOnnx, GraphBuilder, makeTensor } from '@whet/compiler';
import { drawnImages, generatorFor, openImageFolder, readBench } from '@whet/trainer';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeSyntheticOmniglot } from './synthetic-omniglot.js';
import { runWhet, startWhet } from './whet-process.js';

// A compiled network is evaluated on data of any kind, whatever size and channels the network takes.

const COLOURS = ['#d02010', '#20c040', '#1030d0', '#e0e020'];
const IMAGES = 6;

/** A convolution of images of 8 x 8, pooled, and a last layer. */
function colourModel(channels: number): Uint8Array {
  const random = generatorFor(5, 'colour model', channels);
  const g = new GraphBuilder();
  const constant = (name: string, shape: number[]) => {
    const length = shape.reduce((a, b) => a * b);
    return g.constant(
      makeTensor(
        shape,
        Float32Array.from({ length }, () => random.normal()),
      ),
      name,
    );
  };
  const x = g.input('x', ['N', channels, 8, 8]);
  const form = { kernel_shape: [3, 3], strides: [1, 1], dilations: [1, 1], group: 1, pads: [1, 1, 1, 1] };
  const conv = g.apply('Conv', [x, constant('conv.weight', [6, channels, 3, 3])], form as never, 'conv');
  const pooled = g.apply('GlobalAveragePool', [g.apply('Relu', [conv], {}, 'relu')], {}, 'pooled');
  const flat = g.apply('Flatten', [pooled], { axis: 1 }, 'flat');
  const y = g.apply('Gemm', [flat, constant('w', [6, 5]), constant('b', [5])], {}, 'fc');
  return encodeOnnx({ name: 'colours', inputs: [x], outputs: new Map([['y', y]]) });
}

/** The planes of noisy images of two classes, in CIFAR-10's layout. */
async function writeCifar(place: string): Promise<void> {
  await mkdir(place);
  const random = generatorFor(6, 'cifar', 0);
  const record = (label: number) =>
    Uint8Array.from([label, ...Array.from({ length: 3072 }, () => 20 * label + random.integer(60))]);
  const records = () => Buffer.concat([0, 9, 0, 9].map(record));
  await writeFile(join(place, 'data_batch_1.bin'), records());
  await writeFile(join(place, 'test_batch.bin'), records());
  await writeFile(join(place, 'class-split.json'), JSON.stringify({ train: [1], validation: [2], test: [0, 9] }));
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-cli-evaluate-'));
  const random = generatorFor(4, 'pictures', 0);
  for (const [i, colour] of COLOURS.entries()) {
    await mkdir(join(folder, 'data', `class ${i}`), { recursive: true });
    for (let n = 0; n < IMAGES; n++) {
      const size = { width: 9 + random.integer(20), height: 9 + random.integer(20), channels: 3 } as const;
      const image = sharp({
        create: { ...size, background: colour, noise: { type: 'gaussian', mean: 128, sigma: 40 } },
      });
      const tinted = n === 0 ? image.greyscale() : image.tint(colour);
      await tinted.toFile(join(folder, 'data', `class ${i}`, `${n}.${n % 2 ? 'jpg' : 'png'}`));
    }
  }
  await writeSyntheticOmniglot(join(folder, 'drawings'), { train: 1, val: 1, test: 3 });
  await writeCifar(join(folder, 'cifar'));
  for (const channels of [2, 3]) await writeFile(join(folder, `${channels}.onnx`), colourModel(channels));
  await whet('compile', '2.onnx', '--out', 'odd');
  const patterns = ['--pattern', 'head=none', '--pattern', 'all=all'];
  const own = ['--optimizer', 'adam', '--rate', '0.02', '--steps', '4', '--fit', 'cover'];
  await whet('compile', '3.onnx', '--out', 'b', ...patterns, ...own, '--mean', '0.5', '--std', '0.25');
});
afterAll(() => rm(folder, { recursive: true }));

/** Throws what a command that fails says. */
async function whet(...args: string[]) {
  const outcome = await runWhet(folder, args);
  if (outcome.code !== 0) throw new Error(outcome.err);
  return outcome;
}

interface Figures {
  readonly pattern: string;
  readonly ways: number;
  readonly shots: number;
  readonly steps: number;
  readonly startOf: string;
  readonly against: { readonly row: string; readonly mean: number } | null;
}

const small = ['--queries', '2', '--tasks', '5', '--threads', '1'];
const evaluate = (...args: string[]) => whet('evaluate', 'b', ...small, ...args);
const figures = async (...args: string[]) => JSON.parse((await evaluate('--json', ...args)).out) as Figures[];

describe('whet evaluate of a compiled network', () => {
  it('has 0 steps once, a row a pattern, and paired differences, for any ways and shots in one run', async () => {
    const shapes = ['--ways', '2', '3', '--shots', '1', '3', '--pattern', 'all', '--against', 'head'];
    const { out, err } = await evaluate('--data', 'data', ...shapes);
    expect(err).toMatch(/^b: head, all on data, test: 4 classes, 24 images\n/);
    expect(err).toMatch(
      /\n5 tasks of 2-way 1-shot, 2-way 3-shot, 3-way 1-shot, 3-way 3-shot draw 2\d of these; each is enc/,
    );
    expect(err).toMatch(/\nencode: \d+\/2\d images/);
    expect(err).toMatch(/\n3-way 3-shot: 5\/5 0 steps \d+\.\d+ %, head [+−]\d.* ± .*, all [+−]/);
    const rows = [...out.matchAll(/│ ([\w ]+?) +│ +(\d-way \d-shot) │/g)].map(([, row, task]) => `${row} ${task}`);
    const tasks = ['2-way 1-shot', '2-way 3-shot', '3-way 1-shot', '3-way 3-shot'];
    expect(rows).toEqual(tasks.flatMap((task) => ['0 steps', 'head', 'all'].map((row) => `${row} ${task}`)));
    for (const head of ['over 0 steps', 'over head', 'calibration error']) expect(out).toContain(head);
  });

  it('has a row of what chooses a pattern', async () => {
    const shapes = ['--ways', '3', '--shots', '1', '3', '--pattern', 'head', 'auto', '--against', 'head'];
    const rows = await figures('--data', 'data', ...shapes);
    expect(rows.map(({ pattern, startOf }) => [pattern, startOf])).toEqual([
      ['head', 'head'],
      ['auto', 'head'],
      ['head', 'head'],
      ['auto', 'head'],
    ]);
    const none = await figures(
      '--data',
      'data',
      '--ways',
      '3',
      '--shots',
      '3',
      '--pattern',
      'auto',
      '--budget-ms',
      '0',
    );
    expect(none).toMatchObject([{ pattern: 'auto', steps: 0, optimizer: null, gain: { mean: 0 } }]);
  });

  it('takes steps, rate and optimizer of each pattern unless others are given', async () => {
    const own = await figures('--data', 'data', '--ways', '3', '--shots', '2', '--pattern', 'all', '--against', 'all');
    expect(own).toMatchObject([
      { pattern: 'head', steps: 0, rate: 0.02, optimizer: 'adam', startOf: 'head', against: { row: 'all' } },
      { pattern: 'all', steps: 4, rate: 0.02, optimizer: 'adam', startOf: 'head', against: null },
    ]);
    const given = ['--steps', '0', '--rate', '1'];
    const [zero] = await figures('--data', 'data', '--ways', '3', '--shots', '2', ...given);
    expect(zero).toMatchObject({ steps: 0, rate: 1, loss: null, gain: { mean: 0, halfWidth: 0 } });
  });

  it('asks about a class more, where that is asked for, and records nothing of it', async () => {
    const [head] = await figures('--data', 'data', '--ways', '3', '--shots', '2', '--strangers');
    expect(head).toMatchObject({ ways: 3, strangers: expect.any(Object) });
    for (const share of Object.values((head as unknown as { strangers: object }).strangers)) {
      expect(share).toBeGreaterThanOrEqual(0);
      expect(share).toBeLessThanOrEqual(1);
    }
    const { out } = await evaluate('--data', 'data', '--ways', '3', '--shots', '2', '--strangers');
    for (const column of ['unknown: area', 'known kept', 'unknown found']) expect(out).toContain(column);
    await expect(evaluate('--data', 'data', '--ways', '4', '--strangers')).rejects.toThrow('5 ways, got 4');
    const recorded = evaluate('--data', 'data', '--ways', '3', '--strangers', '--record');
    await expect(recorded).rejects.toThrow('--record: expected no --strangers, whose tasks are others');
  });

  it('reads grey drawings, and images of CIFAR’s binary files, as the network takes them', async () => {
    const drawn = await figures('--data', 'drawings', '--ways', '3', '--shots', '1', '--pattern', 'all');
    expect(drawn).toMatchObject([{ dataset: 'omniglot' }, { dataset: 'omniglot' }]);
    const [photos] = await figures('--data', 'cifar', '--ways', '2', '--shots', '1');
    expect(photos).toMatchObject({ dataset: 'cifar-10', split: 'test', ways: 2 });
  });

  it('says before it encodes what the data or the bundle has too few of', async () => {
    const on = (...args: string[]) => evaluate('--data', 'data', ...args);
    await expect(on('--ways', '5')).rejects.toThrow('data, test: expected at least 5 classes for 5 ways, got 4');
    await expect(on('--ways', '4', '--shots', '5')).rejects.toThrow('expected at least 7 images for 5 shots and 2');
    await expect(on('--ways', '4', '--shots', '200')).rejects.toThrow('expected at most 500 examples, got 800');
    await expect(on('--ways', '101')).rejects.toThrow('bundle "b": expected 2 to 100 classes, got 101');
    await expect(on('--ways', '1')).rejects.toThrow('bundle "b": expected 2 to 100 classes, got 1');
    await expect(on('--against', 'all')).rejects.toThrow('--against: expected one of head, got "all"');
    const odd = (...args: string[]) => whet('evaluate', 'odd', '--data', 'data', '--shots', '1', ...small, ...args);
    await expect(odd('--ways', '2')).rejects.toThrow(
      'expected a tensor [2, 8, 8], got a picture: the bundle takes 2 channels',
    );
    await expect(odd('--ways', '2', '--skip-corrupt')).rejects.toThrow('data: expected a tensor [2, 8, 8]');
  });

  it('names an image that cannot be read, or leaves it out', async () => {
    await cp(join(folder, 'data'), join(folder, 'damaged'), { recursive: true });
    const path = join('damaged', 'class 1', '2.png');
    await writeFile(join(folder, path), (await readFile(join(folder, path))).subarray(0, 60));
    const damaged = ['--data', 'damaged', '--ways', '4', '--shots', '2'];
    await expect(evaluate(...damaged)).rejects.toThrow(`${path}: expected a whole image, got one that is damaged`);
    const { err } = await evaluate(...damaged, '--skip-corrupt');
    expect(err).toContain(`left out 1 corrupt images: ${join('class 1', '2.png')}\n`);
    expect(err).toContain('4 classes, 23 images');
  });

  it('reads only what its tasks draw', async () => {
    await cp(join(folder, 'data'), join(folder, 'spared'), { recursive: true });
    const files = await openImageFolder(join(folder, 'spared'), 'test');
    const drawn = [...drawnImages(files, [{ ways: 4, shots: 1, queries: 1 }], 1, 0)];
    const read = await Promise.all(drawn.map(async ({ of, image }) => (await files.classes[of]?.read(image))?.place));
    expect(new Set(read).size).toBe(8);
    for (const { count, read: file } of files.classes) {
      for (let i = 0; i < count; i++) {
        const { place } = await file(i);
        if (!read.includes(place)) await writeFile(place, 'no image');
      }
    }
    const task = ['--data', 'spared', '--ways', '4', '--shots', '1', '--queries', '1', '--tasks', '1'];
    const whole = await evaluate(...task);
    const checked = await evaluate(...task, '--skip-corrupt');
    expect(checked.err).toContain('check: 8/8 images');
    expect(checked.err).not.toContain('left out');
    const accuracy = (out: string) => /│ 0 steps │ 4-way 1-shot │ +([\d.]+)/.exec(out)?.[1];
    expect(accuracy(checked.out)).toBe(accuracy(whole.out));
    const streamed = [
      '--data',
      'spared',
      '--stream',
      '2',
      '--ways',
      '2',
      '--shots',
      '1',
      '--queries',
      '1',
      '--tasks',
      '1',
    ];
    expect((await evaluate(...streamed, '--skip-corrupt')).err).not.toContain('left out');
  });

  it('does not begin what there is not the memory for', async () => {
    await cp(join(folder, 'b'), join(folder, 'huge'), { recursive: true });
    const place = join(folder, 'huge', 'manifest.json');
    const manifest = JSON.parse(await readFile(place, 'utf8'));
    manifest.patterns.all.stepMemory = { examples: 5, classes: 5, peakActivationBytes: 1e15 };
    await writeFile(place, JSON.stringify(manifest));
    const args = ['--data', 'data', '--ways', '3', '--shots', '1', ...small];
    await expect(whet('evaluate', 'huge', '--pattern', 'all', ...args)).rejects.toThrow(
      /all: expected at least 600000000 MB of memory for a step on 3 examples, got \d+ MB free/,
    );
    const { code, out, err } = await runWhet(folder, [
      ...['bench', 'huge', '--ways', '3', '--shots', '1', '--runs', '1', '--threads', '1'],
    ]);
    expect([code, out]).toEqual([1, expect.stringContaining('head')]);
    expect(err).toMatch(/not measured: b, pattern "all" on node, 3-way 1-shot: expected at least 600000000 MB/);
  });
});

it('whet bench has times, memory and accuracies of a compiled network, at each pattern’s own steps', async () => {
  const data = ['--data', 'data', '--queries', '2', '--tasks', '3', '--memory'];
  const task = ['--ways', '2', '--shots', '1', '--runs', '2', '--threads', '1'];
  // In a process of its own, for those that it starts to measure memory run what was built too.
  const { code, out, err } = await startWhet(folder, ['bench', 'b', ...task, ...data, '--json', 'bench.json']);
  expect(err).not.toContain('not measured');
  expect([code, out]).toEqual([0, expect.stringContaining('peak memory')]);
  const { results, options } = await readBench(join(folder, 'bench.json'));
  expect(options.steps).toBeNull();
  for (const { pattern, steps, accuracy, peakBytes } of results) {
    expect(steps).toBe(pattern === 'head' ? 0 : 4);
    expect(accuracy).toMatchObject({ dataset: 'data', tasks: 3, from: 'data' });
    expect(peakBytes).toBeGreaterThanOrEqual(0);
  }
});

it('whet evaluate --record keeps the figures with the bundle, where whet bench finds them', async () => {
  const task = ['--ways', '2', '--shots', '1'];
  const [measured] = await figures('--data', 'data', ...task, '--record');
  const { measurements } = JSON.parse(await readFile(join(folder, 'b', 'manifest.json'), 'utf8'));
  expect(measurements).toHaveLength(1);
  expect(measured).toMatchObject(measurements[0]);
  await whet('bench', 'b', ...task, '--runs', '1', '--no-floor', '--threads', '1', '--json', 'recorded.json');
  const { results } = await readBench(join(folder, 'recorded.json'));
  expect(results.map(({ accuracy }) => accuracy?.from)).toEqual(['manifest', undefined]);
});

import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { encodeOnnx, GraphBuilder, makeTensor, type OperatorAttributes, onnxMessage } from '@whet/compiler';
import type { Example } from '@whet/runtime';
import { loadBundle } from '@whet/runtime/node';
import { type CompileOptions, compileModel, generatorFor } from '@whet/trainer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runWhet } from '../command/whet-process.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-compile-small-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('compiling', () => {
  const [N, channels, side] = ['N', 1, 8] as const;
  const random = generatorFor(3, 'compile', 0);
  const constant = (g: GraphBuilder, name: string, shape: readonly number[]) => {
    const length = shape.reduce((a, b) => a * b, 1);
    return g.constant(
      makeTensor(
        shape,
        Float64Array.from({ length }, () => 0.3 * random.normal()),
      ),
      name,
    );
  };

  /** Two convolutions around a residual, then a classifier, as an exporter would write them. */
  function smallModel(batch: number | string = N): Uint8Array {
    const g = new GraphBuilder();
    const x = g.input('x', [batch, channels, side, side]);
    const same: OperatorAttributes['Conv'] = {
      kernel_shape: [3, 3],
      strides: [1, 1],
      dilations: [1, 1],
      group: 1,
      pads: [1, 1, 1, 1],
    };
    const a = g.apply('Conv', [x, constant(g, 'a.weight', [4, 1, 3, 3]), constant(g, 'a.bias', [4])], same, 'a');
    const r = g.apply('Relu', [a], {}, 'r');
    const b = g.apply('Conv', [r, constant(g, 'b.weight', [4, 4, 3, 3])], same, 'b');
    const pooled = g.apply('GlobalAveragePool', [g.apply('Add', [r, b], {}, 'sum')], {}, 'pooled');
    const flat = g.apply('Flatten', [pooled], { axis: 1 }, 'features');
    const logits = g.apply('Gemm', [flat, constant(g, 'fc.weight', [4, 3]), constant(g, 'fc.bias', [3])], {}, 'logits');
    return encodeOnnx({ name: 'small', inputs: [x], outputs: new Map([['logits', logits]]) });
  }
  const small = (overrides: Partial<CompileOptions> = {}): CompileOptions => ({
    model: smallModel(),
    fileName: 'small.onnx',
    directory: join(folder, 'small'),
    name: 'small',
    patterns: { head: ['none'] },
    ...overrides,
  });
  const randomExamples = (count: number): Example[] =>
    Array.from({ length: count }, (_, i) => ({
      label: `class ${i % 3}`,
      image: Float32Array.from({ length: side * side }, () => random.normal()),
    }));

  it.each<[string, string[], string[]]>([
    ['names', ['b.weight', 'a.bias'], ['a.bias', 'b.weight']],
    ['globs', ['*.weight'], ['a.weight', 'b.weight']],
    ['last layers', ['last:1'], ['b.weight']],
    ['biases', ['bias'], ['a.bias']],
    ['everything below the head', ['all'], ['a.weight', 'a.bias', 'b.weight']],
    ['the head alone', ['none'], []],
  ])('takes %s', async (_, selections, names) => {
    const directory = await mkdtemp(join(folder, 'small-'));
    const { manifest, patterns } = await compileModel(small({ directory, patterns: { p: selections } }));
    expect(patterns[0]?.moving.map(({ name }) => name)).toEqual(names);
    expect(manifest.patterns['p']?.moving.map(({ name }) => name)).toEqual(names);
    const bundle = await loadBundle(directory, { threads: 1 });
    const { solved, losses } = await bundle.adapt(randomExamples(6), { steps: 4, rate: 1e-5 });
    expect(solved).toBe(true);
    if (names.length > 0) expect(losses[3]).toBeLessThan(losses[0] as number);
    else expect(losses).toEqual([]);
    await bundle.release();
  });

  it.each(['batch', 1])('serves any number of images where the model declares %s', async (batch) => {
    const directory = await mkdtemp(join(folder, 'batch-'));
    const patterns = { head: ['none'], b: ['b.weight'] };
    const report = await compileModel(small({ directory, model: smallModel(batch), patterns }));
    expect(report.patterns.map(({ encoded }) => encoded)).toEqual(['as exported', 'as exported']);
    const bundle = await loadBundle(directory, { threads: 1 });
    const { losses } = await bundle.adapt(randomExamples(5), { pattern: 'b' });
    expect(losses.every(Number.isFinite)).toBe(true);
    await bundle.release();
  });

  it('takes weights that the model keeps in another file into the bundle', async () => {
    const message = onnxMessage('ModelProto');
    const decoded = message.decode(smallModel());
    const tensor = (decoded as unknown as { graph: { initializer: Record<string, unknown>[] } }).graph.initializer.find(
      ({ name }) => name === 'a.bias',
    );
    if (!tensor) throw new Error('no a.bias');
    const values = tensor['rawData'] as Uint8Array;
    Object.assign(tensor, {
      rawData: new Uint8Array(),
      dataLocation: 1,
      externalData: [{ key: 'location', value: 'weights.bin' }],
    });
    const directory = await mkdtemp(join(folder, 'external-'));
    const external = (location: string) => {
      expect(location).toBe('weights.bin');
      return Uint8Array.from(values);
    };
    const report = await compileModel(small({ directory, model: message.encode(decoded).finish(), external }));
    expect(report.patterns[0]?.encoded).toBe('as exported');
    await (await loadBundle(directory, { threads: 1 })).release();
  });

  it.each<[string, Partial<CompileOptions>, RegExp]>([
    ['a file that is not ONNX', { model: new TextEncoder().encode('{"hello": "world"}') }, /not an ONNX model/],
    ['an empty file', { model: new Uint8Array() }, /not an ONNX model/],
    ['a file cut short', { model: smallModel().subarray(0, 300) }, /not an ONNX model, or a truncated one/],
    ['an image size that is not the model’s', { imageSize: [9, 9] }, /takes images of 8 x 8, not 9 x 9/],
    ['no patterns', { patterns: {} }, /at least one pattern/],
  ])('refuses %s and leaves nothing behind', async (_, overrides, message) => {
    const directory = join(await mkdtemp(join(folder, 'bad-')), 'out');
    await expect(compileModel(small({ directory, ...overrides }))).rejects.toThrow(message);
    expect(await readdir(dirname(directory))).toEqual([]);
  });

  it('prints from the command line what moves and what it costs', async () => {
    const cwd = await mkdtemp(join(folder, 'cli-'));
    await writeFile(join(cwd, 'small.onnx'), smallModel());
    const whet = (...args: string[]) => runWhet(cwd, ['compile', ...args]);
    const { out } = await whet(
      'small.onnx',
      '--out',
      'tiny',
      '--verbose',
      '--pattern',
      'b=last:1,bias',
      '--pattern',
      'head=none',
    );
    expect(out).toContain('images [N, 1, 8, 8] to features "features" [N, 4]');
    expect(out).toMatch(/b\.weight .*\[4, 4, 3, 3\].* b /);
    expect(out).toMatch(/head .*features \(as exported\).*%/);
    expect(out).toMatch(/b \(default\) .*148 \+ head/);
    expect(JSON.parse(await readFile(join(cwd, 'tiny', 'manifest.json'), 'utf8'))).toMatchObject({ name: 'tiny' });
    const refused = await whet('small.onnx', '--out', 'other', '--trainable', 'b.wight');
    expect(refused).toMatchObject({ code: 1, err: expect.stringContaining('nearest: b.weight') });
    expect((await readdir(cwd)).sort()).toEqual(['small.onnx', 'tiny']);
  });

  it('replaces a bundle and keeps the README beside it', async () => {
    const directory = join(folder, 'again');
    await mkdir(directory);
    await compileModel(small({ directory }));
    await writeFile(join(directory, 'README.md'), 'notes');
    await compileModel(small({ directory, patterns: { other: ['bias'] } }));
    const graphs = ['left-out', 'predict', 'solve', 'start', 'step'].map((graph) => `other.${graph}.onnx`);
    expect((await readdir(directory)).sort()).toEqual(['README.md', 'manifest.json', ...graphs, 'weights.safetensors']);
  });
});

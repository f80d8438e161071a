import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  batchGraph,
  countNodes,
  encodeOnnx,
  foldConstants,
  frozenBoundary,
  GraphBuilder,
  gradients,
  int64s,
  lowerForCpu,
  nodesOf,
  printGraph,
  readOnnx,
  type Value,
  verifyGraph,
} from '@whet/compiler';
import { hostileModels } from '@whet/tools/attack/models';
import { compileModel } from '@whet/trainer';
import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runGuarded } from '../../../trainer/src/compile/read/guarded-run.js';
import type { ModelInput } from '../../../trainer/src/compile/read/model-input.js';
import { runBatches } from '../../../trainer/src/compile/read/probe-tensors.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-hostile-'));
});
afterAll(() => rm(folder, { recursive: true }));

function build(name: string, scale = 1): Uint8Array {
  const model = hostileModels[name];
  if (!model) throw new Error(`no hostile model "${name}"`);
  return model.build(scale);
}

const compile = (name: string, scale = 1) =>
  compileModel({
    model: build(name, scale),
    fileName: 'hostile.onnx',
    directory: join(folder, 'bundle'),
    name: 'hostile',
    patterns: { p: [hostileModels[name]?.moves ?? 'none'] },
  });

describe('a model that asks for more than its size says', () => {
  it.each<[string, number, string]>([
    ['relu chain', 0.6, 'the model has more than 50000 nodes: expected fewer'],
    ['unused nodes', 0.06, 'the model has more than 50000 nodes: expected fewer'],
    ['initializers', 0.11, 'the model has more than 100000 initializers: expected fewer'],
    ['many attributes', 0.6, 'the model has more than 500000 attributes: expected fewer'],
    ['long attribute', 0.9, 'the model has more than 4194304 integers in lists: expected fewer'],
    ['if chain', 0.1, 'If "b": graphs stand in each other more than 16 deep'],
    ['function tree', 1, 'functions of the model unfold to more than 100000 nodes'],
    ['weight of 2^40 numbers', 1, 'takes 4398046511104 bytes, raw data has 4'],
    ['add chain, shorter', 0.7, 'pattern "p": expected at most 6000 nodes above what moves, got 6302'],
    ['weight of NaN', 1, 'weight "conv.weight": expected finite numbers, got NaN at [0, 0, 1, 1]'],
    ['infinite weight', 1, 'weight "conv.weight": expected finite numbers, got Infinity at [0, 0, 1, 1]'],
  ])('is refused: %s', async (name, scale, message) => {
    await expect(compile(name, scale)).rejects.toThrow(message);
    expect(await readdir(folder)).toEqual([]);
  });

  it('is counted by nodes wherever they stand, without being decoded', () => {
    expect(countNodes(build('relu chain', 0.001))).toBe(102);
    // Of a tree as deep as 3: one If below, three above each other twice, and their leaves.
    expect(countNodes(build('if tree', 0.2))).toBe(2 + 2 + 1 + 1 + 3 + 4);
    expect(countNodes(Uint8Array.of(1, 2, 3))).toBe(0);
  });
});

describe('what onnxruntime runs of somebody else', () => {
  const feeds = [{ x: new ort.Tensor('float32', new Float32Array(16), [1, 1, 4, 4]) }];
  const bytes = 2 ** 30;

  it.each(['loop of 2^63 turns', 'loop of 2^63 turns of a constant', 'loop without an end', 'products of images'])(
    'is ended when it takes too long: %s',
    async (name) => {
      await expect(runGuarded(build(name), feeds, { seconds: 0.3, bytes })).rejects.toThrow(
        'expected at most 0.3 s of processor time, it was stopped as it took more',
      );
    },
  );

  it.each(['Expand', 'Concat'])('is ended when it takes too much memory: %s', async (name) => {
    const limits = { seconds: 60, bytes: 2 ** 27 };
    await expect(runGuarded(build(`${name} of 2^31 numbers, unread`), feeds, limits)).rejects.toThrow(
      'expected at most 128 MB of memory, it was stopped as it took more',
    );
  });

  it('names the part of the model that takes too much', async () => {
    const input = { name: 'x', shape: [1, 4, 4], bytes: false } as unknown as ModelInput;
    await expect(runBatches(build('Expand of 2^31 numbers, unread'), input, 'x', [[0]])).rejects.toThrow(
      /the frozen part is too much to run: expected at most \d+ MB of memory, it was stopped as it took more/,
    );
  });

  it('is run by the next process after one was ended, and told where it does not load', async () => {
    const [outputs] = await runGuarded(build('mul chain', 0.001), feeds);
    expect(outputs?.['logits']?.dims).toEqual([1, 2]);
    await expect(runGuarded(Uint8Array.of(1, 2, 3), feeds)).rejects.toMatchObject({
      name: 'ModelRunError',
      stage: 'load',
    });
  });
});

describe('folding', () => {
  const opsOf = (name: string, scale: number) => {
    const graph = readOnnx(build(name, scale), { inputShapes: { x: ['N', 1, 4, 4] } });
    return nodesOf(foldConstants(graph).graph.outputs.values()).map(({ op }) => op);
  };

  it.each(['product of constants', 'einsum of constants'])('leaves what takes long to the device: %s', (name) => {
    const product = name.startsWith('einsum') ? 'Einsum' : 'MatMul';
    expect(opsOf(name, 0.01)).not.toContain(product);
    expect(opsOf(name, 0.2)).toContain(product);
  });

  it('leaves what is large in sum', () => {
    expect(opsOf('Expand of 9e6 numbers, 200 times', 0.001)).not.toContain('Neg');
    const kept = opsOf('Expand of 9e6 numbers, 200 times', 0.05).filter((op) => op === 'Neg');
    expect(kept.length).toBeGreaterThan(100);
  });
});

describe('a graph as deep as a file may have nodes', () => {
  it('goes through everything without a call for each node', () => {
    const g = new GraphBuilder();
    const x = g.input('x', [2, 2]);
    const w = g.input('w', [2, 2]);
    let h: Value = g.apply('Mul', [x, w], {});
    for (let i = 0; i < 5000; i++) h = g.apply('Relu', [h], {});
    const loss = g.apply('ReduceSum', [h], { keepdims: 0 });
    const [gradient] = gradients(g, loss, [w]);
    const graph = { name: 'deep', inputs: [x, w], outputs: new Map([['gradient', gradient as Value]]) };
    verifyGraph(graph);
    expect(printGraph(graph).split('\n').length).toBeGreaterThan(5000);
    verifyGraph(batchGraph(graph, 2, new Set(['x'])));
    expect(countNodes(encodeOnnx(lowerForCpu(graph)))).toBeGreaterThan(5000);
  });

  it('is frozen up to the last value that may be kept, however many may not', () => {
    const g = new GraphBuilder();
    const [x, w] = [g.input('x', ['N', 3]), g.input('w', [3])];
    const kept = g.apply('Relu', [x], {}, 'kept');
    let h = g.apply('Transpose', [kept], { perm: [1, 0] });
    for (let i = 0; i < 5000; i++) h = g.apply('Neg', [h], {});
    const y = g.apply('Mul', [g.apply('Transpose', [h], { perm: [1, 0] }), w], {});
    const turned = g.apply('ReduceSum', [h, g.constant(int64s([0]))], { keepdims: 0 });
    const graph = {
      name: 'g',
      inputs: [x, w],
      outputs: new Map([
        ['y', y],
        ['sum', turned],
      ]),
    };
    const mayCross = ({ shape }: Value) => shape[0] === 'N' && shape.length === 2;
    expect(frozenBoundary(graph, new Set(['w']), { mayCross }).map(({ name }) => name)).toContain('kept');
  });
});

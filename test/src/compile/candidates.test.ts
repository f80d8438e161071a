import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readBundle } from '@whet/runtime/node';
import { compileModel, readModel, type SourceModel } from '@whet/trainer';
import { describe, expect, it } from 'vitest';
import { deepestWithin, memoryBudget, timeBudget } from '../../../trainer/src/meta/budget.js';
import {
  type Candidates,
  chooseCandidates,
  masksOfCandidates,
  openEntries,
} from '../../../trainer/src/meta/candidates.js';
import { initialLearned, learnedSpecs, maskName, taskTensors } from '../../../trainer/src/meta/learned.js';
import { bytesByDepth, stepBytes } from '../../../trainer/src/meta/memory.js';
import { pricesOf } from '../../../trainer/src/meta/prices.js';
import { closedShare, openTensors } from '../../../trainer/src/meta/report.js';
import { type Build, basic, networkOf } from './block-networks.js';

// What of a model may move, how masks cover it, and what moving is made to cost.

const residual: Build = (n, x) => {
  const a = basic(n, n.apply('Relu', n.convolution(x, 'stem', 4)), 'a');
  return n.apply('Relu', n.convolution(basic(n, basic(n, a, 'b', 6, 2), 'c'), 'top', 5));
};
const model: SourceModel = await readModel(networkOf(residual), {});
const choose = (granularity: 'weight' | 'channel' | 'tensor' | 'block', trainable = ['blocks:2']) =>
  chooseCandidates(model, { trainable, granularity });
const named = ({ tensors }: Candidates, name: string) => tensors.find((candidate) => candidate.name === name);
const learn = (candidates: Candidates) => initialLearned(candidates, { innerRate: 0.01, seed: 1 });

describe('candidates', () => {
  it('are counted to blocks from the head down, what stands above one with it', () => {
    const blocks = new Map(choose('channel', ['all']).tensors.map(({ name, block }) => [name.split('.')[0], block]));
    expect([...blocks]).toEqual([
      ['stem', 4],
      ['a', 3],
      ['b', 2],
      ['c', 1],
      ['top', 1],
    ]);
  });

  it('share logits by channel, tensor or block', () => {
    const lengths = (candidates: Candidates) =>
      [...masksOfCandidates(candidates)].map(([name, shape]) => `${name} ${shape}`);
    expect(lengths(choose('block'))).toEqual(['block-2 1', 'block-1 1']);
    expect(lengths(choose('tensor', ['last:1']))).toEqual(['top.weight 1', 'top.bias 1']);
    expect(lengths(choose('channel', ['last:1']))).toEqual(['top 5']);
    expect(lengths(choose('weight', ['last:1']))).toEqual(['top.weight 5,6,3,3', 'top.bias 5']);
  });

  it('open whole channels of a layer, weights and biases alike', () => {
    const candidates = choose('channel', ['last:1']);
    const logits = Float32Array.of(1, -1, 0, -1e-9, 2);
    const [weight, bias] = candidates.tensors.map((candidate) => openEntries(logits, candidate));
    expect([...(bias ?? [])]).toEqual([1, 0, 1, 0, 1]);
    expect([...(weight ?? [])]).toEqual([1, 0, 1, 0, 1].flatMap((open) => new Array(54).fill(open)));
  });

  it('start with what masks of one logit cover open, and half of what the others do', () => {
    for (const granularity of ['tensor', 'block'] as const) {
      const candidates = choose(granularity);
      expect(closedShare(openTensors(candidates, learn(candidates)))).toBe(0);
    }
    const candidates = choose('weight');
    const closed = closedShare(openTensors(candidates, learn(candidates)));
    expect(closed).toBeGreaterThan(0.4);
    expect(closed).toBeLessThan(0.6);
    for (const { rate } of taskTensors(candidates, learn(candidates))) expect(rate).toBeCloseTo(0.01, 8);
  });

  it('may learn starts of some', () => {
    const chosen = chooseCandidates(model, { trainable: ['blocks:2'], granularity: 'tensor', learnWeights: ['top.*'] });
    expect(learnedSpecs(chosen).flatMap(({ name, kind }) => (kind === 'start' ? [name] : []))).toEqual([
      'start/top.weight',
      'start/top.bias',
    ]);
  });
});

describe('a budget', () => {
  const options = { trainable: ['blocks:3'], granularity: 'channel' as const };
  /** 10 ms for each block. */
  const time = async ({ tensors }: Candidates) => 10 * new Set(tensors.map(({ block }) => block)).size;

  it('leaves the deepest block that is within it', async () => {
    for (const [budgetMs, deepest] of [
      [10, 1],
      [29, 2],
      [1000, 3],
    ] as const) {
      expect(await deepestWithin(model, options, [timeBudget(budgetMs, 5, time)])).toBe(deepest);
      const { tensors } = chooseCandidates(model, { ...options, deepest });
      expect(Math.max(...tensors.map(({ block }) => block))).toBe(deepest);
    }
  });

  it('that no block is within says what the last one takes', async () => {
    await expect(deepestWithin(model, options, [timeBudget(9, 5, time)])).rejects.toThrow(
      'budget of 9 ms: expected a block within it, got 10 ms for the last one (5 steps on 25 images, encoding included)',
    );
    await expect(deepestWithin(model, options, [timeBudget(9, 5, async () => 9.004)])).rejects.toThrow(
      'budget of 9 ms: expected a block within it, got 9.004 ms',
    );
    await expect(deepestWithin(model, options, [memoryBudget(0.001, model)])).rejects.toThrow(
      /^budget of 0.001 MB: expected a block within it, got [\d.]+ MB for the last one \(what a step on 25 images holds at once\)$/,
    );
  });

  it('of memory is what a step holds at once, and of two the smaller one counts', async () => {
    const bytes = bytesByDepth(model, chooseCandidates(model, options));
    expect([...bytes.keys()]).toEqual([1, 2, 3]);
    const megabytes = (bytes.get(2) as number) / 1e6;
    expect(await deepestWithin(model, options, [memoryBudget(megabytes, model)])).toBe(2);
    expect(await deepestWithin(model, options, [memoryBudget(megabytes - 1e-6, model)])).toBe(1);
    const both = [memoryBudget(megabytes, model), timeBudget(10, 5, time)];
    expect(await deepestWithin(model, options, both)).toBe(1);
  });
});

describe('prices', () => {
  const pushes = (
    candidates: Candidates,
    costs: Parameters<typeof pricesOf>[2],
    change?: (name: string, logits: Float32Array) => void,
  ) => {
    const learned = learn(candidates);
    const gradients = new Map([...learned].map(([name, { value }]) => [name, new Float32Array(value.length)]));
    for (const candidate of candidates.tensors) {
      const { value } = learned.get(maskName(candidate)) as { value: Float32Array };
      value.fill(10);
      change?.(candidate.name, value);
    }
    for (const price of pricesOf(model, candidates, costs)) price({ parameters: learned }, gradients);
    return (name: string) => [...(gradients.get(name) ?? [])].reduce((sum, each) => sum + each, 0);
  };

  it('of bytes are shares of all that may move', () => {
    const candidates = choose('tensor');
    const of = pushes(candidates, { byteCost: { weight: 3 } });
    const entries = (name: string) => named(candidates, name)?.start.length ?? Number.NaN;
    const all = candidates.tensors.reduce((sum, { start }) => sum + start.length, 0);
    expect(of('mask/top.weight')).toBeCloseTo((3 * entries('top.weight')) / all, 4);
    expect(candidates.tensors.reduce((sum, candidate) => sum + of(maskName(candidate)), 0)).toBeCloseTo(3, 3);
    expect(of('head.scale')).toBe(0);
  });

  it('of a step are those of the blocks from the image upward: closing one below others that move saves most', () => {
    const candidates = choose('block');
    const open = pushes(candidates, { maskCost: { weight: 1 } });
    expect(open('mask/block-2')).toBeGreaterThan(0);
    expect(open('mask/block-1')).toBeGreaterThan(0);
    const belowClosed = pushes(candidates, { maskCost: { weight: 1 } }, (name, logits) => {
      if ((named(candidates, name)?.block ?? 0) > 1) logits.fill(-10);
    });
    // Where nothing below it moves, closing the last block saves its forward pass too.
    expect(belowClosed('mask/block-1')).toBeGreaterThan(open('mask/block-1'));
  });

  it('of memory are what a step holds less where nothing below moves, once that is so', () => {
    const candidates = choose('block');
    const [last, both] = [...bytesByDepth(model, candidates).values()] as [number, number];
    const open = pushes(candidates, { memoryCost: { weight: 2 } });
    expect(open('mask/block-2')).toBeCloseTo((2 * (both - last)) / both, 4);
    // What it holds is held for what moves below it.
    expect(open('mask/block-1')).toBeCloseTo(0, 4);
    const belowClosed = pushes(candidates, { memoryCost: { weight: 2 } }, (name, logits) => {
      if ((named(candidates, name)?.block ?? 0) > 1) logits.fill(-10);
    });
    expect(belowClosed('mask/block-1')).toBeCloseTo((2 * last) / both, 4);
  });

  it('of memory count what the manifest of a compiled bundle says', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'whet-memory-'));
    await compileModel({
      model: networkOf(residual),
      fileName: 'residual.onnx',
      directory: join(directory, 'bundle'),
      name: 'residual',
      patterns: { two: ['blocks:2'] },
    });
    const { manifest } = await readBundle(join(directory, 'bundle'));
    expect(manifest.patterns['two']?.stepMemory).toEqual({
      examples: 25,
      classes: 5,
      peakActivationBytes: stepBytes(model, choose('channel')),
    });
    await rm(directory, { recursive: true });
  });
});

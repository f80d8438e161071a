import { type Bundle, loadBundle } from '@whet/runtime/node';
import { randomImages, tinyCheckpoint, writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import {
  anil,
  generatorFor,
  type InnerParameter,
  innerParameters,
  maml,
  type Rule,
  rules,
  sparseMaml,
  taskSettings,
} from '@whet/trainer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { relativeError } from '../parity/reference.js';
import { adaptedByTaskGraph, examplesOf, softmax } from '../parity/task-graph-route.js';

describe.each(['prototype', 'shared'] as const)('a bundle with a %s head', (head) => {
  let bundle: Bundle;
  beforeAll(async () => {
    bundle = await loadBundle(await writeTinyBundle(tinyCheckpoint(head)));
  });
  afterAll(() => bundle.release());

  it.each([
    ['full', maml],
    ['head', anil],
    ['sparse', sparseMaml],
  ] as const)('adapts by pattern %s as the trainer does', async (pattern, rule) => {
    const steps = 3;
    const { results, examples, query, classes } = adaptedByTaskGraph(tinyCheckpoint(head), rule, 3, 2, steps);
    const { profile, losses } = await bundle.adapt(examples, { pattern, steps });
    expect(profile.classes).toEqual(classes);
    expect(losses).toHaveLength(steps);
    losses.forEach((loss, step) => {
      expect(relativeError([loss], [results.get(`loss@${step}`)?.data[0] as number])).toBeLessThan(1e-4);
    });
    for (const name of ['head.weight', 'head.bias', ...(pattern === 'full' ? ['conv1.weight', 'norm2.bias'] : [])]) {
      const value = profile.values.get(name)?.data as Float32Array;
      expect(relativeError(value, results.get(name)?.data as Float64Array), name).toBeLessThan(1e-4);
    }
    const predictions = await bundle.predict(profile, query);
    const logits = results.get('logits')?.data as Float64Array;
    predictions.forEach(({ probabilities }, row) => {
      const expected = softmax(logits.slice(row * 3, row * 3 + 3));
      expect(relativeError(Object.values(probabilities), expected)).toBeLessThan(1e-4);
    });
  });
});

it.each(['channel', 'layer'])('a bundle of masks per %s adapts as the trainer does', async (maskGranularity) => {
  const checkpoint = tinyCheckpoint('prototype', { maskGranularity });
  // Something is closed and something open in every layer.
  checkpoint.state.parameters.get('mask/block1')?.value.set([-1]);
  checkpoint.state.parameters.get('mask/block2')?.value.set([1]);
  const bundle = await loadBundle(await writeTinyBundle(checkpoint));
  const { results, examples } = adaptedByTaskGraph(checkpoint, sparseMaml, 3, 2, 3);
  const { profile } = await bundle.adapt(examples, { pattern: 'sparse', steps: 3 });
  const moving = bundle.manifest.patterns['sparse']?.moving ?? [];
  expect(moving.length).toBeGreaterThan(0);
  for (const name of ['head.weight', 'head.bias', ...moving.map((weight) => weight.name)]) {
    const adapted = Array.from(results.get(name)?.data ?? []);
    const learned = checkpoint.state.parameters.get(`mask/block${name.includes('1') ? 1 : 2}`)?.value ?? [];
    const run = adapted.length / learned.length;
    const open = name.startsWith('head') ? adapted : adapted.filter((_, i) => (learned[Math.floor(i / run)] ?? 0) >= 0);
    expect(relativeError(profile.values.get(name)?.data as Float32Array, open), name).toBeLessThan(1e-4);
  }
  await bundle.release();
});

it.each(['weight', 'channel', 'layer'])(
  'a bundle of masks per %s moves nothing where all are closed',
  async (maskGranularity) => {
    const checkpoint = tinyCheckpoint('prototype', { maskGranularity });
    for (const [name, { value }] of checkpoint.state.parameters) if (name.startsWith('mask/')) value.fill(-1);
    const bundle = await loadBundle(await writeTinyBundle(checkpoint));
    expect(bundle.manifest.patterns['sparse']).toMatchObject({ moving: [], layers: [] });
    const examples = examplesOf(randomImages('a', 4), ['x', 'y', 'x', 'y']);
    const [start, end] = await Promise.all(
      [0, 3].map(async (steps) => (await bundle.adapt(examples, { pattern: 'sparse', steps })).profile),
    );
    expect(end?.values).toEqual(start?.values);
    await bundle.release();
  },
);

describe.each([
  ['meta-sgd', 'weight'],
  ['sparse-relu-maml', 'weight'],
  ['sparse-relu-maml', 'channel'],
])('a bundle of rates by %s per %s', (rule, maskGranularity) => {
  const checkpoint = tinyCheckpoint('shared', { rule, maskGranularity, innerRate: 0.05 });
  const random = generatorFor(3, 'rates', 0);
  for (const [name, { value }] of checkpoint.state.parameters) {
    if (name.startsWith('rate/')) value.set(Array.from(value, () => 0.05 * Math.abs(random.normal())));
  }
  let bundle: Bundle;
  beforeAll(async () => {
    bundle = await loadBundle(await writeTinyBundle(checkpoint));
  });
  afterAll(() => bundle.release());
  const learned = rules.get(rule) as Rule;
  const inner = innerParameters(taskSettings(checkpoint.config, 1));
  const only = (layers: readonly string[]): Rule => ({ ...learned, moves: ({ layer }) => layers.includes(layer) });

  it.each([
    ['full', learned],
    ['head', only(['head'])],
    ['from-block2', only(['block2', 'head'])],
    ...(learned.mask ? [['sparse', learned] as const] : []),
  ] as const)(
    'adapts by pattern %s as the trainer does, with the rate of each moving entry',
    async (pattern, moving) => {
      const { results, examples } = adaptedByTaskGraph(checkpoint, moving, 3, 2, 3);
      const { profile } = await bundle.adapt(examples, { pattern, steps: 3 });
      for (const name of ['head.weight', 'head.bias']) {
        expect(relativeError(profile.values.get(name)?.data as Float32Array, results.get(name)?.data ?? []), name) //
          .toBeLessThan(1e-4);
      }
      const started = (await bundle.adapt(examples, { pattern, steps: 0 })).profile;
      for (const { name, moving: count, entries } of bundle.manifest.patterns[pattern]?.moving ?? []) {
        const [start, now] = [started, profile].map(({ values }) => values.get(name)?.data as Float32Array);
        expect(now).toHaveLength(count);
        const adapted = results.get(name)?.data ?? new Float64Array();
        const before = checkpoint.state.parameters.get(name)?.value as Float32Array;
        // What does not move is not stored; the rest has its order.
        const parameter = inner.find((candidate) => candidate.name === name) as InnerParameter;
        const source = checkpoint.state.parameters.get(learned.learns?.(parameter, 1).name ?? '');
        const rates = learned.rates?.(source?.value as Float32Array) ?? new Float32Array();
        const open = Array.from(adapted.keys()).filter((i) => rates[Math.floor((i * rates.length) / entries)] !== 0);
        expect(open).toHaveLength(count);
        // The steps themselves, which are small beside the values.
        const steps = open.map((i) => (adapted[i] as number) - (before[i] as number));
        const taken = Array.from(now as Float32Array, (value, i) => value - (start?.[i] as number));
        expect(relativeError(taken, steps), name).toBeLessThan(2e-3);
      }
    },
  );

  it('steps half as long at half the rate, and grows by classes', async () => {
    const { examples } = adaptedByTaskGraph(checkpoint, learned, 5, 1, 1);
    const biases = async (steps: number, rate: number) => {
      const { profile } = await bundle.adapt(examples, { pattern: 'full', steps, rate });
      return Array.from(profile.values.get('head.bias')?.data as Float32Array);
    };
    const [start, half, whole] = [await biases(0, 1), await biases(1, 0.025), await biases(1, 0.05)];
    const moved = (to: number[]) => to.map((value, i) => value - (start[i] as number));
    expect(start).toHaveLength(5);
    expect(
      relativeError(
        moved(whole),
        moved(half).map((step) => 2 * step),
      ),
    ).toBeLessThan(1e-2);
  });
});

import { type Bundle, loadBundle } from '@whet/runtime/node';
import { tinyCheckpoint, writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import { anil, maml, type Rule, sparseMaml } from '@whet/trainer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { relativeError } from '../parity/reference.js';
import { adaptedByTaskGraph, softmax } from '../parity/task-graph-route.js';

const from = (block: number): Rule => ({
  ...maml,
  moves: ({ layer }) => layer === 'head' || Number(layer.at(-1)) >= block,
});

const resnet12 = { architecture: 'resnet12', channels: [3, 4, 5, 6], imageChannels: 1, imageSize: 16 };
const narrowing = { architecture: 'conv4', channels: [5, 3, 4], blocks: 3, imageSize: 13, downsample: 'stride' };

const networks: [string, object, readonly [string, Rule][], readonly number[]][] = [
  [
    'ResNet-12',
    resnet12,
    [
      ['full', maml],
      ['from-block3', from(3)],
      ['head', anil],
      ['sparse', sparseMaml],
    ],
    [4, 4, 4],
  ],
  [
    'Conv4 with strides and channels by block',
    narrowing,
    [
      ['full', maml],
      ['from-block2', from(2)],
      ['head', anil],
      ['sparse', sparseMaml],
    ],
    [5, 7, 7],
  ],
];
const modes = ['support', 'population', 'layer'] as const;
const cases = networks.flatMap(([network, model, patterns, cached]) =>
  modes.map((normalization) => ({ network, model, patterns, cached, normalization })),
);

describe.each(cases)('a bundle of $network, $normalization', ({ model, patterns, cached, normalization }) => {
  const checkpoint = () => tinyCheckpoint('prototype', { model, normalization, innerRate: 1e-4 });
  let bundle: Bundle;
  beforeAll(async () => {
    bundle = await loadBundle(await writeTinyBundle(checkpoint()), { threads: 1 });
  });
  afterAll(() => bundle.release());

  it.each(patterns)('adapts by pattern %s as the trainer does', async (pattern, rule) => {
    const steps = 2;
    const { results, examples, query } = adaptedByTaskGraph(checkpoint(), rule, 3, 2, steps);
    const { profile, losses } = await bundle.adapt(examples, { pattern, steps });
    const expectedLosses = losses.map((_, step) => results.get(`loss@${step}`)?.data[0] as number);
    expect(relativeError(losses, expectedLosses)).toBeLessThan(1e-4);
    const compact = new Set(
      bundle.manifest.patterns[pattern]?.moving.filter((m) => m.moving < m.entries).map((m) => m.name),
    );
    for (const [name, { data }] of profile.values) {
      const expected = results.get(name)?.data;
      if (expected && !compact.has(name))
        expect(relativeError(data as Float32Array, expected), name).toBeLessThan(1e-4);
    }
    const logits = results.get('logits')?.data as Float64Array;
    for (const [row, image] of query.entries()) {
      const [prediction] = await bundle.predict(profile, [image]);
      const expected = softmax(logits.slice(row * 3, row * 3 + 3));
      expect(relativeError(Object.values(prediction?.probabilities ?? {}), expected)).toBeLessThan(1e-4);
    }
  });

  it('caches one value below the first block that moves', () => {
    const [, [second]] = patterns as [unknown, [string, Rule]];
    expect(bundle.manifest.patterns[second]?.features).toEqual(cached);
  });
});

describe.each(['support', 'population'] as const)('a residual block of which the middle moves, %s', (normalization) => {
  it('caches its shortcut beside what the middle reads, and adapts as the trainer does', async () => {
    const checkpoint = tinyCheckpoint('prototype', { model: resnet12, normalization, innerRate: 0.05 });
    for (const [name, { value }] of checkpoint.state.parameters) {
      if (name.startsWith('mask/')) value.fill(name === 'mask/block4.conv2.weight' ? 1 : -1);
    }
    const bundle = await loadBundle(await writeTinyBundle(checkpoint), { threads: 1 });
    // 6 channels of 2 x 2 pixels each.
    expect(bundle.manifest.patterns['sparse']).toMatchObject({ layers: ['block4'], features: [48] });
    const { results, examples, query } = adaptedByTaskGraph(checkpoint, sparseMaml, 3, 2, 2);
    const { profile } = await bundle.adapt(examples, { pattern: 'sparse', steps: 2 });
    const name = 'block4.conv2.weight';
    const moved = profile.values.get(name)?.data as Float32Array;
    expect(relativeError(moved, results.get(name)?.data ?? [])).toBeLessThan(1e-4);
    expect(relativeError(moved, checkpoint.state.parameters.get(name)?.value ?? [])).toBeGreaterThan(1e-3);
    const [prediction] = await bundle.predict(profile, query.slice(0, 1));
    const expected = softmax(Array.from(results.get('logits')?.data.slice(0, 3) ?? []));
    expect(relativeError(Object.values(prediction?.probabilities ?? {}), expected)).toBeLessThan(1e-4);
    await bundle.release();
  });
});

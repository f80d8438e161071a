import { type Bundle, loadBundle } from '@whet/runtime/node';
import { anil, maml, type Rule, sparseMaml } from '@whet/trainer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { relativeError } from './reference.js';
import { adaptedByTaskGraph, softmax } from './task-graph-route.js';
import { tinyCheckpoint, writeTinyBundle } from './tiny-bundle.js';

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
  const checkpoint = () => tinyCheckpoint('prototype', { model, normalization, innerRate: 0.01 });
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
    const [, [second] = ['']] = patterns as [string, Rule][];
    expect(bundle.manifest.patterns[second as string]?.features).toEqual(
      normalization === 'support' ? expect.anything() : cached,
    );
  });
});

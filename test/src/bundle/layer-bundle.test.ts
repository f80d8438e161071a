import { type Bundle, loadBundle } from '@whet/runtime/node';
import { tinyCheckpoint, writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import { anil, maml, type Rule, sparseMaml } from '@whet/trainer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { relativeError } from '../parity/reference.js';
import { adaptedByTaskGraph, softmax } from '../parity/task-graph-route.js';

const patterns: [string, Rule][] = [
  ['full', maml],
  ['head', anil],
  ['from-block2', { ...maml, moves: ({ layer }) => layer !== 'block1' }],
  ['sparse', sparseMaml],
];

describe('a bundle whose images are normalized by themselves', () => {
  const checkpoint = () => tinyCheckpoint('prototype', { normalization: 'layer', innerRate: 0.05 });
  let bundle: Bundle;
  beforeAll(async () => {
    bundle = await loadBundle(await writeTinyBundle(checkpoint()), { threads: 1 });
  });
  afterAll(() => bundle.release());

  it.each(patterns)('adapts by pattern %s as the trainer does, and stores no moments', async (pattern, rule) => {
    const steps = 3;
    const { results, examples, query } = adaptedByTaskGraph(checkpoint(), rule, 3, 2, steps);
    const { profile, losses } = await bundle.adapt(examples, { pattern, steps });
    losses.forEach((loss, step) => {
      expect(relativeError([loss], [results.get(`loss@${step}`)?.data[0] as number])).toBeLessThan(1e-4);
    });
    expect([...profile.values.keys()].filter((name) => /\.(mean|variance)$/.test(name))).toEqual([]);
    const logits = results.get('logits')?.data as Float64Array;
    const together = await bundle.predict(profile, query);
    for (const [row, image] of query.entries()) {
      const [alone] = await bundle.predict(profile, [image]);
      const expected = softmax(logits.slice(row * 3, row * 3 + 3));
      expect(relativeError(Object.values(alone?.probabilities ?? {}), expected)).toBeLessThan(1e-4);
      expect(relativeError(Object.values(together[row]?.probabilities ?? {}), expected)).toBeLessThan(1e-4);
    }
  });
});

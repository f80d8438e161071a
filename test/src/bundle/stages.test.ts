import type { Profile } from '@whet/runtime';
import { type Bundle, loadBundle } from '@whet/runtime/node';
import { tinyCheckpoint, writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import { anil, maml, sparseMaml } from '@whet/trainer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { relativeError } from '../parity/reference.js';
import { adaptedByTaskGraph, softmax } from '../parity/task-graph-route.js';

const [WAYS, STAGES, SHOTS, STEPS] = [6, 3, 2, 2];

describe('a profile that goes on from stage to stage', () => {
  const checkpoint = tinyCheckpoint('prototype');
  let bundle: Bundle;
  beforeAll(async () => {
    bundle = await loadBundle(await writeTinyBundle(checkpoint));
  });
  afterAll(() => bundle.release());

  it.each([
    ['full', maml, 0],
    ['sparse', sparseMaml, 0],
    ['head', anil, 0],
    ['head', anil, SHOTS],
  ] as const)('is where meta-training of streams takes it: %s', async (pattern, rule, remember) => {
    const stream = { stages: STAGES, remember };
    const { results, examples, query } = adaptedByTaskGraph(checkpoint, rule, WAYS, SHOTS, STEPS, stream);
    const each = examples.length / STAGES;
    let from: Profile | undefined;
    const losses: number[] = [];
    for (let stage = 0; stage < STAGES; stage++) {
      const taught = examples.slice(stage * each, (stage + 1) * each);
      const adapted = await bundle.adapt(taught, { ...(from ? { from } : { pattern }), remember, steps: STEPS });
      from = adapted.profile;
      losses.push(...adapted.losses);
    }
    // Remembered features are signed bytes.
    const bound = remember > 0 ? 0.02 : 1e-4;
    losses.forEach((loss, step) => {
      expect(relativeError([loss], [results.get(`loss@${step}`)?.data[0] as number], 0.1)).toBeLessThan(bound);
    });
    const logits = results.get('logits')?.data as Float64Array;
    const predictions = await bundle.predict(from as Profile, query);
    for (const [row, { probabilities }] of predictions.entries()) {
      const expected = softmax(logits.slice(row * WAYS, (row + 1) * WAYS));
      expect(relativeError(Object.values(probabilities), expected)).toBeLessThan(bound);
    }
  });
});

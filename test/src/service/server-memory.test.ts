import { WhetClient } from '@whet/runtime/client';
import { type Bundle, loadBundle } from '@whet/runtime/node';
import { createMemoryStore, type RunningServer, startServer } from '@whet/server';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { photographs } from '../bundle/photographs.js';
import { compileBytes } from '../compile/compile-helpers.js';
import { checkAnswersOf } from './check-answers.js';
import { post } from './server-fixture.js';

const { model, pictures } = photographs(13, 0.4);
let bundle: Bundle;
let server: RunningServer;
beforeAll(async () => {
  const { directory } = await compileBytes(model, { patterns: { head: ['none'], last: ['last:1'] }, rate: 0.01 });
  bundle = await loadBundle(directory, { threads: 1 });
  server = await startServer({ bundles: new Map([['m', bundle]]), store: createMemoryStore(), version: '1.2.3' });
  await checkAnswersOf(server.url);
});
afterAll(async () => {
  await server?.close();
  await bundle?.release();
});

const all = pictures({ a: 12, b: 12, c: 12, d: 12 });
const some = (labels: string, from: number, to: number) =>
  all.filter(({ label }, i) => labels.includes(label) && i % 12 >= from && i % 12 < to);

describe('a profile that learns day after day, when yesterday’s pictures are gone', () => {
  it('is level with one that was adapted to all at once, where it remembers them', async () => {
    const client = new WhetClient(server.url);
    const first = await client.adapt({ examples: some('ab', 0, 5), pattern: 'head', remember: 5 });
    const plain = await client.adapt({ examples: some('ab', 0, 5), pattern: 'head' });
    expect(first.bytes - plain.bytes).toBeLessThan(10 * (8 + 4 + 4) + 700);
    for (const label of ['c', 'd']) {
      const { profile } = first;
      const answer = await client.adapt({ examples: some(label, 0, 5), profile, continue: true });
      expect([answer.added, answer.solved]).toEqual([[label], true]);
    }
    const whole = await client.adapt({ examples: some('abcd', 0, 5), pattern: 'head' });
    const asked = some('abcd', 5, 12);
    const right = async (profile: string) => {
      const images = asked.map(({ image }) => image);
      const { predictions } = await client.predict({ profile }, images);
      return predictions.filter(({ label }, i) => label === asked[i]?.label).length;
    };
    expect(Math.abs((await right(first.profile)) - (await right(whole.profile)))).toBeLessThanOrEqual(1);
  });

  it.each([
    [{ remember: -1 }, 'remember', /expected a whole number of 0 or more, got -1/],
    [{ remember: 300 }, 'remember', /expected at most 250 in all, .* got 300 of each of 2 classes/],
    [{ anchor: 1 }, 'anchor', /expected a number of 0 or more and below 1, got 1/],
    [{ anchor: 0.5 }, 'anchor', /expected with a profile to go on from, got none/],
  ])('refuses %j', async (more, field, detail) => {
    const examples = some('ab', 0, 2).map(({ label, image }) => ({ label, tensor: [...image] }));
    const answer = await post(`${server.url}/adapt`, { examples, ...more });
    const problem = (await answer.json()) as { field: string; detail: string };
    expect([answer.status, problem.field]).toEqual([422, field]);
    expect(problem.detail).toMatch(detail);
  });
});

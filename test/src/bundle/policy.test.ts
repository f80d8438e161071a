import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Manifest } from '@whet/runtime';
import { loadBundle } from '@whet/runtime/node';
import { beforeAll, describe, expect, it } from 'vitest';
import { compileBytes } from '../compile/compile-helpers.js';
import { photographs } from './photographs.js';

const { model, pictures } = photographs(7);
const several = pictures({ a: 4, b: 4, c: 4 });
const lone = pictures({ a: 1, b: 1, c: 1 });

let directory: string;
beforeAll(async () => {
  const patterns = { head: ['none'], last: ['last:1'], all: ['all'] };
  ({ directory } = await compileBytes(model, { patterns, rate: 0.01, steps: 3 }));
});

/** The bundle with a policy, which may be none. */
async function withPolicy(policy: unknown) {
  const path = join(directory, 'manifest.json');
  const manifest = JSON.parse(await readFile(path, 'utf8')) as Manifest;
  await writeFile(path, JSON.stringify({ ...manifest, auto: true, policy }));
  return loadBundle(directory, { threads: 1 });
}

describe('a policy', () => {
  it.each([
    ['started', 'head', false, 0, 'the head is best as it starts'],
    ['solved', 'head', true, 0, 'views of the examples have a loss of'],
    ['viewed', 'head', true, 0, 'a head of views of all of them too'],
  ])('may end with the head %s', async (head, pattern, solved, steps, reason) => {
    const bundle = await withPolicy({ several: [{ head }], lone: [{ head: 'started' }] });
    const { profile, auto, ...told } = await bundle.adapt(several);
    expect([profile.pattern, told.solved, profile.steps]).toEqual([pattern, solved, steps]);
    expect(auto?.reason).toContain(reason);
    expect(auto?.trials[0]?.views?.asked).toBe(18);
    expect(told.heldBack?.asked).toBe(12);
    const viewed = auto?.trials.map(({ withViews }) => withViews) ?? [];
    expect(Math.max(...viewed)).toBe(head === 'viewed' ? 6 : 0);
    await bundle.release();
  });

  it('takes the first rule that the loss of views is below, the last where it is below none', async () => {
    const rules = [{ below: 1e-9, head: 'started' }, { below: 1e9, steps: 'last' }, { head: 'solved' }];
    const bundle = await withPolicy({ several: rules, lone: [{ below: 1e-9, steps: 'last' }, { steps: 'all' }] });
    const first = await bundle.adapt(several);
    expect([first.profile.pattern, first.losses.length]).toEqual(['last', 3]);
    expect(first.auto?.reason).toContain('steps of "last"');
    const second = await bundle.adapt(lone);
    expect([second.profile.pattern, second.losses.length]).toEqual(['all', 3]);
    await bundle.release();
  });

  it('ends with the head in closed form where steps take longer than there is time for', async () => {
    const bundle = await withPolicy({ several: [{ steps: 'all' }], lone: [{ steps: 'all' }] });
    // The clock stands still until the first step, which takes an hour.
    const { now } = performance;
    let late = 0;
    performance.now = () => late;
    try {
      const onStep = () => {
        late = 3_600_000;
      };
      const steps = { budgetMs: 1000, onStep };
      const { profile, auto, solved, losses } = await bundle.adapt(several, steps);
      expect([profile.pattern, solved, losses]).toEqual(['head', true, []]);
      expect(auto?.reason).toMatch(/steps of "all", which take more than the budget of 1000 ms$/);
    } finally {
      performance.now = now;
    }
    await bundle.release();
    const few = await loadBundle(directory, { threads: 1, patterns: ['head', 'last'] });
    const { profile, auto } = await few.adapt(several);
    expect(profile.pattern).toBe('head');
    expect(auto?.reason).toContain('; "all" is not loaded');
    await few.release();
    // Of one pattern that is loaded the policy still says how its head ends.
    const alone = await loadBundle(directory, { threads: 1, patterns: ['head'] });
    expect((await alone.adapt(several)).auto?.trials[0]?.views).toBeDefined();
    await alone.release();
  });

  it.each([
    ['of no rules', { several: [], lone: [{ head: 'solved' }] }, 'policy.several'],
    ['without the end', { several: [{ below: 1, head: 'solved' }], lone: [{ head: 'solved' }] }, 'expected a bound'],
    [
      'with a bound too few',
      { several: [{ head: 'solved' }, { head: 'viewed' }], lone: [{ head: 'solved' }] },
      'bound',
    ],
    ['for tasks of one kind', { several: [{ head: 'solved' }] }, 'policy.lone'],
    ['of another head', { several: [{ head: 'other' }], lone: [{ head: 'solved' }] }, 'policy.several.0'],
    [
      'of a pattern there is none of',
      { several: [{ steps: 'deep' }], lone: [{ head: 'solved' }] },
      'policy: "deep" is not one of its patterns',
    ],
  ])('%s is refused', async (_what, policy, message) => {
    await expect(withPolicy(policy)).rejects.toThrow(message);
    await writeFile(
      join(directory, 'manifest.json'),
      JSON.stringify({ ...JSON.parse(await readFile(join(directory, 'manifest.json'), 'utf8')), policy: undefined }),
    );
  });
});

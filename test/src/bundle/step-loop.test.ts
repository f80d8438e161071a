import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type AdaptOptions, Bundle } from '@whet/runtime';
import { createSession } from '@whet/runtime/node';
import { randomImages, writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import type { InferenceSession } from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileBytes } from '../compile/compile-helpers.js';
import { examplesOf } from '../parity/task-graph-route.js';
import { photographs } from './photographs.js';

/** A bundle, and how many runs there were of graphs that take steps. */
async function open(directory: string, loops: boolean) {
  const counted = { runs: 0 };
  const bundle = await Bundle.open({
    location: directory,
    read: (path) => readFile(join(directory, path)),
    createSession: async (model, weights) => {
      const session = await createSession(model, { threads: 1 }, weights);
      if (!session.inputNames.some((name) => name === 'rate' || name === 'whet.rates')) return session;
      const run = session.run.bind(session);
      session.run = (feeds: InferenceSession.FeedsType) => {
        counted.runs++;
        return run(feeds);
      };
      return session;
    },
    loops,
  });
  return Object.assign(counted, { bundle });
}

const { model, pictures } = photographs(5);
const tiny = examplesOf(randomImages('loop', 6), ['a', 'b', 'a', 'b', 'a', 'b']);
const networks = [
  { name: 'gradients of the head', write: () => writeTinyBundle(), pattern: 'full', examples: tiny },
  {
    name: 'Adam on prototypes',
    write: async () => (await compileBytes(model, { patterns: { last: ['last:1'] }, rate: 0.01 })).directory,
    pattern: 'last',
    examples: pictures({ a: 4, b: 3 }),
  },
];

describe.each(networks)('several steps in one run: $name', ({ write, pattern, examples }) => {
  let [looped, single]: Awaited<ReturnType<typeof open>>[] = [];
  beforeAll(async () => {
    const directory = await write();
    [looped, single] = [await open(directory, true), await open(directory, false)];
  });
  afterAll(() => Promise.all([looped?.bundle.release(), single?.bundle.release()]));

  const adapt = async (counted: typeof looped, options: AdaptOptions) => {
    const { bundle, runs } = counted as NonNullable<typeof looped>;
    const came = await bundle.adapt(examples, { pattern, always: true, ...options });
    return { ...came, runs: (counted as NonNullable<typeof looped>).runs - runs };
  };

  it.each([1, 7])('%d lead where single ones do', async (steps) => {
    const [one, other] = [await adapt(looped, { steps }), await adapt(single, { steps })];
    expect([one.runs, other.runs]).toEqual([1, steps]);
    expect(one.losses).toEqual(other.losses);
    expect(one.loss).toBe(other.loss);
    for (const [name, { data }] of other.profile.values) expect(one.profile.values.get(name)?.data).toEqual(data);
  });

  it.each([1, 30, 1e4, 1e30])('go back where single ones do, at rate %d', async (rate) => {
    const [one, other] = [await adapt(looped, { steps: 12, rate }), await adapt(single, { steps: 12, rate })];
    expect([one.losses, one.loss, one.halved]).toEqual([other.losses, other.loss, other.halved]);
    for (const [name, { data }] of other.profile.values) expect(one.profile.values.get(name)?.data).toEqual(data);
  });

  it('are each heard of, in order, and end where they are asked to', async () => {
    const heard: number[] = [];
    const losses: number[] = [];
    const onStep = (step: number, loss: number) => {
      heard.push(step);
      losses.push(loss);
    };
    const came = await adapt(looped, { steps: 9, onStep });
    expect(heard).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(losses).toEqual([...came.losses]);
    const stop = new AbortController();
    const asked = adapt(looped, { steps: 9, signal: stop.signal, onStep: () => stop.abort(new Error('enough')) });
    await expect(asked).rejects.toThrow('enough');
  });
});

import { Tensor } from 'onnxruntime-common';
import { expect, it } from 'vitest';
import type { Pattern } from './pattern.js';
import { askSolved, askStrangers } from './solve.js';
import { dataOf, type TensorFeeds } from './tensors.js';

const WAYS = 3;
const labels = Int32Array.of(0, 0, 1, 1, 1, 2);
const rows = {
  encoded: {},
  labels,
  ways: WAYS,
  examples: labels.map((_, i) => i),
  support: new Float32Array(labels.length).fill(1),
};

/** What each head says of a row tells which rows it is made of, and which row it is. */
async function run(feeds: TensorFeeds): Promise<TensorFeeds> {
  const { dims } = feeds['support'] as Tensor;
  const [heads, count] = dims as [number, number];
  const support = dataOf(feeds['support']);
  const madeOf = Array.from({ length: heads }, (_, k) =>
    support.subarray(k * count, (k + 1) * count).reduce((sum, value, n) => sum + value * 2 ** n, 0),
  );
  const logits = madeOf.flatMap((made) =>
    Array.from({ length: count * WAYS }, (_, at) => 1000 * made + 10 * Math.floor(at / WAYS) + (at % WAYS)),
  );
  return { logits: new Tensor('float32', Float32Array.from(logits), [heads, count, WAYS]) };
}

it('asks about rows and classes that were left out at once as it does one after the other', async () => {
  let runs = 0;
  const session = {
    inputNames: ['labels', 'support'],
    run: (feeds: TensorFeeds) => {
      runs++;
      return run(feeds);
    },
  };
  const pattern = { solve: session } as unknown as Pattern;
  const both = await askStrangers(pattern, rows, {}, true);
  expect(runs).toBe(1);
  expect(both.held).toEqual(await askSolved(pattern, rows, {}));
  expect(both.strangers).toEqual((await askStrangers(pattern, rows, {}, false)).strangers);
  // A class that has one example is not asked about by the others of it.
  expect([...(both.held?.counts ?? [])]).toEqual([1, 1, 1, 1, 1, 0]);
  expect([...both.strangers.counts]).toEqual([1, 1, 1, 1, 1, 1]);
  // The first row of a head of classes 1 and 2: rows 2 to 5.
  expect([...both.strangers.logits.subarray(0, WAYS)]).toEqual([60000, 60001, 60002]);
});

import { readFile } from 'node:fs/promises';
import { evaluate, GraphBuilder, makeTensor } from '@whet/compiler';
import { describe, expect, it } from 'vitest';
import { ridgeHeads } from './ridge.js';

interface Reference {
  readonly features: number[][];
  readonly labels: number[];
  readonly supports: number[][];
  readonly heads: { readonly weight: number[][]; readonly bias: number[]; readonly outputs: number[][] }[];
}

const place = new URL('../../test/reference/ridge.json', import.meta.url);
const reference = JSON.parse(await readFile(place, 'utf8')) as Reference;
const ways = 3;

function headsOf(features: readonly number[][], labels: readonly number[], supports: readonly number[][]) {
  const g = new GraphBuilder();
  const [count, length] = [labels.length, features[0]?.length as number];
  const inputs = [g.input('features', ['N', length]), g.input('labels', ['N', 'W']), g.input('support', ['K', 'N', 1])];
  const [z, y, support] = inputs as [(typeof inputs)[0], (typeof inputs)[0], (typeof inputs)[0]];
  const { weight, bias, outputs } = ridgeHeads(g, z, y, support);
  const float64 = (shape: number[], values: readonly number[]) => makeTensor(shape, Float64Array.from(values));
  const oneHot = labels.flatMap((label) => Array.from({ length: ways }, (_, way) => Number(way === label)));
  return evaluate(
    { name: 'ridge', inputs, outputs: new Map(Object.entries({ weight, bias, outputs })) },
    new Map([
      ['features', float64([count, length], features.flat())],
      ['labels', float64([count, ways], oneHot)],
      ['support', float64([supports.length, count, 1], supports.flat())],
    ]),
  );
}

describe('heads in closed form', () => {
  it('are those of weighted least squares in float64, each of its own rows, one of a class that is absent', () => {
    const found = headsOf(reference.features, reference.labels, reference.supports);
    for (const name of ['weight', 'bias', 'outputs'] as const) {
      const expected = reference.heads.flatMap((head) => (head[name] as (number | number[])[]).flat());
      const got = Array.from(found.get(name)?.data ?? [], Number);
      expect(got.length).toBe(expected.length);
      for (const [at, value] of expected.entries()) expect(got[at]).toBeCloseTo(value, 5);
    }
  });

  it.each([
    [0.6, 0.8],
    [0, 0],
  ])('of examples that are all (%d, %d) call every class as probable as the others', (...row) => {
    const found = headsOf([row, row, row], [0, 1, 2], [[1, 1, 1]]);
    for (const value of found.get('outputs')?.data ?? []) expect(value).toBeCloseTo(1 / 3, 3);
  });
});

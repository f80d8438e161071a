import { evaluate, GraphBuilder, makeTensor } from '@whet/compiler';
import { expect, it } from 'vitest';
import { ridgeHeads } from './ridge.js';

it.each([
  [0.6, 0.8],
  [0, 0],
])('a head in closed form of examples that are all (%d, %d) calls every class as probable as the others', (...row) => {
  const g = new GraphBuilder();
  const inputs = {
    features: g.input('features', ['N', 2]),
    labels: g.input('labels', ['N', 'W']),
    support: g.input('support', ['K', 'N', 1]),
  };
  const { outputs } = ridgeHeads(g, inputs.features, inputs.labels, inputs.support);
  const feeds = {
    features: makeTensor([3, 2], [...row, ...row, ...row]),
    labels: makeTensor([3, 3], [1, 0, 0, 0, 1, 0, 0, 0, 1]),
    support: makeTensor([1, 3, 1], [1, 1, 1]),
  };
  const found = evaluate(
    { name: 'ridge', inputs: Object.values(inputs), outputs: new Map([['outputs', outputs]]) },
    new Map(Object.entries(feeds)),
  );
  for (const value of found.get('outputs')?.data ?? []) expect(value).toBeCloseTo(1 / 3, 3);
});

import { evaluate, makeTensor, sizeOf, type Tensor } from '@whet/compiler';
import { conv4 } from '@whet/models';
import { maml, metaGradientGraph, normalizations, STEP_WEIGHTS, type TaskSettings } from '@whet/trainer';
import { describe, expect, it } from 'vitest';

const settings = (partial: Partial<TaskSettings>): TaskSettings => ({
  backbone: conv4({ channels: 3, blocks: 2, imageSize: 6 }),
  head: 'shared',
  rule: maml,
  order: 2,
  normalization: normalizations.support,
  ways: 2,
  shots: 2,
  queries: 1,
  steps: 3,
  innerRate: 0.1,
  ...partial,
});

function gradientsOf(partial: Partial<TaskSettings>, weights: readonly number[] = []): Map<string, Tensor> {
  const graph = metaGradientGraph(settings(partial));
  const feeds = new Map(
    graph.inputs.map(({ name, shape }) => {
      const known = shape as readonly number[];
      if (name === STEP_WEIGHTS) return [name, makeTensor(known, weights)] as const;
      // By the name, so that graphs of other inputs get the same values.
      const seed = [...name].reduce((sum, character) => sum + character.charCodeAt(0), 0);
      const wave = Float64Array.from({ length: sizeOf(known) }, (_, i) => Math.sin(1.7 * i + seed));
      const labels = wave.map((_, i) => Number(Math.floor(i / 2) % 2 === i % 2));
      const data = name.endsWith('Labels') ? labels : name.endsWith('.variance') ? wave.map((v) => 1.5 + v) : wave;
      return [name, makeTensor(known, data)] as const;
    }),
  );
  return evaluate(graph, feeds);
}

describe('the query loss after every inner step', () => {
  it.each(Object.values(normalizations))(
    'has the weighted sum of the meta-gradients after 1, 2 and 3 steps, $name',
    (normalization) => {
      const weights = [0.2, 0.3, 0.5];
      const together = gradientsOf({ normalization, stepLosses: true }, weights);
      const apart = [1, 2, 3].map((steps) => gradientsOf({ normalization, steps }));
      const names = [...together.keys()].filter((name) => name.startsWith('grad/'));
      expect(names.length).toBeGreaterThan(5);
      for (const name of names) {
        together.get(name)?.data.forEach((value, i) => {
          const sum = apart.reduce((total, each, step) => {
            return total + (weights[step] as number) * (each.get(name)?.data[i] ?? Number.NaN);
          }, 0);
          expect(value, name).toBeCloseTo(sum, 10);
        });
      }
      expect(together.get('loss')?.data[0]).toBeCloseTo(apart[2]?.get('loss')?.data[0] as number, 12);
    },
  );
});

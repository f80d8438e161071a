import { evaluate, GraphBuilder, makeTensor, matrixTranspose } from '@whet/compiler';
import { grownHead } from '@whet/models';
import { generatorFor } from '@whet/trainer';
import { describe, expect, it } from 'vitest';

const [F, C] = [6, 4];
const random = generatorFor(2, 'grown', 0);
const normals = (length: number) => Float64Array.from({ length }, () => random.normal());

/** Rows of new classes, evaluated in float64; `labels` are their numbers, -1 of a kept class's example. */
function grow(weight: Float64Array, bias: Float64Array, features: Float64Array, labels: readonly number[]) {
  const g = new GraphBuilder();
  const ways = Math.max(...labels) + 1;
  const oneHot = labels.flatMap((label) => Array.from({ length: ways }, (_, way) => Number(way === label)));
  const kept = { weight: g.constant(makeTensor([C, F], weight)), bias: g.constant(makeTensor([C], bias)) };
  const inputs = [
    g.constant(makeTensor([labels.length, F], features)),
    g.constant(makeTensor([labels.length, ways], oneHot)),
  ];
  const head = grownHead(g, kept, inputs[0] as never, inputs[1] as never);
  const logits = g.apply('Add', [g.apply('MatMul', [inputs[0], matrixTranspose(g, head.weight)], {}), head.bias], {});
  const outputs = new Map(Object.entries({ ...head, logits }));
  const found = evaluate({ name: 'grown', inputs: [], outputs }, new Map());
  const data = (name: string) => Float64Array.from(found.get(name)?.data ?? [], Number);
  const gaps = labels.map((_, n) => {
    const row = features.subarray(n * F, (n + 1) * F);
    const kepts = Array.from(bias, (b, c) => row.reduce((sum, f, i) => sum + f * (weight[c * F + i] as number), b));
    const total = Math.log(kepts.reduce((sum, logit) => sum + Math.exp(logit), 0));
    return Array.from(data('logits').subarray(n * ways, (n + 1) * ways), (logit) => logit - total);
  });
  return { weight: data('weight'), bias: data('bias'), gaps };
}

const mean = (list: readonly number[]) => list.reduce((a, b) => a + b, 0) / list.length;

describe('a row for a new class', () => {
  const weight = normals(C * F);
  const bias = normals(C);
  const labels = [-1, -1, 0, 0, 0, 1, 1];
  const features = normals(labels.length * F);

  it.each([
    ['with examples of kept classes', labels],
    ['without', labels.map((label) => Math.max(label, 0))],
  ])('starts its examples at even odds to e to 1 against the kept classes, %s', (_, which) => {
    const { gaps } = grow(weight, bias, features, which);
    for (const way of [0, 1]) {
      const own = mean(which.flatMap((label, n) => (label === way ? [gaps[n]?.[way] as number] : [])));
      expect(own).toBeGreaterThan(-1e-9);
      expect(own).toBeLessThan(1 + 1e-9);
    }
  });

  it('is as long on average as the kept rows, around their mean', () => {
    const found = grow(weight, bias, features, labels);
    const centre = Float64Array.from({ length: F }, (_, i) =>
      mean(Array.from({ length: C }, (__, c) => weight[c * F + i] as number)),
    );
    const lengths = (rows: Float64Array) =>
      Array.from({ length: rows.length / F }, (_, r) =>
        Math.hypot(...centre.map((c, i) => (rows[r * F + i] as number) - c)),
      );
    expect(mean(lengths(found.weight))).toBeCloseTo(mean(lengths(weight)), 4);
  });

  it('moves with what all kept rows share, which softmax does not see', () => {
    const shift = normals(F);
    const found = grow(weight, bias, features, labels);
    const shifted = grow(
      weight.map((value, i) => value + (shift[i % F] as number)),
      bias.map((value) => value + 3),
      features,
      labels,
    );
    for (const [i, value] of shifted.weight.entries())
      expect(value).toBeCloseTo((found.weight[i] as number) + (shift[i % F] as number), 9);
    for (const [i, value] of shifted.bias.entries()) expect(value).toBeCloseTo((found.bias[i] as number) + 3, 9);
  });
});

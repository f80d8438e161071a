import type { Tensor } from 'onnxruntime-common';
import { MEMORY } from './memory.js';
import type { ProfileValue } from './profile.js';
import type { Rows } from './rows.js';
import { dataOf } from './tensors.js';

// Which examples a profile remembers, loaded for those who ask for it.

/** Vectors of length 1: what is compared of features is their direction. */
function directions(features: Float32Array, length: number): Float64Array {
  const made = Float64Array.from(features);
  for (let from = 0; from < made.length; from += length) {
    const row = made.subarray(from, from + length);
    const size = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0)) || 1;
    for (let i = 0; i < length; i++) row[i] = (row[i] as number) / size;
  }
  return made;
}

/**
 * Numbers of the `count` rows whose mean comes nearest to the weighted mean of all, each taken as the best beside those taken before
 * (herding, Welling 2009, as Rebuffi et al. 2017 choose exemplars).
 */
function herd(
  rows: readonly number[],
  weights: readonly number[],
  all: Float64Array,
  length: number,
  count: number,
): readonly number[] {
  if (rows.length <= count) return rows;
  const target = new Float64Array(length);
  const total = weights.reduce((sum, value) => sum + value, 0);
  for (const [at, row] of rows.entries()) {
    const share = (weights[at] as number) / total;
    for (let i = 0; i < length; i++) target[i] = (target[i] as number) + share * (all[row * length + i] as number);
  }
  const dot = (row: number, other: Float64Array, from: number): number => {
    let product = 0;
    for (let i = 0; i < length; i++) product += (all[row * length + i] as number) * (other[from + i] as number);
    return product;
  };
  // Of rows of length 1 the distance of a mean from the target follows from products with the target and with those taken before.
  const near = new Map(rows.map((row) => [row, dot(row, target, 0)]));
  const beside = new Map(rows.map((row) => [row, 0]));
  const chosen: number[] = [];
  while (chosen.length < count) {
    const parts = chosen.length + 1;
    let [best, least] = [-1, Number.POSITIVE_INFINITY];
    for (const [row, product] of beside) {
      const away = product / parts - (near.get(row) as number);
      if (away < least) [best, least] = [row, away];
    }
    beside.delete(best);
    chosen.push(best);
    for (const [row, product] of beside) beside.set(row, product + dot(row, all, best * length));
  }
  return chosen;
}

/**
 * The memory of a profile: of each class as many rows as are asked for, chosen so that the mean of the class is kept. The first `before.rows`
 * rows are those remembered before, which stand for all the examples that their class had, `before.examples`. Views are not remembered.
 */
export async function memoryOf(
  rows: Rows,
  remember: number,
  before: { readonly rows: number; readonly examples: readonly number[] },
  signal: AbortSignal | undefined,
): Promise<Map<string, ProfileValue>> {
  const features = rows.encoded['features'] as Tensor;
  const length = features.size / (features.dims[0] as number);
  const all = directions(dataOf(features), length);
  const own = Array.from({ length: rows.ways }, (): number[] => []);
  for (const [i, label] of rows.labels.entries()) if (rows.support[i] === 1) own[label]?.push(i);
  const chosen: { readonly row: number; readonly label: number }[] = [];
  for (const [label, numbers] of own.entries()) {
    // Whoever wants it to end is heard between classes.
    await new Promise((resolve) => setTimeout(resolve));
    signal?.throwIfAborted();
    const old = numbers.filter((i) => i < before.rows).length;
    const each = old > 0 ? Math.max(before.examples[label] ?? 0, old) / old : 1;
    const weights = numbers.map((i) => (i < before.rows ? each : 1));
    for (const row of herd(numbers, weights, all, length, remember)) chosen.push({ row, label });
  }
  const kept = new Float32Array(chosen.length * length);
  for (const [at, { row }] of chosen.entries()) {
    kept.set(dataOf(features).subarray(row * length, (row + 1) * length), at * length);
  }
  return new Map([
    [MEMORY.features, { shape: [chosen.length, length], data: kept }],
    [MEMORY.labels, { shape: [chosen.length], data: Float32Array.from(chosen, ({ label }) => label) }],
  ]);
}

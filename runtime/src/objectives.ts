import { Tensor } from 'onnxruntime-common';
import { oneHot } from './one-hot.js';
import type { Pattern } from './pattern.js';
import { rowLoss } from './row-loss.js';
import type { Rows } from './rows.js';
import { runSession } from './run-session.js';
import type { Objective } from './take-steps.js';
import { dataOf, type TensorFeeds } from './tensors.js';

const vector = (data: Float32Array): Tensor => new Tensor('float32', data, [data.length]);

/** One-hot labels `[N, ways]`. */
export const oneHotTensor = (labels: Int32Array, ways: number): Tensor =>
  new Tensor('float32', oneHot(labels, ways), [labels.length, ways]);

/** Mean of {@link rowLoss} over logits `[N, W]`, by weights. */
function meanLoss(logits: Float32Array, labels: Int32Array, weights: Float32Array | undefined, smoothing = 0): number {
  const ways = logits.length / labels.length;
  let [sum, total] = [0, 0];
  for (const [row, label] of labels.entries()) {
    const weight = weights?.[row] ?? 1;
    if (weight === 0) continue;
    sum += weight * rowLoss(logits.subarray(row * ways, (row + 1) * ways), label, smoothing);
    total += weight;
  }
  return sum / total;
}

/** Moments of the moving normalizations at given values. */
export const momentsAt = async (pattern: Pattern, encoded: TensorFeeds, values: TensorFeeds): Promise<TensorFeeds> =>
  pattern.observe ? runSession(pattern.observe, { ...encoded, ...values }) : {};

/** Logits `[N, W]` of rows by prototypes that each is no part of. */
export async function leftOutLogits(pattern: Pattern, rows: Rows, values: TensorFeeds): Promise<Float32Array> {
  const { encoded, labels, ways, support } = rows;
  const feeds = { ...encoded, labels: oneHotTensor(labels, ways), support: vector(support), ...values };
  const { logits } = await runSession(pattern.leftOut as NonNullable<Pattern['leftOut']>, feeds);
  return dataOf(logits);
}

/** The head's own loss of the rows. */
export function headObjective(pattern: Pattern, { encoded, labels, ways }: Rows): Objective {
  return {
    feeds: { ...encoded, labels: oneHotTensor(labels, ways) },
    lossAt: async (values) => {
      const moments = await momentsAt(pattern, encoded, values);
      const { probabilities } = await runSession(pattern.predict, { ...encoded, ...values, ...moments });
      const logits = dataOf(probabilities).map(Math.log);
      return meanLoss(logits, labels, undefined, pattern.manifest.smoothing);
    },
  };
}

/** The loss of what is asked about by prototypes that it is no part of. */
export function prototypeObjective(pattern: Pattern, rows: Rows, queries: Float32Array): Objective {
  const { encoded, labels, ways, support } = rows;
  return {
    feeds: { ...encoded, labels: oneHotTensor(labels, ways), support: vector(support), queries: vector(queries) },
    lossAt: async (values) => {
      const logits = await leftOutLogits(pattern, rows, values);
      return meanLoss(logits, labels, queries, pattern.manifest.smoothing);
    },
  };
}

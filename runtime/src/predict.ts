import { Tensor } from 'onnxruntime-common';
import { batches, featuresOf } from './encode.js';
import { distancesToClasses, FAMILIAR } from './familiar-names.js';
import type { Pattern } from './pattern.js';
import type { Preprocessing } from './preprocessing.js';
import type { Profile } from './profile.js';
import { runSession } from './run-session.js';
import { dataOf, stackRows, storedTensors, type TensorFeeds } from './tensors.js';
import type { ImageInput, Prediction } from './types.js';

/** Images to be classified for one profile. */
export interface PredictionRequest {
  readonly profile: Profile;
  /** Preprocessed, `C * H * W` values each, or encoded before. */
  readonly images: readonly ImageInput[];
}

/** Requests whose images may go through the frozen part together, as that does not depend on the profile. */
export interface Encodable {
  readonly pattern: Pattern;
  readonly requests: { readonly index: number; readonly request: PredictionRequest }[];
}

/** Groups requests by pattern, and by profile where the frozen part takes moments that profiles store. */
export function groupRequests(
  requests: readonly PredictionRequest[],
  patternOf: (profile: Profile, index: number) => Pattern,
): Encodable[] {
  const groups = new Map<unknown, Encodable>();
  for (const [index, request] of requests.entries()) {
    const pattern = patternOf(request.profile, index);
    const key = pattern.moments.frozen.size > 0 ? request.profile : pattern;
    const group = groups.get(key) ?? { pattern, requests: [] };
    group.requests.push({ index, request });
    groups.set(key, group);
  }
  return [...groups.values()];
}

/**
 * Predicts a group, some images at a time through the frozen part, whoever they are for, and then each
 * profile's by its own values. Adds to `results[index]`.
 */
export async function predictGroup(
  { pattern, requests }: Encodable,
  preprocessing: Preprocessing,
  results: Prediction[][],
): Promise<void> {
  const images = requests.flatMap(({ request }, at) => request.images.map((image) => ({ image, at })));
  const values = requests.map(({ request }) => storedTensors(request.profile.values));
  for (const batch of batches(images)) {
    const pixels = batch.map(({ image }) => image);
    const first = batch[0]?.at ?? 0;
    const features = await featuresOf(pattern, pixels, preprocessing, values[first] ?? {});
    const [length, shape] = [(features.data as Float32Array).length / batch.length, features.dims.slice(1)];
    for (let start = 0; start < batch.length; ) {
      const { at } = batch[start] as { at: number };
      let end = start + 1;
      while (batch[end]?.at === at) end++;
      const rows = (features.data as Float32Array).subarray(start * length, end * length);
      const own = new Tensor('float32', rows, [end - start, ...shape]);
      const { index, request } = requests[at] as Encodable['requests'][number];
      results[index]?.push(...(await predictRows(pattern, request.profile.classes, values[at] ?? {}, own)));
      start = end;
    }
  }
}

/** Predicts encoded images `[N, ...]` of one profile. Cosines to mean directions, which are rows too, come in the same run as the logits. */
async function predictRows(
  pattern: Pattern,
  classes: readonly string[],
  { [FAMILIAR.means]: means, [FAMILIAR.line]: line, ...values }: TensorFeeds,
  features: Tensor,
): Promise<Prediction[]> {
  const ways = classes.length;
  const rows = Array.from({ length: features.dims[0] as number }, (_, row) => row);
  if (!means) {
    const { probabilities } = await runSession(pattern.predict, { ...values, features });
    return rows.map((row) => prediction(classes, dataOf(probabilities).subarray(row * ways, (row + 1) * ways)));
  }
  const { logits } = await runSession(pattern.predict, {
    ...values,
    features,
    'head.weight': stackRows(values['head.weight'] as Tensor, means),
    'head.bias': stackRows(values['head.bias'] as Tensor, new Tensor('float32', new Float32Array(ways), [ways])),
  });
  return rows.map((row) => {
    const both = dataOf(logits).subarray(2 * row * ways, 2 * (row + 1) * ways);
    const own = both.subarray(0, ways);
    const [share = 0, least = 0, apart = 0] = dataOf(line);
    const distances = distancesToClasses(own);
    const nearest = own.reduce(
      (most, logit, way) =>
        Math.max(most, (both[ways + way] as number) + share * logit - apart * (distances[way] as number)),
      -Infinity,
    );
    return { ...prediction(classes, softmax(own)), familiarity: nearest - least };
  });
}

function softmax(logits: Float32Array): Float32Array {
  const most = Math.max(...logits);
  const exponentials = Float64Array.from(logits, (value) => Math.exp(value - most));
  const sum = exponentials.reduce((total, value) => total + value, 0);
  return Float32Array.from(exponentials, (value) => value / sum);
}

function prediction(classes: readonly string[], probabilities: Float32Array): Prediction {
  let best = 0;
  for (let i = 1; i < probabilities.length; i++) {
    if ((probabilities[i] as number) > (probabilities[best] as number)) best = i;
  }
  // No prototype: a class may be called `constructor` or `__proto__`.
  const byClass = Object.create(null) as Record<string, number>;
  for (const [i, name] of classes.entries()) byClass[name] = probabilities[i] as number;
  return { label: classes[best] as string, probabilities: byClass };
}

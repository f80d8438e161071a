import { Tensor } from 'onnxruntime-common';
import { BATCH, featuresOf } from './encode.js';
import type { Pattern } from './pattern.js';
import type { Preprocessing } from './preprocessing.js';
import type { Profile } from './profile.js';
import { runSession } from './run-session.js';
import { storedTensors } from './tensors.js';
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
 * Predicts a group, {@link BATCH} images at a time through the frozen part, whoever they are for, and then each
 * profile's by its own values. Adds to `results[index]`.
 */
export async function predictGroup(
  { pattern, requests }: Encodable,
  preprocessing: Preprocessing,
  results: Prediction[][],
): Promise<void> {
  const images = requests.flatMap(({ request }, at) => request.images.map((image) => ({ image, at })));
  const values = requests.map(({ request }) => storedTensors(request.profile.values));
  for (let from = 0; from < images.length; from += BATCH) {
    const batch = images.slice(from, from + BATCH);
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
      const { probabilities } = await runSession(pattern.predict, { ...values[at], features: own });
      const { index, request } = requests[at] as Encodable['requests'][number];
      results[index]?.push(...predictions(request.profile.classes, probabilities?.data as Float32Array));
      start = end;
    }
  }
}

function predictions(classes: readonly string[], probabilities: Float32Array): Prediction[] {
  const ways = classes.length;
  return Array.from({ length: probabilities.length / ways }, (_, row) =>
    prediction(classes, probabilities.subarray(row * ways, (row + 1) * ways)),
  );
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

import { Tensor } from 'onnxruntime-common';
import { InputError } from './errors.js';
import type { Pattern } from './pattern.js';
import type { Preprocessing } from './preprocessing.js';
import { run } from './run-session.js';

/** Images that are encoded or predicted at once. A step takes all examples at once; `limits.maxExamples` bounds those. */
export const BATCH = 64;

/** Preprocessed images as one tensor `[N, C, H, W]`. */
export function stackImages(
  images: readonly Float32Array[],
  { channels, height, width }: Pick<Preprocessing, 'channels' | 'height' | 'width'>,
): Tensor {
  const length = channels * height * width;
  const data = new Float32Array(images.length * length);
  for (const [i, image] of images.entries()) data.set(image, i * length);
  return new Tensor('float32', data, [images.length, channels, height, width]);
}

/**
 * `features` of the examples and the moments of the frozen part, if there are any. Moments are those of all examples
 * together, so these are encoded in one run then, whose memory grows with their number; else {@link BATCH} at a time.
 */
export async function encodeExamples(
  pattern: Pattern,
  images: Tensor,
  signal?: AbortSignal,
): Promise<Record<string, Tensor>> {
  const { encode, moments } = pattern;
  if (!encode) return { features: images };
  if (moments.frozen.size === 0) return { features: await inBatches(pattern, images, signal) };
  signal?.throwIfAborted();
  const encoded = await run(encode, { images });
  for (const name of moments.frozen.keys()) {
    const { data } = encoded[name] as Tensor;
    if ((data as Float32Array).every(Number.isFinite)) continue;
    throw new InputError('examples', `expected images whose moments are finite, got others in "${name}"`);
  }
  return encoded;
}

async function inBatches(pattern: Pattern, images: Tensor, signal?: AbortSignal): Promise<Tensor> {
  const count = images.dims[0] as number;
  const [pixels, shape] = [images.data as Float32Array, images.dims.slice(1)];
  const imageLength = pixels.length / count;
  const length = pattern.manifest.features.reduce((a, b) => a * b, 1);
  const features = new Float32Array(count * length);
  for (let from = 0; from < count; from += BATCH) {
    signal?.throwIfAborted();
    const part = pixels.subarray(from * imageLength, (from + BATCH) * imageLength);
    const batch = new Tensor('float32', part, [part.length / imageLength, ...shape]);
    const output = await encodeQueries(pattern, batch, {});
    features.set(output.data as Float32Array, from * length);
  }
  return new Tensor('float32', features, [count, ...pattern.manifest.features]);
}

/** `features` of images, each by itself; normalized with the stored `moments` where the frozen part takes them. */
export async function encodeQueries(
  pattern: Pattern,
  images: Tensor,
  moments: Readonly<Record<string, Tensor>>,
): Promise<Tensor> {
  if (!pattern.encodeQuery) return images;
  const { features } = await run(pattern.encodeQuery, { ...moments, images });
  return features as Tensor;
}

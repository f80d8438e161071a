import { Tensor } from 'onnxruntime-common';
import { InputError } from './errors.js';
import { areFinite } from './finite.js';
import type { Pattern } from './pattern.js';
import type { Preprocessing } from './preprocessing.js';
import { runSession } from './run-session.js';
import type { EncodedImage, ImageInput } from './types.js';

/**
 * Images that are encoded or predicted at once: more take more memory and no less time (docs/bench/memory.md). A step takes all
 * examples at once; `limits.maxExamples` bounds those.
 */
const BATCH = 16;

/** As few batches as that takes, of one size but for one item: a small one beside large ones leaves threads waiting. */
export function batches<T>(items: readonly T[]): T[][] {
  const count = Math.ceil(items.length / BATCH);
  const start = (i: number) => Math.floor((i * items.length) / count);
  return Array.from({ length: count }, (_, i) => items.slice(start(i), start(i + 1)));
}

/** Whether an image was encoded before. */
export const isEncoded = (image: ImageInput): image is EncodedImage => !ArrayBuffer.isView(image);

/** Preprocessed images as one tensor `[N, C, H, W]`. */
function stackImages(
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
 * together, so these are encoded in one run then, whose memory grows with their number; else in {@link batches}.
 */
export async function encodeExamples(
  pattern: Pattern,
  images: readonly ImageInput[],
  preprocessing: Preprocessing,
  signal?: AbortSignal,
): Promise<Record<string, Tensor>> {
  const { encode, moments } = pattern;
  if (!encode || moments.frozen.size === 0) {
    return { features: await inBatches(pattern, images, preprocessing, {}, signal) };
  }
  signal?.throwIfAborted();
  const encoded = await runSession(encode, { images: stackImages(images as readonly Float32Array[], preprocessing) });
  for (const name of moments.frozen.keys()) {
    const { data } = encoded[name] as Tensor;
    if (areFinite(data as Float32Array)) continue;
    throw new InputError('examples', `expected images whose moments are finite, got others in "${name}"`);
  }
  return encoded;
}

/** `features` of images that are not among the examples, such as views of them; by the moments that those have. */
export const encodeViews = (
  pattern: Pattern,
  images: readonly Float32Array[],
  preprocessing: Preprocessing,
  moments: Readonly<Record<string, Tensor>>,
  signal?: AbortSignal,
): Promise<Tensor> => inBatches(pattern, images, preprocessing, moments, signal);

async function inBatches(
  pattern: Pattern,
  images: readonly ImageInput[],
  preprocessing: Preprocessing,
  moments: Readonly<Record<string, Tensor>>,
  signal?: AbortSignal,
): Promise<Tensor> {
  const length = pattern.manifest.features.reduce((a, b) => a * b, 1);
  const features = new Float32Array(images.length * length);
  let at = 0;
  for (const batch of batches(images)) {
    signal?.throwIfAborted();
    const encoded = await featuresOf(pattern, batch, preprocessing, moments);
    features.set(encoded.data as Float32Array, at);
    at += batch.length * length;
  }
  return new Tensor('float32', features, [images.length, ...pattern.manifest.features]);
}

/** `features` of images, of which those that are kept encoded need no run. */
export async function featuresOf(
  pattern: Pattern,
  images: readonly ImageInput[],
  preprocessing: Preprocessing,
  moments: Readonly<Record<string, Tensor>>,
): Promise<Tensor> {
  const pixels = images.filter((image): image is Float32Array => !isEncoded(image));
  const encodePixels = () => encodeQueries(pattern, stackImages(pixels, preprocessing), moments);
  if (pixels.length === images.length) return encodePixels();
  const computed = pixels.length > 0 ? (await encodePixels()).data : [];
  const shape = pattern.manifest.features;
  const length = shape.reduce((a, b) => a * b, 1);
  const features = new Float32Array(images.length * length);
  let next = 0;
  for (const [at, image] of images.entries()) {
    const row = isEncoded(image) ? image.features : (computed as Float32Array).subarray(next * length, ++next * length);
    features.set(row, at * length);
  }
  return new Tensor('float32', features, [images.length, ...shape]);
}

/** `features` of images, each by itself; normalized with the stored `moments` where the frozen part takes them. */
async function encodeQueries(
  pattern: Pattern,
  images: Tensor,
  moments: Readonly<Record<string, Tensor>>,
): Promise<Tensor> {
  if (!pattern.encodeQuery) return images;
  const { features } = await runSession(pattern.encodeQuery, { ...moments, images });
  return features as Tensor;
}

import { asPictures } from '@whet/runtime/format';
import {
  type Bundle,
  type EncodedImage,
  type Example,
  type ImageInput,
  type PatternManifest,
  pixelsToTensor,
} from '@whet/runtime/web';
import type { LabelledPixels } from './compute.js';

/** A picture as the bundle sees it. */
export const seenImage = ({ manifest }: Bundle, pixels: Uint8Array): Float32Array =>
  pixelsToTensor(pixels, manifest.preprocessing);

export const seenExamples = (open: Bundle, examples: readonly LabelledPixels[]): Example[] =>
  examples.map(({ label, pixels }) => ({ label, image: seenImage(open, pixels) }));

/** What is left of pictures above the frozen part, by pattern and picture: a class that is added costs its own pictures only. */
const kept = new Map<string, Map<string, EncodedImage>>();
/** Values that are kept at most, of all patterns: 64 MB. */
const MOST_KEPT = 16_000_000;

/** Of another bundle nothing that is kept can be used. */
export const forgetEncoded = (): void => kept.clear();

/**
 * Examples for a pattern, encoded or found again where its features depend on a picture alone and are small enough to be kept. One of
 * which the pattern asks about views stays a picture.
 */
export async function encodeOnce(
  open: Bundle,
  name: string,
  examples: readonly LabelledPixels[],
  signal: AbortSignal,
): Promise<{ inputs: Example<ImageInput>[]; encoded: number }> {
  const pattern = open.manifest.patterns[name] as PatternManifest;
  const { graphs, features, normalizations = [] } = pattern;
  const length = features.reduce((a, b) => a * b, 1);
  const canKeep = graphs.encode !== null && !normalizations.some(({ frozen }) => frozen);
  if (!canKeep || length * examples.length > MOST_KEPT) {
    return { inputs: seenExamples(open, examples), encoded: examples.length };
  }
  const labels = examples.map(({ label }) => label);
  const viewed = new Set([...asPictures(pattern, labels, {})].map((i) => examples[i]));
  const found = kept.get(name) ?? new Map<string, EncodedImage>();
  const missing = examples.filter((one) => !viewed.has(one) && (one.id === undefined || !found.has(one.id)));
  const tensors = missing.map(({ pixels }) => seenImage(open, pixels));
  const images = tensors.length > 0 ? await open.encode(tensors, { pattern: name, signal }) : [];
  const fresh = new Map(missing.map((example, i) => [example, images[i] as EncodedImage]));
  // Of the other patterns nothing is kept when it becomes too much; of this one, what these examples need.
  const others = [...kept].filter(([other]) => other !== name);
  const size = others.reduce((sum, [, all]) => sum + [...all.values()].reduce((a, b) => a + b.features.length, 0), 0);
  if (size + length * examples.length > MOST_KEPT) kept.clear();
  const keep = new Map<string, EncodedImage>();
  kept.set(name, keep);
  const inputs = examples.map((example): Example<ImageInput> => {
    const { id, label, pixels } = example;
    if (viewed.has(example)) return { label, image: seenImage(open, pixels) };
    const image = fresh.get(example) ?? (found.get(id as string) as EncodedImage);
    if (id !== undefined) keep.set(id, image);
    return { label, image };
  });
  return { inputs, encoded: missing.length + viewed.size };
}

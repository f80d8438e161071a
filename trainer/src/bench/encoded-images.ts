import type { Bundle, EncodedImage, ImageInput } from '@whet/runtime';
import { pixelsToTensor } from '@whet/runtime/images';
import type { DrawnImage } from '../data/draw.js';
import { type FileClass, filePixels, type ImageFiles } from '../data/image-files.js';
import { bundledNormalizations } from '../task/normalizations.js';
import { type MemoryBudget, Records } from './records.js';

/** What is kept of images in memory, in bytes; what is above that stands in the temporary folder. */
export const KEPT_BYTES = 512 * 2 ** 20;

/** Names of patterns whose frozen parts are one and the same, and bytes of an image's features above it. */
interface FrozenPart {
  readonly patterns: readonly string[];
  readonly bytes: number;
}

/** What has to be kept of an image for some patterns. */
export interface ImageUses {
  readonly frozen: readonly FrozenPart[];
  /** Bytes of its pixels, where a pattern has no frozen part, or one that depends on the examples; 0 elsewhere. */
  readonly pixelBytes: number;
}

/**
 * Which frozen parts the patterns of a bundle have, each once; `pixels` where images are asked for as they are.
 */
export function imageUses({ manifest }: Bundle, names: readonly string[], pixels: boolean): ImageUses {
  const { patterns, normalization, files, preprocessing } = manifest;
  const parts = new Map<string, { readonly patterns: string[]; readonly bytes: number }>();
  let needsPixels = pixels;
  for (const name of new Set(names)) {
    const { graphs, features = [] } = patterns[name] ?? {};
    const file = graphs?.encode;
    if (!file || bundledNormalizations[normalization].storesMoments) {
      needsPixels = true;
      continue;
    }
    const key = files[file]?.sha256 ?? file;
    const part = parts.get(key) ?? { patterns: [], bytes: 4 * features.reduce((a, b) => a * b, 1) };
    part.patterns.push(name);
    parts.set(key, part);
  }
  const { width, height, channels } = preprocessing;
  return { frozen: [...parts.values()], pixelBytes: needsPixels ? width * height * channels : 0 };
}

/** An image as a pattern takes it, and the milliseconds that its frozen part took of it. */
export interface PatternImage {
  readonly image: ImageInput;
  readonly milliseconds: number;
}

/** Images of a data set, each read once and encoded once for each frozen part, by itself. */
export interface EncodedImages {
  /**
   * An image for a pattern: encoded, or as it is where the pattern has no frozen part that is the image's alone, or none is
   * named.
   */
  get(drawn: DrawnImage, pattern: string | undefined): Promise<PatternImage>;
  close(): Promise<void>;
}

export interface EncodeOptions {
  readonly bundle: Bundle;
  readonly files: ImageFiles;
  readonly images: Iterable<DrawnImage>;
  readonly uses: ImageUses;
  /** {@link KEPT_BYTES} when absent. */
  readonly keptBytes?: number | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

interface Part {
  readonly pattern: string;
  readonly records: Records;
  readonly milliseconds: number[];
}

const floatBytes = (values: Float32Array) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

/**
 * Reads and encodes images. The caller closes what comes back.
 *
 * @throws {DataError} naming an image that cannot be read, or the temporary folder where it has no room.
 */
export async function encodeImages(options: EncodeOptions): Promise<EncodedImages> {
  const { bundle, files, uses, keptBytes = KEPT_BYTES, onProgress, signal } = options;
  const { preprocessing } = bundle.manifest;
  const numbers = new Map<string, number>();
  const keyOf = ({ of, image }: DrawnImage) => `${of}/${image}`;
  const images = [...new Map([...options.images].map((drawn) => [keyOf(drawn), drawn])).values()];
  const memory: MemoryBudget = { left: keptBytes };
  const pixels = uses.pixelBytes > 0 ? new Records(uses.pixelBytes, memory) : undefined;
  const parts = uses.frozen.map(({ patterns, bytes }): Part => {
    return { pattern: patterns[0] as string, records: new Records(bytes, memory), milliseconds: [] };
  });
  const partOf = new Map(uses.frozen.flatMap(({ patterns }, i) => patterns.map((name) => [name, parts[i] as Part])));
  const close = async () => {
    for (const { records } of parts) await records.close();
    await pixels?.close();
  };
  try {
    for (const [number, drawn] of images.entries()) {
      signal?.throwIfAborted();
      const own = await filePixels(files.classes[drawn.of] as FileClass, drawn.image, preprocessing);
      await pixels?.put(number, own);
      const tensor = pixelsToTensor(own, preprocessing);
      for (const { pattern, records, milliseconds } of parts) {
        const began = performance.now();
        const [encoded] = await bundle.encode([tensor], { pattern });
        milliseconds[number] = performance.now() - began;
        await records.put(number, floatBytes((encoded as EncodedImage).features));
      }
      numbers.set(keyOf(drawn), number);
      onProgress?.(number + 1, images.length);
    }
  } catch (cause) {
    await close();
    throw cause;
  }
  return {
    close,
    get: async (drawn, pattern) => {
      const number = numbers.get(keyOf(drawn));
      if (number === undefined) throw new Error(`image ${keyOf(drawn)}: expected one that was encoded`);
      const part = pattern === undefined ? undefined : partOf.get(pattern);
      if (pattern !== undefined && part) {
        const features = new Float32Array((await part.records.get(number)).buffer);
        return {
          image: { bundle: bundle.digest, pattern, features },
          milliseconds: part.milliseconds[number] as number,
        };
      }
      if (!pixels) throw new Error(`image ${keyOf(drawn)}: expected to be asked for pixels before`);
      return { image: pixelsToTensor(await pixels.get(number), preprocessing), milliseconds: 0 };
    },
  };
}

import { availableParallelism } from 'node:os';
import { InputError, type Preprocessing } from '@whet/runtime';
import { isTaken, type OpenedImage, openImage } from '@whet/runtime/images';
import type { Limits } from '../limits.js';
import { Problem } from '../problems.js';
import { Budget, Turns } from '../work/turns.js';
import { mapLimited } from './concurrency.js';

/** Images that are decoded at once, of all requests. Node.js has four threads for such work, and files are read in them too. */
const SLOTS = 3;
/** Pixels from which an image is large: some hundredths of a second. */
const LARGE_PIXELS = 1_000_000;
/** Bytes whose header takes about as long to find as a pixel takes to decode. */
const BYTES_PER_PIXEL = 8;

/** An image file and the field it stands in. */
export interface ImageFile {
  readonly field: string;
  readonly bytes: Uint8Array;
}

/** Decodes images of all requests in turns, within a budget of pixels. */
export class Decoding {
  readonly #turns = new Turns({
    slots: SLOTS,
    largeSlots: Math.max(1, Math.min(SLOTS - 1, Math.floor(availableParallelism() / 2))),
    large: LARGE_PIXELS,
  });
  readonly #budget: Budget;

  constructor(private readonly limits: Limits) {
    this.#budget = new Budget(limits.keyPixels, 'pixels');
  }

  /**
   * Image files that are to be decoded one by one, within the budget until they are closed.
   *
   * @throws {Problem} of the first file that is no image, `too-large` where they have too many pixels together, `busy` with those of
   * other requests; or the signal's reason.
   */
  async open(
    owner: string,
    files: readonly ImageFile[],
    preprocessing: Preprocessing,
    signal: AbortSignal,
  ): Promise<OpenImages> {
    const { requestPixels, imagePixels } = this.limits;
    const { width, height, channels } = preprocessing;
    // A small file becomes as many values as any.
    const least = width * height * channels;
    const costs = files.map(({ bytes }) => bytes.length / BYTES_PER_PIXEL);
    const costsSoFar = sumsOf(costs);
    const images = await mapLimited(files, SLOTS, (file, i) =>
      this.#turns.run(owner, costs[i] as number, signal, () => opened(file, imagePixels), costsSoFar[i]),
    );
    const pixels = images.map(({ width: w, height: h }) => Math.max(least, w * h));
    const pixelsSoFar = sumsOf(pixels);
    const total = pixelsSoFar.at(-1) ?? 0;
    if (total > requestPixels) {
      throw new Problem(
        'too-large',
        'body',
        `expected images of at most ${requestPixels} pixels together, got ${total}`,
      );
    }
    const close = this.#budget.take(owner, total);
    const decode = (from: number, to: number) =>
      mapLimited(images.slice(from, to), SLOTS, (image, i) =>
        this.#turns.run(
          owner,
          pixels[from + i] as number,
          signal,
          () => image.tensor(preprocessing),
          pixelsSoFar[from + i],
        ),
      );
    return { decode, close };
  }
}

/** Each with all before it. */
function sumsOf(values: readonly number[]): number[] {
  let sum = 0;
  return values.map((value) => {
    sum += value;
    return sum;
  });
}

/** Image files of one request. */
export interface OpenImages {
  /** The tensors of some of them, in their order. Rejects with the {@link Problem} of the first that cannot be decoded. */
  decode(from: number, to: number): Promise<Float32Array[]>;
  close(): void;
}

async function opened({ field, bytes }: ImageFile, maxPixels: number): Promise<OpenedImage> {
  try {
    return await openImage(bytes, { field, maxPixels });
  } catch (error) {
    // The status says whether the format or the file is at fault.
    if (error instanceof InputError && bytes.length > 0 && !isTaken(bytes)) {
      throw new Problem('unsupported-media', error.field, error.message);
    }
    throw error;
  }
}

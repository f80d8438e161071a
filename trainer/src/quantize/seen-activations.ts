import { type Activation, exposeOnnx, type QuantizationPlan, type Range } from '@whet/compiler';
import * as ort from 'onnxruntime-node';
import type { Images } from './calibration.js';

/** How what an activation was seen to reach becomes its range. */
export const rangeMethods = ['min-max', 'percentile'] as const;
export type RangeMethod = (typeof rangeMethods)[number];

/** The share of an activation's entries that `percentile` leaves inside of its range. */
const INSIDE = 0.9999;
const BINS = 2048;
/** Where a range becomes so many times smaller, its parts were too wide to tell its ends. */
const COARSE = 8;
/** Images run at a time: all activations of them are held. */
const IMAGES_AT_A_TIME = 8;

/** Images in batches. */
export function* batchesOf({ data, shape }: Pick<Images, 'data' | 'shape'>): Generator<ort.Tensor> {
  const length = shape.reduce((a, b) => a * b, 1);
  for (let at = 0; at < data.length; at += IMAGES_AT_A_TIME * length) {
    const part = data.subarray(at, at + IMAGES_AT_A_TIME * length);
    yield new ort.Tensor('float32', part, [part.length / length, ...shape]);
  }
}

/** The range without as many of the outermost entries, below and above 0, as a share of all allows. */
function insideOf(histogram: Float64Array, [min, max]: Range, total: number): Range {
  const counted = histogram.reduce((sum, count) => sum + count, 0);
  const width = (max - min) / BINS;
  let [low, high, left] = [0, BINS, (1 - INSIDE) * total - (total - counted)];
  while (high - low > 1) {
    // Of the two ends the one farther from 0, as it is that which makes steps wide.
    const isLow = -(min + low * width) > min + high * width;
    const count = histogram[isLow ? low : high - 1] as number;
    if (count > left) break;
    left -= count;
    if (isLow) low++;
    else high--;
  }
  return [min + low * width, min + high * width];
}

/** What was seen of an activation so far. */
class Seen {
  #min = Infinity;
  #max = -Infinity;
  #sums: Float64Array | undefined;
  #perChannel = 0;
  #total = 0;
  #range: Range | undefined;
  #histogram = new Float64Array(BINS);

  constructor(private readonly axis: number) {}

  look({ data, dims }: ort.Tensor): void {
    const values = data as Float32Array;
    const axis = this.axis < 0 ? dims.length - 1 : this.axis;
    const channels = dims[axis] ?? 1;
    const run = dims.slice(axis + 1).reduce((a, b) => a * b, 1);
    this.#sums ??= new Float64Array(channels);
    this.#perChannel += values.length / channels;
    this.#total += values.length;
    const sums = this.#sums;
    let [min, max] = [this.#min, this.#max];
    for (let at = 0, channel = 0; at < values.length; at += run, channel = (channel + 1) % channels) {
      let sum = 0;
      for (let i = at; i < at + run; i++) {
        const value = values[i] as number;
        if (value < min) min = value;
        if (value > max) max = value;
        sum += value;
      }
      sums[channel] = (sums[channel] as number) + sum;
    }
    [this.#min, this.#max] = [min, max];
  }

  get range(): Range {
    return this.#range ?? [this.#min, this.#max];
  }

  /** How often its entries lie in each of {@link BINS} parts of its range. */
  count(values: Float32Array): void {
    const [[min, max], histogram] = [this.range, this.#histogram];
    const scale = BINS / (max - min || 1);
    // Loops over hundreds of millions of numbers: private fields in them cost ten times as much.
    for (let i = 0; i < values.length; i++) {
      const value = values[i] as number;
      if (value < min || value > max) continue;
      const bin = Math.min(BINS - 1, (value - min) * scale) | 0;
      histogram[bin] = (histogram[bin] as number) + 1;
    }
  }

  /** Leaves the outermost entries that were counted out of the range; whether that is so much smaller that counting in it would tell more. */
  cut(): boolean {
    const [min, max] = this.range;
    this.#range = insideOf(this.#histogram, [min, max], this.#total);
    this.#histogram.fill(0);
    return this.#range[1] - this.#range[0] < (max - min) / COARSE;
  }

  activation(): Activation {
    return { range: this.range, means: this.#sums?.map((sum) => sum / this.#perChannel) };
  }
}

/**
 * What activations of a model reach over images, their least and most, or with `percentile` all but a ten-thousandth of their entries; and
 * their means by channel. The model's input is called `images`.
 */
export async function seenActivations(
  model: Uint8Array,
  tensors: QuantizationPlan['activations'],
  images: Pick<Images, 'data' | 'shape'>,
  method: RangeMethod,
): Promise<Map<string, Activation>> {
  const shape = ['N', ...images.shape];
  const inner = tensors.flatMap(({ name }) => (name === 'images' ? [] : [name]));
  const session = await ort.InferenceSession.create(exposeOnnx(model, inner, { tensor: 'images', shape }));
  const all = new Map(tensors.map(({ name, axis }) => [name, new Seen(axis)]));
  const each = async (visit: (seen: Seen, tensor: ort.Tensor) => unknown) => {
    for (const batch of batchesOf(images)) {
      const outputs: Record<string, ort.Tensor> = { ...(await session.run({ images: batch })), images: batch };
      for (const [name, seen] of all) visit(seen, outputs[name] as ort.Tensor);
    }
  };
  try {
    await each((seen, tensor) => seen.look(tensor));
    const seen = [...all.values()];
    for (let coarse = method === 'percentile' ? seen : []; coarse.length > 0; ) {
      const open = new Set(coarse);
      await each((one, { data }) => open.has(one) && one.count(data as Float32Array));
      coarse = coarse.filter((one) => one.cut());
    }
    return new Map([...all].map(([name, one]) => [name, one.activation()]));
  } finally {
    await session.release();
  }
}

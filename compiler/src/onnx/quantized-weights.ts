import type { Tensor } from '../tensor.js';
import type { NodeMessage } from './messages.js';

/** The number of an attribute of a node, or what it is where the node does not say. */
export const numberAttribute =
  ({ attribute = [] }: NodeMessage) =>
  (name: string, absent: number): number => {
    const found = attribute.find((each) => each.name === name);
    return found ? Number(found.type === 1 ? found.f : found.i) : absent;
  };

/**
 * A weight, the axis that counts its outputs, and which of an output's entries a processor may add up in 16 bits, two at a time, as
 * x86's `vpmaddubsw` does: those that are neighbours, any two, or none.
 */
export interface WeightRows {
  readonly values: Tensor;
  readonly axis: number;
  readonly sums: 'neighbours' | 'any' | 'alone';
}

const LARGEST = 127;
/** The largest sum of two entries of one sign, each of which a byte multiplies, within 16 bits: 32767 / 255, less what rounding adds. */
const LARGEST_PAIR = 127;
/** Steps of a bias at most; its sum with the products stays within 32 bits. */
const LARGEST_BIAS = 2 ** 29;

/** The nearest whole number, a half to the even one as ONNX's QuantizeLinear has it, within bounds. */
export function nearestLevel(value: number, least: number, most: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  const rounded = rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
  return Math.min(most, Math.max(least, rounded));
}

/** The largest entry of a row, and the largest sum of two of one sign that may be added up in 16 bits. */
function reach(row: Float32Array, sums: WeightRows['sums']): { entry: number; pair: number } {
  let [entry, pair] = [0, 0];
  for (const sign of [1, -1]) {
    let [largest, second, before] = [0, 0, 0];
    for (const each of row) {
      const value = Math.max(0, sign * each);
      if (sums === 'neighbours') pair = Math.max(pair, before + value);
      before = value;
      second = Math.max(second, Math.min(largest, value));
      largest = Math.max(largest, value);
    }
    entry = Math.max(entry, largest);
    if (sums === 'any') pair = Math.max(pair, largest + second);
  }
  return { entry, pair };
}

/** A weight as levels, in its shape, and the step between them for each output, `[O]`. `input` is the step of what it multiplies. */
export function weightSteps(
  { values, axis, sums }: WeightRows,
  input: number,
  bias: ArrayLike<number> | undefined,
): { readonly steps: Float32Array; readonly levels: Int8Array } {
  const { shape, data } = values;
  const count = shape[axis] as number;
  const length = data.length / count;
  const levels = new Int8Array(data.length);
  // Entries of an output stand side by side along the first axis, and a row apart along the second of two.
  const place = (output: number, i: number) => (axis === 0 ? output * length + i : i * count + output);
  const steps = Float32Array.from({ length: count }, (_, output) => {
    const row = Float32Array.from({ length }, (_, i) => data[place(output, i)] as number);
    const { entry, pair } = reach(row, sums);
    const offset = Math.abs(bias?.[output] ?? 0);
    const step = Math.fround(Math.max(entry / LARGEST, pair / LARGEST_PAIR, offset / input / LARGEST_BIAS)) || 1;
    for (const [i, value] of row.entries()) levels[place(output, i)] = nearestLevel(value / step, -LARGEST, LARGEST);
    return step;
  });
  return { steps, levels };
}

/**
 * What rounding a weight adds to each of its outputs in the mean, `[O]`: inputs that are far from 0 in the mean make it a shift, which layers
 * of few inputs suffer from most (Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction"). Empty
 * where no means of the inputs are given.
 */
export function meanShift(
  { values, axis }: WeightRows,
  { steps, levels }: { readonly steps: Float32Array; readonly levels: Int8Array },
  means: Float64Array | undefined,
): Float64Array {
  const { shape, data } = values;
  if (!means) return new Float64Array();
  const count = shape[axis] as number;
  const inputs = (axis === 0 ? shape[1] : shape[0]) as number;
  const window = data.length / count / inputs;
  // Outputs of a group read its own inputs.
  const perGroup = (count * inputs) / means.length;
  return Float64Array.from(steps, (step, output) => {
    const first = Math.floor(output / perGroup) * inputs;
    let shift = 0;
    for (let input = 0; input < inputs; input++) {
      const mean = means[first + input] as number;
      for (let tap = 0; tap < window; tap++) {
        const at = axis === 0 ? (output * inputs + input) * window + tap : input * count + output;
        shift += mean * ((levels[at] as number) * step - (data[at] as number));
      }
    }
    return shift;
  });
}

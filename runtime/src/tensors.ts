import { Tensor } from 'onnxruntime-common';
import type { ProfileValue } from './profile.js';

/** float32 tensors by their names in graphs. */
export type TensorFeeds = Readonly<Record<string, Tensor>>;

export const dataOf = (tensor: Tensor | undefined): Float32Array => tensor?.data as Float32Array;

/** What a profile stores, as a graph takes it. */
export const storedTensors = (values: ReadonlyMap<string, ProfileValue>): TensorFeeds =>
  Object.fromEntries(Array.from(values, ([name, { shape, data }]) => [name, new Tensor('float32', data, shape)]));

/** Rows of one tensor, then those of another. */
export function stackRows(above: Tensor, below: Tensor): Tensor {
  const data = new Float32Array(above.size + below.size);
  data.set(dataOf(above));
  data.set(dataOf(below), above.size);
  return new Tensor('float32', data, [(above.dims[0] as number) + (below.dims[0] as number), ...above.dims.slice(1)]);
}

/** Some rows of a tensor, by their numbers. */
export function pickRows(tensor: Tensor, numbers: readonly number[]): Tensor {
  const length = tensor.size / (tensor.dims[0] as number);
  const data = new Float32Array(numbers.length * length);
  for (const [at, number] of numbers.entries()) {
    data.set(dataOf(tensor).subarray(number * length, (number + 1) * length), at * length);
  }
  return new Tensor('float32', data, [numbers.length, ...tensor.dims.slice(1)]);
}

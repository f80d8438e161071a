import type { Tensor } from '../tensor.js';
import { sizeOf, stridesOf } from '../tensor.js';

/** Reads `x` at `offset + sum(coordinate * step)`. */
export function readStrided(x: Tensor, shape: readonly number[], steps: readonly number[], offset = 0): Tensor {
  const data = new Float64Array(sizeOf(shape));
  const strides = stridesOf(shape);
  for (let i = 0; i < data.length; i++) {
    let rest = i;
    let at = offset;
    for (let axis = 0; axis < shape.length; axis++) {
      const coordinate = Math.floor(rest / (strides[axis] as number));
      rest -= coordinate * (strides[axis] as number);
      at += coordinate * (steps[axis] as number);
    }
    data[i] = x.data[at] as number;
  }
  return { dtype: x.dtype, shape, data };
}

/** Coordinates of element `index` of a tensor with these strides. */
export function coordinatesOf(index: number, strides: readonly number[]): number[] {
  let rest = index;
  return strides.map((stride) => {
    const coordinate = Math.floor(rest / stride);
    rest -= coordinate * stride;
    return coordinate;
  });
}

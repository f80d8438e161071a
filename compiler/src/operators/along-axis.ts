import type { GraphBuilder } from '../builder.js';
import type { Value } from '../graph.js';
import type { Tensor } from '../tensor.js';
import { makeTensor, sizeOf, stridesOf } from '../tensor.js';
import { matrixTranspose } from './linear-algebra.js';

/**
 * A sparse matrix `[outputs, inputs]` that an operator applies along an axis: for each output, pairs of an input
 * position and its weight.
 */
export interface AxisMap {
  readonly axis: number;
  readonly inputs: number;
  readonly outputs: readonly (readonly (readonly [position: number, weight: number])[])[];
}

/** Applies maps to a tensor, one after the other. */
export function evaluateMaps(x: Tensor, maps: readonly AxisMap[]): Tensor {
  return maps.reduce((value, { axis, outputs }) => {
    const shape = value.shape.map((dim, i) => (i === axis ? outputs.length : dim));
    const data = new Float64Array(sizeOf(shape));
    const inner = stridesOf(shape)[axis] as number;
    const inputs = value.shape[axis] as number;
    for (let i = 0; i < data.length; i++) {
      const line = Math.floor(i / inner);
      const outer = Math.floor(line / outputs.length);
      let sum = 0;
      for (const [position, weight] of outputs[line % outputs.length] ?? []) {
        sum += weight * (value.data[(outer * inputs + position) * inner + (i % inner)] as number);
      }
      data[i] = sum;
    }
    return { dtype: x.dtype, shape, data };
  }, x);
}

/** The transposed maps applied to a cotangent, each as a matrix product along its axis. */
export function transposeMaps(g: GraphBuilder, cotangent: Value, maps: readonly AxisMap[]): Value {
  return maps.reduce((value, { axis, inputs, outputs }) => {
    const weights = new Float64Array(outputs.length * inputs);
    outputs.forEach((pairs, row) => {
      for (const [position, weight] of pairs) {
        const at = row * inputs + position;
        weights[at] = (weights[at] as number) + weight;
      }
    });
    const matrix = g.constant(makeTensor([outputs.length, inputs], weights, cotangent.dtype));
    const last = value.shape.length - 1;
    if (axis === last) return g.apply('MatMul', [value, matrix], {});
    if (axis === last - 1) return g.apply('MatMul', [matrixTranspose(g, matrix), value], {});
    const perm = value.shape.map((_, i) => (i === axis ? last : i === last ? axis : i));
    const turned = g.apply('Transpose', [value], { perm });
    return g.apply('Transpose', [g.apply('MatMul', [turned, matrix], {})], { perm });
  }, cotangent);
}

import type { GraphBuilder } from '../builder.js';
import type { Value } from '../graph.js';
import type { Dim, Tensor } from '../tensor.js';
import { broadcastShapes, formatShape, sizeOf } from '../tensor.js';
import { expectOneDType } from './broadcasting.js';
import type { Operator } from './operator.js';
import { required } from './operator.js';

/** Swaps the last two axes. */
export function matrixTranspose(g: GraphBuilder, value: Value): Value {
  const perm = value.shape.map((_, axis) => axis);
  const last = perm.length - 1;
  return g.apply('Transpose', [value], { perm: [...perm.slice(0, -2), last, last - 1] });
}

/** Matrix product of `[..., n, k]` and `[..., k, m]`; leading axes broadcast. */
export const MatMul: Operator<'MatMul'> = {
  infer: (inputs) => {
    const a = required(inputs, 0);
    const b = required(inputs, 1);
    if (a.shape.length < 2 || b.shape.length < 2) {
      throw new Error(`expected operands of rank 2 or more, got ${formatShape(a.shape)} and ${formatShape(b.shape)}`);
    }
    expectOneDType(inputs);
    if (a.shape.at(-1) !== b.shape.at(-2)) {
      throw new Error(`left operand has ${a.shape.at(-1)} columns, right operand has ${b.shape.at(-2)} rows`);
    }
    const batch = broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2));
    if (!batch) throw new Error(`leading axes of ${formatShape(a.shape)} and ${formatShape(b.shape)} do not broadcast`);
    return { dtype: a.dtype, shape: [...batch, a.shape.at(-2) as Dim, b.shape.at(-1) as Dim] };
  },
  // dA = c B^T, dB = A^T c
  vjp: ({ g, inputs, cotangent }) => {
    const a = required(inputs, 0);
    const b = required(inputs, 1);
    return [
      () => g.apply('MatMul', [cotangent, matrixTranspose(g, b)], {}),
      () => g.apply('MatMul', [matrixTranspose(g, a), cotangent], {}),
    ];
  },
  evaluate: (inputs) => {
    const a = required(inputs, 0);
    const b = required(inputs, 1);
    const [n, k] = a.shape.slice(-2) as [number, number];
    const m = b.shape.at(-1) as number;
    const batch = broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2)) as number[];
    const data = new Float64Array(sizeOf(batch) * n * m);
    const aBatch = batchOffsets(a, batch, n * k);
    const bBatch = batchOffsets(b, batch, k * m);
    for (let t = 0; t < sizeOf(batch); t++) {
      const ao = aBatch(t);
      const bo = bBatch(t);
      for (let i = 0; i < n; i++) {
        for (let j = 0; j < m; j++) {
          let sum = 0;
          for (let l = 0; l < k; l++) {
            sum += (a.data[ao + i * k + l] as number) * (b.data[bo + l * m + j] as number);
          }
          data[(t * n + i) * m + j] = sum;
        }
      }
    }
    return { dtype: a.dtype, shape: [...batch, n, m], data };
  },
};

function batchOffsets(operand: Tensor, batch: readonly number[], matrix: number): (t: number) => number {
  const own = operand.shape.slice(0, -2);
  return (t) => {
    let rest = t;
    let offset = 0;
    let stride = matrix;
    for (let axis = batch.length - 1; axis >= 0; axis--) {
      const dim = batch[axis] as number;
      const coordinate = rest % dim;
      rest = (rest - coordinate) / dim;
      const ownDim = own[axis - batch.length + own.length] ?? 1;
      if (ownDim !== 1) offset += coordinate * stride;
      stride *= ownDim;
    }
    return offset;
  };
}

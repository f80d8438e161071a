import type { GraphBuilder } from '../builder.js';
import type { Value } from '../graph.js';
import { broadcastShapes, formatShape, sameShape } from '../tensor.js';
import type { GemmAttributes } from './attributes.js';
import { expectOneDType, mapTensors } from './broadcasting.js';
import { MatMul } from './linear-algebra.js';
import type { Operator } from './operator.js';
import { expectRank, required } from './operator.js';
import { Transpose } from './reshaping.js';

const PERM = { perm: [1, 0] } as const;

/** `alpha A B + beta C`, where a flag transposes A `[n, k]` or B `[k, m]`; C is optional and broadcasts. */
export const Gemm: Operator<'Gemm'> = {
  infer: (inputs, { transA = 0, transB = 0 }) => {
    const a = required(inputs, 0);
    const b = required(inputs, 1);
    expectRank(a, 2, 'a left operand');
    expectRank(b, 2, 'a right operand');
    expectOneDType(inputs);
    const [n, k] = transA ? [a.shape[1], a.shape[0]] : a.shape;
    const [rows, m] = transB ? [b.shape[1], b.shape[0]] : b.shape;
    if (k !== rows) throw new Error(`left operand has ${k} columns, right operand has ${rows} rows`);
    const shape = [n ?? 0, m ?? 0];
    const c = inputs[2];
    if (c && !sameShape(broadcastShapes(c.shape, shape) ?? [], shape)) {
      throw new Error(`bias of shape ${formatShape(c.shape)} does not broadcast to ${formatShape(shape)}`);
    }
    return { dtype: a.dtype, shape };
  },
  // With c the cotangent: dA = alpha c B^T or its transpose, dB = alpha A^T c or its transpose, dC = beta c
  vjp: ({ g, inputs, cotangent: c, attributes: { alpha = 1, beta = 1, transA = 0, transB = 0 } }) => {
    const a = required(inputs, 0);
    const b = required(inputs, 1);
    const gemm = (left: Value, right: Value, transposed: Pick<GemmAttributes, 'transA' | 'transB'>) =>
      g.apply('Gemm', [left, right], { alpha, ...transposed });
    return [
      () => (transA ? gemm(b, c, { transA: transB, transB: 1 }) : gemm(c, b, { transB: transB ? 0 : 1 })),
      () => (transB ? gemm(c, a, { transA: 1, transB: transA }) : gemm(a, c, { transA: transA ? 0 : 1 })),
      () => times(g, c, beta),
    ];
  },
  evaluate: (inputs, { alpha = 1, beta = 1, transA = 0, transB = 0 }) => {
    const [a, b] = [required(inputs, 0), required(inputs, 1)];
    const left = transA ? Transpose.evaluate([a], PERM) : a;
    const right = transB ? Transpose.evaluate([b], PERM) : b;
    const product = MatMul.evaluate([left, right], {});
    const c = inputs[2];
    if (!c) return mapTensors([product], product.dtype, (x) => alpha * x);
    return mapTensors([product, c], product.dtype, (x, y) => alpha * x + beta * (y as number));
  },
};

function times(g: GraphBuilder, value: Value, factor: number): Value {
  return factor === 1 ? value : g.apply('Mul', [value, g.scalar(factor, value.dtype)], {});
}

import type { Value } from '../../graph.js';
import type { NodeContext, Reading } from './node-context.js';

/** A vector on the left is a row, on the right a column; the axis of size 1 is taken away again. */
function matMul(c: NodeContext): Value {
  const [a, b] = [c.input(0), c.input(1)];
  const [row, column] = [a.shape.length === 1, b.shape.length === 1];
  if (!row && !column) return c.emit('MatMul', [a, b], {});
  const left = row ? c.reshape(a, [1, ...a.shape], 'row') : a;
  const right = column ? c.reshape(b, [...b.shape, 1], 'column') : b;
  const product = c.emit('MatMul', [left, right], {}, 'product');
  const shape = product.shape.filter((_, axis) => {
    const fromEnd = product.shape.length - axis;
    return !(row && fromEnd === 2) && !(column && fromEnd === 1);
  });
  return c.reshape(product, shape);
}

export const linearAlgebra = {
  MatMul: { read: matMul },
  Gemm: {
    read: (c) =>
      c.emit('Gemm', [c.input(0), c.input(1), ...(c.optional(2) ? [c.optional(2)] : [])], {
        alpha: c.float('alpha', 1),
        beta: c.float('beta', 1),
        transA: c.flag('transA', 0),
        transB: c.flag('transB', 0),
      }),
  },
  Einsum: {
    read: (c) => {
      const operands = c.slots.map((_, i) => c.input(i));
      return c.emit('Einsum', operands, { equation: c.string('equation', '').replace(/\s/g, '') });
    },
  },
} satisfies Record<string, Reading>;

import type { Tensor } from '../tensor.js';
import { formatShape, normalizeAxis, sameShape, sizeOf, stridesOf } from '../tensor.js';
import { knownDim, multiplyDims } from './dims.js';
import type { Operator } from './operator.js';
import { expectOneOf, required } from './operator.js';
import { expandLike, reshape, zerosLike } from './shape-helpers.js';
import { scatterSlice } from './slicing.js';

/** Slices of `x` along `axis` at integer `indices` (any shape). */
export const Gather: Operator<'Gather'> = {
  infer: (inputs, { axis }) => {
    const x = required(inputs, 0);
    const at = normalizeAxis(axis, x.shape.length);
    const indices = required(inputs, 1);
    return { dtype: x.dtype, shape: [...x.shape.slice(0, at), ...indices.shape, ...x.shape.slice(at + 1)] };
  },
  // dx = zeros, with the cotangent added at the indices; padding for one constant index
  vjp: ({ g, inputs, cotangent, attributes: { axis } }) => [
    () => {
      const x = required(inputs, 0);
      const indices = required(inputs, 1);
      const at = normalizeAxis(axis, x.shape.length);
      const count = multiplyDims(indices.shape);
      if (indices.constant && count === 1) {
        const size = knownDim(x.shape[at], `the size along axis ${at}`);
        const start = normalizeAxis(indices.constant.data[0] as number, size);
        const one = reshape(
          g,
          cotangent,
          x.shape.map((dim, i) => (i === at ? 1 : dim)),
        );
        return scatterSlice(g, one, x.shape, [at], [start], [1]);
      }
      const updates = reshape(g, cotangent, [...x.shape.slice(0, at), count, ...x.shape.slice(at + 1)]);
      const column = reshape(
        g,
        indices,
        x.shape.map((_, i) => (i === at ? count : 1)),
      );
      const everywhere = expandLike(g, column, updates);
      return g.apply('ScatterElements', [zerosLike(g, x), everywhere, updates], { axis: at, reduction: 'add' });
    },
    null,
  ],
  evaluate: (inputs, { axis }) => {
    const x = required(inputs, 0);
    const indices = required(inputs, 1);
    const at = normalizeAxis(axis, x.shape.length);
    const dim = x.shape[at] as number;
    const inner = sizeOf(x.shape.slice(at + 1));
    const outer = sizeOf(x.shape.slice(0, at));
    const shape = [...x.shape.slice(0, at), ...indices.shape, ...x.shape.slice(at + 1)];
    const data = new Float64Array(sizeOf(shape));
    const count = indices.data.length;
    for (let o = 0; o < outer; o++) {
      for (let k = 0; k < count; k++) {
        const raw = indices.data[k] as number;
        const from = (o * dim + (raw < 0 ? raw + dim : raw)) * inner;
        data.set(x.data.subarray(from, from + inner), (o * count + k) * inner);
      }
    }
    return { dtype: x.dtype, shape, data };
  },
};

/** For each element of `indices`, its position in `x`: its own coordinates with `axis` replaced by the index. */
function positions(x: Tensor, indices: Tensor, axis: number): Int32Array {
  const own = stridesOf(indices.shape);
  const strides = stridesOf(x.shape);
  const dim = x.shape[axis] as number;
  return Int32Array.from(indices.data, (raw, i) => {
    let rest = i;
    let at = 0;
    for (let k = 0; k < own.length; k++) {
      const coordinate = Math.floor(rest / (own[k] as number));
      rest -= coordinate * (own[k] as number);
      at += (k === axis ? (raw < 0 ? raw + dim : raw) : coordinate) * (strides[k] as number);
    }
    return at;
  });
}

/** `y[i][j] = x[indices[i][j]][j]` for axis 0, and so on for other axes. */
export const GatherElements: Operator<'GatherElements'> = {
  infer: (inputs, { axis }) => {
    const x = required(inputs, 0);
    const indices = required(inputs, 1);
    normalizeAxis(axis, x.shape.length);
    if (indices.shape.length !== x.shape.length) {
      throw new Error(`expected indices of rank ${x.shape.length} as the value, got rank ${indices.shape.length}`);
    }
    return { dtype: x.dtype, shape: indices.shape };
  },
  // dx = zeros, with the cotangent added at the indices
  vjp: ({ g, inputs, cotangent, attributes: { axis } }) => [
    () => {
      const x = required(inputs, 0);
      return g.apply('ScatterElements', [zerosLike(g, x), inputs[1], cotangent], { axis, reduction: 'add' });
    },
    null,
  ],
  evaluate: (inputs, { axis }) => {
    const x = required(inputs, 0);
    const indices = required(inputs, 1);
    const at = positions(x, indices, normalizeAxis(axis, x.shape.length));
    return { dtype: x.dtype, shape: indices.shape, data: Float64Array.from(at, (i) => x.data[i] as number) };
  },
};

/** A copy of `x` with `updates` at `indices` along `axis`: in place of what is there (distinct indices), or added. */
export const ScatterElements: Operator<'ScatterElements'> = {
  infer: (inputs, { axis, reduction }) => {
    expectOneOf(reduction, ['none', 'add'], 'reduction');
    const x = required(inputs, 0);
    const indices = required(inputs, 1);
    const updates = required(inputs, 2);
    normalizeAxis(axis, x.shape.length);
    if (!sameShape(indices.shape, updates.shape)) {
      throw new Error(
        `expected updates of the shape of the indices, ${formatShape(indices.shape)}, got ${formatShape(updates.shape)}`,
      );
    }
    return { dtype: x.dtype, shape: x.shape };
  },
  // dupdates = c at the indices; dx = c, but 0 where an update replaced it
  vjp: ({ g, inputs, cotangent, attributes: { axis, reduction } }) => {
    const indices = required(inputs, 1);
    return [
      () => {
        if (reduction === 'add') return cotangent;
        const nothing = zerosLike(g, required(inputs, 2));
        return g.apply('ScatterElements', [cotangent, indices, nothing], { axis, reduction });
      },
      null,
      () => g.apply('GatherElements', [cotangent, indices], { axis }),
    ];
  },
  evaluate: (inputs, { axis, reduction }) => {
    const x = required(inputs, 0);
    const updates = required(inputs, 2);
    const data = Float64Array.from(x.data);
    positions(x, required(inputs, 1), normalizeAxis(axis, x.shape.length)).forEach((at, i) => {
      data[at] = (reduction === 'add' ? (data[at] as number) : 0) + (updates.data[i] as number);
    });
    return { dtype: x.dtype, shape: x.shape, data };
  },
};

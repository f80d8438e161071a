import type { Dim } from '../tensor.js';
import { formatShape, int64s, sizeOf, stridesOf } from '../tensor.js';
import { multiplyDims } from './dims.js';
import { constantIntegers, constantNumbers, dimsInput } from './integers.js';
import type { Inputs, Operator } from './operator.js';
import { expectRank, required } from './operator.js';
import { reshape } from './shape-helpers.js';
import { coordinatesOf, readStrided } from './strided.js';

/** A tensor of one value, float32 0 when absent, of a shape that is constant or computed from shapes. */
export const ConstantOfShape: Operator<'ConstantOfShape'> = {
  infer: (inputs, { value }) => ({
    dtype: value?.dtype ?? 'float32',
    shape: required(inputs, 0).shape[0] === 0 ? [] : dimsInput(inputs, 0, 'the shape'),
  }),
  vjp: 'none',
  evaluate: (inputs, { value }) => {
    const shape = Array.from(required(inputs, 0).data);
    const data = new Float64Array(sizeOf(shape)).fill((value?.data[0] as number | undefined) ?? 0);
    return { dtype: value?.dtype ?? 'float32', shape, data };
  },
};

const rangeCount = (start: number, limit: number, delta: number) => Math.max(0, Math.ceil((limit - start) / delta));

/** start, start + delta, ... up to before limit. A limit that is a symbol gives the length its name. */
export const Range: Operator<'Range'> = {
  infer: (inputs) => {
    const { dtype } = required(inputs, 0);
    const known = [0, 1, 2].every((position) => required(inputs, position).constant);
    if (known) {
      const [start, limit, delta] = [0, 1, 2].map((position) => constantNumbers(inputs, position, 'a bound')[0]);
      return { dtype, shape: [rangeCount(start as number, limit as number, delta as number)] };
    }
    const [start, limit, delta] = [0, 1, 2].map((position) => dimsInput(inputs, position, 'a bound')[0] as Dim);
    if ([start, limit, delta].every((bound) => typeof bound === 'number')) {
      return { dtype, shape: [rangeCount(start as number, limit as number, delta as number)] };
    }
    return {
      dtype,
      shape: [start === 0 && delta === 1 ? (limit as Dim) : `range(${[start, limit, delta].join(',')})`],
    };
  },
  vjp: 'none',
  evaluate: (inputs) => {
    const [start, limit, delta] = [0, 1, 2].map((position) => required(inputs, position).data[0] as number);
    const length = rangeCount(start as number, limit as number, delta as number);
    const data = Float64Array.from({ length }, (_, i) => (start as number) + i * (delta as number));
    return { dtype: required(inputs, 0).dtype, shape: [length], data };
  },
};

function repeatsOf(inputs: Inputs): number[] {
  const { shape } = required(inputs, 0);
  const repeats = constantIntegers(inputs, 1, 'repeats');
  if (repeats.length !== shape.length)
    throw new Error(`expected ${shape.length} repeats for ${formatShape(shape)}, got ${repeats.length}`);
  return repeats;
}

/** The input repeated along each axis. */
export const Tile: Operator<'Tile'> = {
  infer: (inputs) => {
    const x = required(inputs, 0);
    const repeats = repeatsOf(inputs);
    return { dtype: x.dtype, shape: x.shape.map((dim, axis) => multiplyDims([repeats[axis] as number, dim])) };
  },
  // The cotangent of every copy sums up: [.., r d, ..] as [.., r, d, ..], summed over r.
  vjp: ({ g, inputs, cotangent }) => [
    () => {
      const { shape } = required(inputs, 0);
      const repeats = repeatsOf(inputs);
      const split: Dim[] = [];
      const axes: number[] = [];
      shape.forEach((dim, axis) => {
        if (repeats[axis] !== 1) {
          axes.push(split.length);
          split.push(repeats[axis] as number);
        }
        split.push(dim);
      });
      if (axes.length === 0) return cotangent;
      const parts = reshape(g, cotangent, split);
      return g.apply('ReduceSum', [parts, g.constant(int64s(axes))], { keepdims: 0 });
    },
    null,
  ],
  evaluate: (inputs) => {
    const x = required(inputs, 0);
    const repeats = Array.from(required(inputs, 1).data);
    const split = x.shape.flatMap((dim, axis) => [repeats[axis] as number, dim]);
    const steps = stridesOf(x.shape).flatMap((stride) => [0, stride]);
    const { data } = readStrided(x, split, steps);
    return { dtype: x.dtype, shape: x.shape.map((dim, axis) => dim * (repeats[axis] as number)), data };
  },
};

/** The upper (or lower) triangle of the last two axes, from the optional second input's diagonal on; 0 elsewhere. */
export const Trilu: Operator<'Trilu'> = {
  infer: (inputs) => {
    const { dtype, shape } = required(inputs, 0);
    if (shape.length < 2) throw new Error(`expected a rank of 2 or more, got ${formatShape(shape)}`);
    if (inputs[1]) expectRank(inputs[1], inputs[1].shape.length === 1 ? 1 : 0, 'a diagonal');
    return { dtype, shape };
  },
  vjp: ({ g, inputs, cotangent, attributes }) => [() => g.apply('Trilu', [cotangent, inputs[1]], attributes), null],
  evaluate: (inputs, { upper = 1 }) => {
    const x = required(inputs, 0);
    const diagonal = (inputs[1]?.data[0] as number | undefined) ?? 0;
    const strides = stridesOf(x.shape);
    const data = Float64Array.from(x.data, (value, i) => {
      const [row, column] = coordinatesOf(i, strides).slice(-2) as [number, number];
      const kept = upper ? column - row >= diagonal : column - row <= diagonal;
      return kept ? value : 0;
    });
    return { dtype: x.dtype, shape: x.shape, data };
  },
};

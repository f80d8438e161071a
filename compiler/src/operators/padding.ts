import type { Dim, Shape } from '../tensor.js';
import { normalizeAxis, sizeOf, stridesOf } from '../tensor.js';
import type { AxisMap } from './along-axis.js';
import { evaluateMaps, transposeMaps } from './along-axis.js';
import { knownDim, offsetDim } from './dims.js';
import { constantIntegers } from './integers.js';
import type { Operator } from './operator.js';
import { expectOneOf, required } from './operator.js';
import { slice } from './shape-helpers.js';

/** Pads of every axis (begins, then ends) from pads of `axes`. */
function spreadPads(rank: number, pads: readonly number[], axes?: readonly number[]): number[] {
  const padded = axes?.map((axis) => normalizeAxis(axis, rank)) ?? Array.from({ length: rank }, (_, axis) => axis);
  if (pads.length !== 2 * padded.length) {
    throw new Error(`expected ${2 * padded.length} pads, got ${pads.length}`);
  }
  if (pads.some((count) => count < 0)) throw new Error(`expected pads of 0 or more, got [${pads.join(', ')}]`);
  const spread = new Array<number>(2 * rank).fill(0);
  padded.forEach((axis, i) => {
    spread[axis] = pads[i] as number;
    spread[axis + rank] = pads[i + padded.length] as number;
  });
  return spread;
}

const padsOf = (inputs: Parameters<Operator<'Pad'>['infer']>[0]): number[] =>
  spreadPads(
    required(inputs, 0).shape.length,
    constantIntegers(inputs, 1, 'pads'),
    inputs[3] && constantIntegers(inputs, 3, 'axes'),
  );

const paddedShape = (shape: Shape, pads: readonly number[]): Dim[] =>
  shape.map((dim, axis) => offsetDim(dim, (pads[axis] as number) + (pads[axis + shape.length] as number)));

/** Reflecting or repeating edges, as a map along each padded axis. */
function edgeMaps(shape: Shape, pads: readonly number[], mode: 'reflect' | 'edge'): AxisMap[] {
  return shape.flatMap((dim, axis) => {
    const [begin, end] = [pads[axis] as number, pads[axis + shape.length] as number];
    if (begin + end === 0) return [];
    const size = knownDim(dim, `the size of an axis that is padded by ${mode}`);
    if (mode === 'reflect' && Math.max(begin, end) >= size) {
      throw new Error(`cannot reflect ${Math.max(begin, end)} of axis ${axis}, which has size ${size}`);
    }
    const source = (at: number) => {
      if (mode === 'edge') return Math.min(Math.max(at, 0), size - 1);
      return at < 0 ? -at : at >= size ? 2 * (size - 1) - at : at;
    };
    const outputs = Array.from({ length: begin + size + end }, (_, i) => [[source(i - begin), 1] as const]);
    return [{ axis, inputs: size, outputs }];
  });
}

/**
 * Padding by `pads`, of the optional fourth input's axes or of all: with a constant (the optional third input, 0 when
 * absent), the reflection of the inside, or the edge repeated.
 */
export const Pad: Operator<'Pad'> = {
  infer: (inputs, { mode }) => {
    const x = required(inputs, 0);
    const pads = padsOf(inputs);
    expectOneOf(mode, ['constant', 'reflect', 'edge'], 'mode');
    if (mode !== 'constant') edgeMaps(x.shape, pads, mode);
    return { dtype: x.dtype, shape: paddedShape(x.shape, pads) };
  },
  // constant: the inside of the cotangent; reflect, edge: what was copied sums up where it came from
  vjp: ({ g, inputs, cotangent, attributes: { mode } }) => [
    () => {
      const { shape } = required(inputs, 0);
      const pads = padsOf(inputs);
      if (mode !== 'constant') return transposeMaps(g, cotangent, edgeMaps(shape, pads, mode));
      const axes = shape.map((_, axis) => axis).filter((axis) => pads[axis] || pads[axis + shape.length]);
      if (axes.length === 0) return cotangent;
      const starts = axes.map((axis) => pads[axis] as number);
      const ends = axes.map((axis, i) => {
        const dim = shape[axis] as Dim;
        if (typeof dim === 'number') return (starts[i] as number) + dim;
        const end = pads[axis + shape.length] as number;
        return end === 0 ? 2 ** 31 - 1 : -end;
      });
      return slice(g, cotangent, axes, starts, ends);
    },
    null,
    () => {
      throw new Error('the value to pad with has no gradient rule');
    },
    null,
  ],
  evaluate: (inputs, { mode }) => {
    const x = required(inputs, 0);
    const axes = inputs[3] && Array.from(inputs[3].data);
    const pads = spreadPads(x.shape.length, Array.from(required(inputs, 1).data), axes);
    if (mode !== 'constant') return evaluateMaps(x, edgeMaps(x.shape, pads, mode));
    const shape = paddedShape(x.shape, pads) as number[];
    const data = new Float64Array(sizeOf(shape)).fill((inputs[2]?.data[0] as number | undefined) ?? 0);
    const strides = stridesOf(shape);
    const inStrides = stridesOf(x.shape);
    for (let i = 0; i < x.data.length; i++) {
      let rest = i;
      let at = 0;
      for (let axis = 0; axis < shape.length; axis++) {
        const coordinate = Math.floor(rest / (inStrides[axis] as number));
        rest -= coordinate * (inStrides[axis] as number);
        at += (coordinate + (pads[axis] as number)) * (strides[axis] as number);
      }
      data[at] = x.data[i] as number;
    }
    return { dtype: x.dtype, shape, data };
  },
};

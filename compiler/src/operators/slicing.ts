import type { GraphBuilder } from '../builder.js';
import type { Value } from '../graph.js';
import type { Dim, Shape } from '../tensor.js';
import { formatShape, normalizeAxis, sameShape, sizeOf, stridesOf } from '../tensor.js';
import { expectOneDType } from './broadcasting.js';
import { addDims, knownDim, offsetDim } from './dims.js';
import { constantIntegers, dimsInput } from './integers.js';
import type { Inputs, Operator } from './operator.js';
import { required } from './operator.js';
import { pad, reshape, slice } from './shape-helpers.js';
import { readStrided } from './strided.js';

export const Concat: Operator<'Concat'> = {
  infer: (inputs, { axis }) => {
    const first = required(inputs, 0);
    const at = normalizeAxis(axis, first.shape.length);
    expectOneDType(inputs);
    const sizes = inputs.map((_, position) => {
      const { shape } = required(inputs, position);
      const other = shape.map((dim, i) => (i === at ? (first.shape[at] as Dim) : dim));
      if (!sameShape(other, first.shape)) {
        throw new Error(`input ${position} of shape ${formatShape(shape)} does not fit ${formatShape(first.shape)}`);
      }
      return shape[at] as Dim;
    });
    return { dtype: first.dtype, shape: first.shape.map((dim, i) => (i === at ? addDims(sizes) : dim)) };
  },
  // Each operand takes the part of the cotangent that is its own.
  vjp: ({ g, inputs, cotangent, attributes: { axis } }) => {
    const at = normalizeAxis(axis, cotangent.shape.length);
    const sizes = inputs.map((_, position) => required(inputs, position).shape[at] as Dim);
    return inputs.map((_, position) => () => {
      const before = sizes.slice(0, position + 1).map((size) => knownDim(size, `every size along axis ${at}`));
      const to = before.reduce((sum, size) => sum + size, 0);
      return slice(g, cotangent, [at], [to - (before.at(-1) as number)], [to]);
    });
  },
  evaluate: (inputs, { axis }) => {
    const parts = inputs.map((_, position) => required(inputs, position));
    const first = required(parts, 0);
    const at = normalizeAxis(axis, first.shape.length);
    const shape = first.shape.map((dim, i) =>
      i === at ? parts.reduce((sum, part) => sum + (part.shape[at] as number), 0) : dim,
    );
    const inner = sizeOf(shape.slice(at + 1));
    const outer = sizeOf(shape.slice(0, at));
    const data = new Float64Array(sizeOf(shape));
    let to = 0;
    for (let i = 0; i < outer; i++) {
      for (const part of parts) {
        const length = (part.shape[at] as number) * inner;
        data.set(part.data.subarray(i * length, (i + 1) * length), to);
        to += length;
      }
    }
    return { dtype: first.dtype, shape, data };
  },
};

interface SliceRange {
  readonly axis: number;
  readonly start: number;
  readonly step: number;
  readonly size: Dim;
  /** The axis has a symbolic size and is taken whole; `start` is then 0 or, backwards, -1. */
  readonly whole?: true;
}

/** Ends that exporters write for "to the end": at least the largest int32. */
const FAR = 2 ** 31 - 1;

/** A range of a symbolic axis: the whole of it, or what can be named. */
function symbolicRange(axis: number, dim: string, start: Dim, end: Dim, step: number): SliceRange {
  const toEnd = end === dim || (typeof end === 'number' && end >= FAR);
  if (step === 1 && start === 0 && toEnd) return { axis, start: 0, step, size: dim, whole: true };
  const fromEnd = start === -1 || (typeof start === 'number' && start >= FAR);
  if (step === -1 && fromEnd && typeof end === 'number' && end <= -FAR) {
    return { axis, start: -1, step, size: dim, whole: true };
  }
  if (step === 1 && typeof start === 'number' && start >= 0) {
    if (toEnd) return { axis, start, step, size: offsetDim(dim, -start) };
    if (typeof end === 'number' && end < 0) return { axis, start, step, size: offsetDim(dim, end - start) };
  }
  return { axis, start: Number.NaN, step, size: `slice(${[dim, start, end, step].join(',')})` };
}

function sliceRanges(shape: Shape, lists: readonly (readonly Dim[] | undefined)[]): SliceRange[] {
  const [starts = [], ends = [], axes = starts.map((_, axis) => axis), steps = axes.map(() => 1)] = lists;
  return axes.map((rawAxis, i) => {
    const axis = normalizeAxis(rawAxis as number, shape.length);
    const dim = shape[axis] as Dim;
    const step = steps[i] as number;
    const [from, to] = [starts[i] as Dim, ends[i] as Dim];
    if (step === 0) throw new Error(`expected a step other than 0 along axis ${axis}`);
    if (typeof dim === 'string') return symbolicRange(axis, dim, from, to, step);
    const [low, high] = step > 0 ? [0, dim] : [-1, dim - 1];
    const clamp = (position: Dim, bottom: number) => {
      const known = knownDim(position, `the range along axis ${axis}`);
      return Math.min(high, Math.max(bottom, known < 0 ? known + dim : known));
    };
    const start = clamp(from, 0);
    return { axis, start, step, size: Math.max(0, Math.ceil((clamp(to, low) - start) / step)) };
  });
}

const rangesOf = (inputs: Inputs): SliceRange[] =>
  sliceRanges(required(inputs, 0).shape, [
    dimsInput(inputs, 1, 'starts'),
    dimsInput(inputs, 2, 'ends'),
    inputs[3] && constantIntegers(inputs, 3, 'axes'),
    inputs[4] && constantIntegers(inputs, 4, 'steps'),
  ]);

const slicedShape = (shape: Shape, ranges: readonly SliceRange[]) =>
  shape.map((dim, axis) => ranges.find((range) => range.axis === axis)?.size ?? dim);

/**
 * The transpose of a slice: zeros of `shape` with `value` at `starts` + k `steps` along `axes`. A step is made by
 * padding a new axis behind the sliced one and folding it in.
 */
export function scatterSlice(
  g: GraphBuilder,
  value: Value,
  shape: Shape,
  axes: readonly number[],
  starts: readonly number[],
  steps: readonly number[],
): Value {
  let result = value;
  const begins = shape.map(() => 0);
  const ends = shape.map(() => 0);
  axes.forEach((axis, i) => {
    const step = steps[i] as number;
    const start = starts[i] as number;
    const size = knownDim(result.shape[axis], `the size along axis ${axis}`);
    const total = knownDim(shape[axis], `the size along axis ${axis}`);
    if (step > 1) {
      const before = result.shape.slice(0, axis);
      const after = result.shape.slice(axis + 1);
      const lifted = reshape(g, result, [...before, size, 1, ...after]);
      const pads = [...lifted.shape.map(() => 0), ...lifted.shape.map((_, at) => (at === axis + 1 ? step - 1 : 0))];
      result = reshape(g, pad(g, lifted, pads), [...before, size * step, ...after]);
      const room = total - start;
      if (size * step > room) result = slice(g, result, [axis], [0], [room]);
    }
    begins[axis] = start;
    ends[axis] = total - start - (result.shape[axis] as number);
  });
  return pad(g, result, [...begins, ...ends]);
}

/** `value` with `axes` reversed. */
function reverse(g: GraphBuilder, value: Value, axes: readonly number[]): Value {
  if (axes.length === 0) return value;
  const every = (n: number) => axes.map(() => n);
  return slice(g, value, axes, every(-1), every(-FAR - 1), every(-1));
}

export const Slice: Operator<'Slice'> = {
  infer: (inputs) => {
    const x = required(inputs, 0);
    return { dtype: x.dtype, shape: slicedShape(x.shape, rangesOf(inputs)) };
  },
  // The cotangent among zeros; backwards ranges are turned round first.
  vjp: ({ g, inputs, cotangent }) => [
    () => {
      const { shape } = required(inputs, 0);
      const ranges = rangesOf(inputs);
      const forward = reverse(
        g,
        cotangent,
        ranges.filter((range) => range.step < 0).map((range) => range.axis),
      );
      const partial = ranges.filter((range) => !range.whole);
      const starts = partial.map(({ axis, start, step, size }) =>
        step > 0 ? start : start + (knownDim(size, `the size along axis ${axis}`) - 1) * step,
      );
      return scatterSlice(
        g,
        forward,
        shape,
        partial.map((range) => range.axis),
        starts.map((start) => Math.max(start, 0)),
        partial.map((range) => Math.abs(range.step)),
      );
    },
  ],
  evaluate: (inputs) => {
    const x = required(inputs, 0);
    const ranges = sliceRanges(
      x.shape,
      inputs.slice(1).map((list) => list && Array.from(list.data)),
    );
    const strides = stridesOf(x.shape);
    const steps = strides.map((stride, axis) => stride * (ranges.find((range) => range.axis === axis)?.step ?? 1));
    const offset = ranges.reduce((sum, range) => sum + range.start * (strides[range.axis] as number), 0);
    return readStrided(x, slicedShape(x.shape, ranges) as number[], steps, offset);
  },
};

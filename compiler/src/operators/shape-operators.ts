import type { GraphBuilder, Value } from '../graph.js';
import type { Dim, Shape, Tensor } from '../tensor.js';
import { broadcastShapes, formatShape, normalizeAxis, sameShape, sizeOf, stridesOf } from '../tensor.js';
import { mapTensors } from './elementwise.js';
import type { Inputs, Operator } from './operator.js';
import { constantIntegers, required } from './operator.js';
import { pad, reshape, slice } from './shape-helpers.js';

/** Product of dims as a number times symbols; `6N` is 6 times the symbol N. */
function product(dims: Shape): { factor: number; symbols: string[] } {
  let factor = 1;
  const symbols: string[] = [];
  for (const dim of dims) {
    if (typeof dim === 'number') factor *= dim;
    else {
      const [, count, symbol] = /^(\d*)(.+)$/.exec(dim) as unknown as [string, string, string];
      factor *= count === '' ? 1 : Number(count);
      symbols.push(symbol);
    }
  }
  return { factor, symbols: symbols.sort() };
}

/** The dimension that makes `shape` hold as many elements as `from`. */
function missingDim(from: Shape, shape: Shape): Dim {
  const whole = product(from);
  const part = product(shape);
  const symbols = [...whole.symbols];
  for (const symbol of part.symbols) {
    const at = symbols.indexOf(symbol);
    if (at < 0) throw new Error(`cannot reshape ${formatShape(from)}: symbol ${symbol} is not part of it`);
    symbols.splice(at, 1);
  }
  const factor = whole.factor / part.factor;
  if (!Number.isInteger(factor)) throw new Error(`${formatShape(from)} does not divide into ${formatShape(shape)}`);
  if (symbols.length === 0) return factor;
  return `${factor === 1 ? '' : factor}${symbols.join('*')}`;
}

function reshapedShape(from: Shape, target: readonly number[]): Dim[] {
  const copied = target.map((dim, axis): Dim => {
    if (dim !== 0) return dim;
    const kept = from[axis];
    if (kept === undefined) throw new Error(`target dimension ${axis} copies an axis that ${formatShape(from)} lacks`);
    return kept;
  });
  const known = copied.filter((dim) => dim !== -1);
  const open = copied.indexOf(-1);
  const missing = missingDim(from, known);
  if (open < 0) {
    if (missing !== 1) throw new Error(`cannot reshape ${formatShape(from)} to ${formatShape(copied)}`);
    return copied;
  }
  return copied.map((dim) => (dim === -1 ? missing : dim));
}

/** Reshape to a constant shape; 0 copies a dimension, -1 computes one. */
export const Reshape: Operator<'Reshape'> = {
  infer: (inputs) => {
    const x = required(inputs, 0);
    return { dtype: x.dtype, shape: reshapedShape(x.shape, constantIntegers(inputs, 1, 'the new shape')) };
  },
  vjp: ({ g, inputs, cotangent }) => [() => reshape(g, cotangent, required(inputs, 0).shape), null],
  evaluate: (inputs) => {
    const x = required(inputs, 0);
    const shape = reshapedShape(x.shape, Array.from(required(inputs, 1).data)) as number[];
    return { dtype: x.dtype, shape, data: x.data };
  },
};

export const Transpose: Operator<'Transpose'> = {
  infer: (inputs, { perm }) => {
    const x = required(inputs, 0);
    if (perm.length !== x.shape.length || new Set(perm).size !== perm.length) {
      throw new Error(`perm [${perm.join(', ')}] does not permute ${x.shape.length} axes`);
    }
    return { dtype: x.dtype, shape: perm.map((axis) => x.shape[axis] as Dim) };
  },
  vjp: ({ g, cotangent, attributes: { perm } }) => [
    () => g.apply('Transpose', [cotangent], { perm: perm.map((_, axis) => perm.indexOf(axis)) }),
  ],
  evaluate: (inputs, { perm }) => {
    const x = required(inputs, 0);
    const shape = perm.map((axis) => x.shape[axis] as number);
    const strides = stridesOf(x.shape);
    return gatherBy(
      x,
      shape,
      perm.map((axis) => strides[axis] as number),
      0,
    );
  },
};

/** Reads `x` at `offset + sum(coordinate * step)`. */
function gatherBy(x: Tensor, shape: readonly number[], steps: readonly number[], offset: number): Tensor {
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

/** The target of an Expand: the shape another value has, or a constant. */
function expandTarget(inputs: Inputs): Shape {
  const target = required(inputs, 1);
  if (target.producer?.op === 'Shape') return required(target.producer.inputs, 0).shape;
  return constantIntegers(inputs, 1, 'the new shape');
}

export const Expand: Operator<'Expand'> = {
  infer: (inputs) => {
    const x = required(inputs, 0);
    const target = expandTarget(inputs);
    const shape = broadcastShapes(x.shape, target);
    if (!shape) throw new Error(`${formatShape(x.shape)} does not expand to ${formatShape(target)}`);
    return { dtype: x.dtype, shape };
  },
  vjp: ({ cotangent }) => [() => cotangent, null],
  evaluate: (inputs) => {
    const x = required(inputs, 0);
    const shape = Array.from(required(inputs, 1).data);
    const like: Tensor = { dtype: x.dtype, shape, data: new Float64Array(sizeOf(shape)) };
    return mapTensors([x, like], x.dtype, (value) => value);
  },
};

export const Concat: Operator<'Concat'> = {
  infer: (inputs, { axis }) => {
    const first = required(inputs, 0);
    const at = normalizeAxis(axis, first.shape.length);
    let size = 0;
    for (let position = 0; position < inputs.length; position++) {
      const { shape } = required(inputs, position);
      const other = shape.map((dim, i) => (i === at ? (first.shape[at] as Dim) : dim));
      if (!sameShape(other, first.shape)) {
        throw new Error(`input ${position} of shape ${formatShape(shape)} does not fit ${formatShape(first.shape)}`);
      }
      const dim = shape[at];
      if (typeof dim !== 'number') throw new Error(`expected a known size along axis ${at}, got ${dim}`);
      size += dim;
    }
    return { dtype: first.dtype, shape: first.shape.map((dim, i) => (i === at ? size : dim)) };
  },
  vjp: ({ g, inputs, cotangent, attributes: { axis } }) => {
    let start = 0;
    return inputs.map((_, position) => {
      const { shape } = required(inputs, position);
      const at = normalizeAxis(axis, shape.length);
      const from = start;
      start += shape[at] as number;
      const to = start;
      return () => slice(g, cotangent, [at], [from], [to]);
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
  readonly size: number;
}

function sliceRanges(shape: Shape, lists: readonly (readonly number[] | undefined)[]): SliceRange[] {
  const [starts = [], ends = [], axes = starts.map((_, axis) => axis), steps = axes.map(() => 1)] = lists;
  return axes.map((rawAxis, i) => {
    const axis = normalizeAxis(rawAxis, shape.length);
    const dim = shape[axis];
    if (typeof dim !== 'number') throw new Error(`expected a known size along axis ${axis}, got ${dim}`);
    const step = steps[i] as number;
    if (step < 1) throw new Error(`expected a positive step along axis ${axis}, got ${step}`);
    const clamp = (position: number) => Math.min(dim, Math.max(0, position < 0 ? position + dim : position));
    const start = clamp(starts[i] as number);
    return { axis, start, step, size: Math.max(0, Math.ceil((clamp(ends[i] as number) - start) / step)) };
  });
}

const rangesOf = (inputs: Inputs) =>
  sliceRanges(
    required(inputs, 0).shape,
    ['starts', 'ends', 'axes', 'steps'].map((what, i) =>
      inputs[i + 1] ? constantIntegers(inputs, i + 1, what) : undefined,
    ),
  );

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
    const size = result.shape[axis] as number;
    const total = shape[axis] as number;
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

export const Slice: Operator<'Slice'> = {
  infer: (inputs) => {
    const x = required(inputs, 0);
    return { dtype: x.dtype, shape: slicedShape(x.shape, rangesOf(inputs)) };
  },
  vjp: ({ g, inputs, cotangent }) => {
    const ranges = rangesOf(inputs);
    return [
      () =>
        scatterSlice(
          g,
          cotangent,
          required(inputs, 0).shape,
          ranges.map((range) => range.axis),
          ranges.map((range) => range.start),
          ranges.map((range) => range.step),
        ),
    ];
  },
  evaluate: (inputs) => {
    const x = required(inputs, 0);
    const ranges = sliceRanges(
      x.shape,
      inputs.slice(1).map((list) => list && Array.from(list.data)),
    );
    const strides = stridesOf(x.shape);
    const steps = strides.map((stride, axis) => stride * (ranges.find((range) => range.axis === axis)?.step ?? 1));
    const offset = ranges.reduce((sum, range) => sum + range.start * (strides[range.axis] as number), 0);
    return gatherBy(x, slicedShape(x.shape, ranges) as number[], steps, offset);
  },
};

function padded(shape: Shape, pads: readonly number[]): Dim[] {
  if (pads.length !== 2 * shape.length) {
    throw new Error(`expected ${2 * shape.length} pads for ${formatShape(shape)}, got ${pads.length}`);
  }
  if (pads.some((count) => count < 0)) throw new Error(`expected pads of 0 or more, got [${pads.join(', ')}]`);
  return shape.map((dim, axis) => {
    const extra = (pads[axis] as number) + (pads[axis + shape.length] as number);
    if (extra === 0) return dim;
    if (typeof dim !== 'number') throw new Error(`cannot pad the symbol ${dim}`);
    return dim + extra;
  });
}

/** Constant padding by `pads`; an optional third input is the value, 0 when absent. */
export const Pad: Operator<'Pad'> = {
  infer: (inputs) => {
    const x = required(inputs, 0);
    return { dtype: x.dtype, shape: padded(x.shape, constantIntegers(inputs, 1, 'pads')) };
  },
  vjp: ({ g, inputs, cotangent }) => [
    () => {
      const x = required(inputs, 0);
      const pads = constantIntegers(inputs, 1, 'pads');
      const axes = x.shape.map((_, axis) => axis).filter((axis) => pads[axis] || pads[axis + x.shape.length]);
      const starts = axes.map((axis) => pads[axis] as number);
      return slice(
        g,
        cotangent,
        axes,
        starts,
        axes.map((axis, i) => (starts[i] as number) + (x.shape[axis] as number)),
      );
    },
    null,
    null,
  ],
  evaluate: (inputs) => {
    const x = required(inputs, 0);
    const pads = required(inputs, 1).data;
    const shape = padded(x.shape, Array.from(pads)) as number[];
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

/** The dimensions of a value, as int64. */
export const Shape_: Operator<'Shape'> = {
  infer: (inputs) => ({ dtype: 'int64', shape: [required(inputs, 0).shape.length] }),
  vjp: 'none',
  evaluate: (inputs) => {
    const { shape } = required(inputs, 0);
    return { dtype: 'int64', shape: [shape.length], data: Float64Array.from(shape) };
  },
};

/** The number of elements of a value, as int64. */
export const Size: Operator<'Size'> = {
  infer: () => ({ dtype: 'int64', shape: [] }),
  vjp: 'none',
  evaluate: (inputs) => ({ dtype: 'int64', shape: [], data: Float64Array.of(required(inputs, 0).data.length) }),
};

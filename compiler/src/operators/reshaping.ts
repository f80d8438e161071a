import type { Dim, Shape, Tensor } from '../tensor.js';
import { broadcastShapes, formatShape, normalizeAxis, sizeOf, stridesOf } from '../tensor.js';
import { mapTensors } from './broadcasting.js';
import { missingDim, multiplyDims } from './dims.js';
import { constantIntegers, dimsInput } from './integers.js';
import type { Inputs, Operator } from './operator.js';
import { required } from './operator.js';
import { reshapeLike } from './shape-helpers.js';
import { readStrided } from './strided.js';

function reshapedShape(from: Shape, target: readonly Dim[]): Dim[] {
  const copied = target.map((dim, axis): Dim => {
    if (dim !== 0) return dim;
    const kept = from[axis];
    if (kept === undefined) throw new Error(`target dimension ${axis} copies an axis that ${formatShape(from)} lacks`);
    return kept;
  });
  const known = copied.filter((dim) => dim !== -1);
  if (copied.length - known.length > 1) throw new Error(`${formatShape(copied)} leaves two dimensions open`);
  const open = copied.indexOf(-1);
  const missing = missingDim(from, known);
  if (open < 0) {
    if (missing !== 1) throw new Error(`cannot reshape ${formatShape(from)} to ${formatShape(copied)}`);
    return copied;
  }
  return copied.map((dim) => (dim === -1 ? missing : dim));
}

/** Reshape to a shape that is constant or computed from shapes; 0 copies a dimension, -1 computes one. */
export const Reshape: Operator<'Reshape'> = {
  infer: (inputs) => {
    const x = required(inputs, 0);
    return { dtype: x.dtype, shape: reshapedShape(x.shape, dimsInput(inputs, 1, 'the new shape')) };
  },
  vjp: ({ g, inputs, cotangent }) => [() => reshapeLike(g, cotangent, required(inputs, 0)), null],
  evaluate: (inputs) => {
    const x = required(inputs, 0);
    const shape = reshapedShape(x.shape, Array.from(required(inputs, 1).data)) as number[];
    return { dtype: x.dtype, shape, data: x.data };
  },
};

function flattened(shape: Shape, axis: number): [Dim, Dim] {
  const at = axis === shape.length ? axis : normalizeAxis(axis, shape.length);
  return [multiplyDims(shape.slice(0, at)), multiplyDims(shape.slice(at))];
}

/** A matrix: axes before `axis` by axes from `axis` on. */
export const Flatten: Operator<'Flatten'> = {
  infer: (inputs, { axis }) => {
    const { dtype, shape } = required(inputs, 0);
    return { dtype, shape: flattened(shape, axis) };
  },
  vjp: ({ g, inputs, cotangent }) => [() => reshapeLike(g, cotangent, required(inputs, 0))],
  evaluate: (inputs, { axis }) => {
    const { dtype, shape, data } = required(inputs, 0);
    return { dtype, shape: flattened(shape, axis) as number[], data };
  },
};

function squeezed(shape: Shape, axes: readonly number[] | undefined): Dim[] {
  const dropped = axes?.map((axis) => normalizeAxis(axis, shape.length));
  for (const axis of dropped ?? []) {
    if (shape[axis] !== 1) throw new Error(`axis ${axis} of ${formatShape(shape)} is not 1`);
  }
  return shape.filter((dim, axis) => (dropped ? !dropped.includes(axis) : dim !== 1));
}

function unsqueezed(shape: Shape, axes: readonly number[]): Dim[] {
  const rank = shape.length + axes.length;
  const added = new Set(axes.map((axis) => normalizeAxis(axis, rank)));
  if (added.size !== axes.length) throw new Error(`axes [${axes.join(', ')}] name one twice`);
  const rest = [...shape];
  return Array.from({ length: rank }, (_, axis) => (added.has(axis) ? 1 : (rest.shift() as Dim)));
}

const optionalIntegers = (inputs: readonly (Tensor | undefined)[], position: number) => {
  const list = inputs[position];
  return list && Array.from(list.data);
};

/** Drops axes of size 1: those named, or all. */
export const Squeeze: Operator<'Squeeze'> = {
  infer: (inputs) => {
    const { dtype, shape } = required(inputs, 0);
    return { dtype, shape: squeezed(shape, inputs[1] && constantIntegers(inputs, 1, 'axes')) };
  },
  vjp: ({ g, inputs, cotangent }) => [
    () =>
      inputs[1] ? g.apply('Unsqueeze', [cotangent, inputs[1]], {}) : reshapeLike(g, cotangent, required(inputs, 0)),
    null,
  ],
  evaluate: (inputs) => {
    const { dtype, shape, data } = required(inputs, 0);
    return { dtype, shape: squeezed(shape, optionalIntegers(inputs, 1)) as number[], data };
  },
};

/** Adds axes of size 1, counted in the result. */
export const Unsqueeze: Operator<'Unsqueeze'> = {
  infer: (inputs) => {
    const { dtype, shape } = required(inputs, 0);
    return { dtype, shape: unsqueezed(shape, constantIntegers(inputs, 1, 'axes')) };
  },
  vjp: ({ g, inputs, cotangent }) => [() => g.apply('Squeeze', [cotangent, inputs[1]], {}), null],
  evaluate: (inputs) => {
    const { dtype, shape, data } = required(inputs, 0);
    return { dtype, shape: unsqueezed(shape, Array.from(required(inputs, 1).data)) as number[], data };
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
    const strides = stridesOf(x.shape);
    return readStrided(
      x,
      perm.map((axis) => x.shape[axis] as number),
      perm.map((axis) => strides[axis] as number),
    );
  },
};

/** The shape an Expand broadcasts to: a constant, or computed from shapes. */
const expandTarget = (inputs: Inputs): Shape => dimsInput(inputs, 1, 'the new shape');

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

const part = <T>(shape: readonly T[], { start = 0, end = shape.length }: { start?: number; end?: number }) =>
  shape.slice(start, end);

/** The dimensions of a value, or those from `start` to before `end`, as int64. */
export const Shape_: Operator<'Shape'> = {
  infer: (inputs, range) => ({ dtype: 'int64', shape: [part(required(inputs, 0).shape, range).length] }),
  vjp: 'none',
  evaluate: (inputs, range) => {
    const dims = part(required(inputs, 0).shape, range);
    return { dtype: 'int64', shape: [dims.length], data: Float64Array.from(dims) };
  },
};

/** The number of elements of a value, as int64. */
export const Size: Operator<'Size'> = {
  infer: () => ({ dtype: 'int64', shape: [] }),
  vjp: 'none',
  evaluate: (inputs) => ({ dtype: 'int64', shape: [], data: Float64Array.of(required(inputs, 0).data.length) }),
};

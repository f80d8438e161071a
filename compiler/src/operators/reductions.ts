import type { GraphBuilder, Value } from '../graph.js';
import type { Dim, Tensor } from '../tensor.js';
import { isStatic, normalizeAxis, sizeOf, stridesOf } from '../tensor.js';
import type { OperatorName } from './attributes.js';
import type { Inputs, Operator, ValueType, Vjp } from './operator.js';
import { constantIntegers, required } from './operator.js';
import { expandLike, reshape } from './shape-helpers.js';

type Reduction = Extract<OperatorName, 'ReduceSum' | 'ReduceMean' | 'ReduceMax'>;

function reducedAxes(axes: readonly number[] | undefined, rank: number): number[] {
  const all = Array.from({ length: rank }, (_, axis) => axis);
  return axes ? axes.map((axis) => normalizeAxis(axis, rank)) : all;
}

const axesOf = (inputs: Inputs) =>
  reducedAxes(inputs[1] && constantIntegers(inputs, 1, 'axes'), required(inputs, 0).shape.length);

function inferReduction(inputs: Inputs, { keepdims }: { keepdims: 0 | 1 }): ValueType {
  const { dtype, shape } = required(inputs, 0);
  const axes = new Set(axesOf(inputs));
  const kept = shape.map((dim, axis): Dim | null => (!axes.has(axis) ? dim : keepdims ? 1 : null));
  return { dtype, shape: kept.filter((dim) => dim !== null) };
}

/** A reduced value with its axes of size 1 put back, so that it broadcasts against the input. */
export function withAxes(g: GraphBuilder, reduced: Value, like: Value, axes: readonly number[]): Value {
  const set = new Set(axes);
  return reshape(
    g,
    reduced,
    like.shape.map((dim, axis) => (set.has(axis) ? 1 : dim)),
  );
}

function evaluateReduction(
  inputs: readonly (Tensor | undefined)[],
  keepdims: 0 | 1,
  start: number,
  join: (a: number, b: number) => number,
): { result: Tensor & { data: Float64Array }; count: number } {
  const x = required(inputs, 0);
  const axes = new Set(reducedAxes(inputs[1] && Array.from(inputs[1].data), x.shape.length));
  const full = x.shape.map((dim, axis) => (axes.has(axis) ? 1 : dim));
  const outStrides = stridesOf(full).map((stride, axis) => (axes.has(axis) ? 0 : stride));
  const inStrides = stridesOf(x.shape);
  const data = new Float64Array(sizeOf(full)).fill(start);
  for (let i = 0; i < x.data.length; i++) {
    let rest = i;
    let at = 0;
    for (let axis = 0; axis < x.shape.length; axis++) {
      const coordinate = Math.floor(rest / (inStrides[axis] as number));
      rest -= coordinate * (inStrides[axis] as number);
      at += coordinate * (outStrides[axis] as number);
    }
    data[at] = join(data[at] as number, x.data[i] as number);
  }
  const shape = keepdims ? full : full.filter((_, axis) => !axes.has(axis));
  return { result: { dtype: x.dtype, shape, data }, count: sizeOf(x.shape) / Math.max(1, data.length) };
}

function reduction<K extends Reduction>(vjp: Vjp<K>, evaluate: Operator<K>['evaluate']): Operator<K> {
  return { infer: (inputs, attributes) => inferReduction(inputs, attributes), vjp, evaluate };
}

/** How many elements were reduced into one, as a float scalar. */
function reducedCount(g: GraphBuilder, x: Value, y: Value): Value {
  if (isStatic(x.shape) && isStatic(y.shape)) return g.scalar(sizeOf(x.shape) / sizeOf(y.shape));
  const sizes = [x, y].map((value) => g.apply('Cast', [g.apply('Size', [value], {})], { to: 'float32' }));
  return g.apply('Div', sizes, {});
}

// d sum(x) = sum(dx)
export const ReduceSum = reduction<'ReduceSum'>(
  ({ g, inputs, cotangent }) => {
    const x = required(inputs, 0);
    return [() => expandLike(g, withAxes(g, cotangent, x, axesOf(inputs)), x), null];
  },
  (inputs, { keepdims }) => evaluateReduction(inputs, keepdims, 0, (a, b) => a + b).result,
);

// d mean(x) = sum(dx) / count
export const ReduceMean = reduction<'ReduceMean'>(
  ({ g, inputs, output, cotangent }) => {
    const x = required(inputs, 0);
    return [
      () => {
        const share = g.apply('Div', [cotangent, reducedCount(g, x, output)], {});
        return expandLike(g, withAxes(g, share, x, axesOf(inputs)), x);
      },
      null,
    ];
  },
  (inputs, { keepdims }) => {
    const { result, count } = evaluateReduction(inputs, keepdims, 0, (a, b) => a + b);
    for (let i = 0; i < result.data.length; i++) result.data[i] = (result.data[i] as number) / count;
    return result;
  },
);

// The cotangent goes to the elements that equal the maximum, shared evenly where several do.
export const ReduceMax = reduction<'ReduceMax'>(
  ({ g, inputs, output, cotangent }) => {
    const x = required(inputs, 0);
    const axes = axesOf(inputs);
    return [
      () => {
        const hit = g.apply('Equal', [x, withAxes(g, output, x, axes)], {});
        const weight = g.apply('Cast', [hit], { to: 'float32' });
        const count = g.apply('ReduceSum', [weight, inputs[1]], { keepdims: 1 });
        const share = g.apply('Div', [withAxes(g, cotangent, x, axes), count], {});
        return g.apply('Mul', [weight, share], {});
      },
      null,
    ];
  },
  (inputs, { keepdims }) => evaluateReduction(inputs, keepdims, Number.NEGATIVE_INFINITY, Math.max).result,
);

/** Applies `f` to every line along `axis`. */
function mapLines(x: Tensor, axis: number, f: (line: Float64Array) => Float64Array): Tensor {
  const data = new Float64Array(x.data.length);
  const size = x.shape[axis] as number;
  const stride = stridesOf(x.shape)[axis] as number;
  const line = new Float64Array(size);
  for (let start = 0; start < data.length; start++) {
    if (Math.floor(start / stride) % size !== 0) continue;
    for (let i = 0; i < size; i++) line[i] = x.data[start + i * stride] as number;
    const mapped = f(line);
    for (let i = 0; i < size; i++) data[start + i * stride] = mapped[i] as number;
  }
  return { dtype: x.dtype, shape: x.shape, data };
}

function logSoftmax(line: Float64Array): Float64Array {
  const max = line.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const logSum = Math.log(line.reduce((sum, v) => sum + Math.exp(v - max), 0));
  return line.map((v) => v - max - logSum);
}

function inferAlongAxis(inputs: Inputs, { axis }: { axis: number }): ValueType {
  const { dtype, shape } = required(inputs, 0);
  normalizeAxis(axis, shape.length);
  return { dtype, shape };
}

const sumAlong = (g: GraphBuilder, value: Value, axis: number) =>
  g.apply(
    'ReduceSum',
    [value, g.constant({ dtype: 'int64', shape: [1], data: Float64Array.of(normalizeAxis(axis, value.shape.length)) })],
    { keepdims: 1 },
  );

// dx = y (c - sum(c y))
export const Softmax: Operator<'Softmax'> = {
  infer: inferAlongAxis,
  vjp: ({ g, output, cotangent, attributes: { axis } }) => [
    () => {
      const inner = sumAlong(g, g.apply('Mul', [cotangent, output], {}), axis);
      return g.apply('Mul', [output, g.apply('Sub', [cotangent, inner], {})], {});
    },
  ],
  evaluate: (inputs, { axis }) => {
    const x = required(inputs, 0);
    return mapLines(x, normalizeAxis(axis, x.shape.length), (line) => logSoftmax(line).map(Math.exp));
  },
};

// dx = c - softmax(x) sum(c)
export const LogSoftmax: Operator<'LogSoftmax'> = {
  infer: inferAlongAxis,
  vjp: ({ g, output, cotangent, attributes: { axis } }) => [
    () => {
      const probability = g.apply('Exp', [output], {});
      return g.apply('Sub', [cotangent, g.apply('Mul', [probability, sumAlong(g, cotangent, axis)], {})], {});
    },
  ],
  evaluate: (inputs, { axis }) => {
    const x = required(inputs, 0);
    return mapLines(x, normalizeAxis(axis, x.shape.length), logSoftmax);
  },
};

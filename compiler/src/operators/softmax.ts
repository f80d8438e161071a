import type { GraphBuilder } from '../builder.js';
import type { Value } from '../graph.js';
import type { Tensor } from '../tensor.js';
import { int64s, normalizeAxis, stridesOf } from '../tensor.js';
import type { Inputs, Operator, ValueType } from './operator.js';
import { required } from './operator.js';

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
  g.apply('ReduceSum', [value, g.constant(int64s([normalizeAxis(axis, value.shape.length)]))], { keepdims: 1 });

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

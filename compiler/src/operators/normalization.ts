import type { GraphBuilder } from '../builder.js';
import type { Value } from '../graph.js';
import type { Dim, Tensor } from '../tensor.js';
import { broadcastShapes, formatShape, int64s, normalizeAxis, sameShape, sizeOf } from '../tensor.js';
import { expectOneDType, mapTensors } from './broadcasting.js';
import { knownDim } from './dims.js';
import type { Inputs, Operator } from './operator.js';
import { required } from './operator.js';
import { reshape, reshapeLike } from './shape-helpers.js';

const EPSILON = 1e-5;

const axesFrom = (first: number, rank: number) => Array.from({ length: rank - first }, (_, i) => first + i);

function meanOver(g: GraphBuilder, value: Value, axes: readonly number[]): Value {
  return g.apply('ReduceMean', [value, g.constant(int64s(axes))], { keepdims: 1 });
}

/** n = (x - mean) r with r = 1 / sqrt(variance + epsilon), moments over `axes`. */
function standardize(g: GraphBuilder, x: Value, axes: readonly number[], epsilon: number) {
  const centered = g.apply('Sub', [x, meanOver(g, x, axes)], {});
  const variance = meanOver(g, g.apply('Mul', [centered, centered], {}), axes);
  const deviation = g.apply('Sqrt', [g.apply('Add', [variance, g.scalar(epsilon, x.dtype)], {})], {});
  return { normal: g.apply('Div', [centered, deviation], {}), deviation };
}

/** dx = r (dn - mean(dn) - n mean(dn n)) for n of {@link standardize} */
function standardizeGradient(g: GraphBuilder, x: Value, dn: Value, axes: readonly number[], epsilon: number): Value {
  const { normal, deviation } = standardize(g, x, axes, epsilon);
  const along = meanOver(g, g.apply('Mul', [dn, normal], {}), axes);
  const even = g.apply('Sub', [dn, meanOver(g, dn, axes)], {});
  return g.apply('Div', [g.apply('Sub', [even, g.apply('Mul', [normal, along], {})], {}), deviation], {});
}

/** A vector per channel as `[C, 1, 1]`, so that it broadcasts against `x [N, C, H, W]`. */
function perChannel(g: GraphBuilder, vector: Value, x: Value): Value {
  return reshape(g, vector, [vector.shape[0] as Dim, ...x.shape.slice(2).map(() => 1)]);
}

/** Sum over everything but the channels, `[C]`. */
function channelSum(g: GraphBuilder, value: Value): Value {
  const axes = value.shape.map((_, axis) => axis).filter((axis) => axis !== 1);
  return g.apply('ReduceSum', [value, g.constant(int64s(axes))], { keepdims: 0 });
}

function expectChannelVectors(inputs: Inputs, count: number): void {
  const x = required(inputs, 0);
  if (x.shape.length < 2) throw new Error(`expected an input [N, C, ...], got ${formatShape(x.shape)}`);
  expectOneDType(inputs);
  for (let position = 1; position <= count; position++) {
    const { shape } = required(inputs, position);
    if (!sameShape(shape, [x.shape[1] as Dim])) {
      throw new Error(`input ${position} has shape ${formatShape(shape)}, input has ${x.shape[1]} channels`);
    }
  }
}

/** Standardizes rows of `size` consecutive elements, then scales and shifts element `i` by `scale(i)` and `shift(i)`. */
function evaluateRows(
  x: Tensor,
  size: number,
  epsilon: number,
  scale: (i: number) => number,
  shift: (i: number) => number,
): Tensor {
  const data = new Float64Array(x.data.length);
  for (let start = 0; start < data.length; start += size) {
    const row = Float64Array.from(x.data.subarray(start, start + size));
    const mean = row.reduce((sum, v) => sum + v, 0) / size;
    const variance = row.reduce((sum, v) => sum + (v - mean) ** 2, 0) / size;
    const deviation = Math.sqrt(variance + epsilon);
    row.forEach((v, i) => {
      data[start + i] = ((v - mean) / deviation) * scale(start + i) + shift(start + i);
    });
  }
  return { dtype: x.dtype, shape: x.shape, data };
}

const typeOfInput = (inputs: Inputs) => {
  const { dtype, shape } = required(inputs, 0);
  return { dtype, shape };
};

/** Inference: `(x - mean) / sqrt(var + epsilon) * scale + B`, with a value of each vector per channel. */
export const BatchNormalization: Operator<'BatchNormalization'> = {
  infer: (inputs) => {
    expectChannelVectors(inputs, 4);
    return typeOfInput(inputs);
  },
  // With r = 1 / sqrt(var + epsilon): dx = c scale r; dscale = sum c (x - mean) r; dB = sum c;
  // dmean = -scale r sum c; dvar = -scale r^3 / 2 sum c (x - mean)
  vjp: ({ g, inputs, cotangent: c, attributes: { epsilon = EPSILON } }) => {
    const [x, scale, , mean, variance] = inputs as readonly [Value, Value, Value, Value, Value];
    const mul = (a: Value, b: Value) => g.apply('Mul', [a, b], {});
    const rate = () =>
      g.apply('Reciprocal', [g.apply('Sqrt', [g.apply('Add', [variance, g.scalar(epsilon, x.dtype)], {})], {})], {});
    const spread = () => channelSum(g, mul(c, g.apply('Sub', [x, perChannel(g, mean, x)], {})));
    return [
      () => mul(c, perChannel(g, mul(scale, rate()), x)),
      () => mul(spread(), rate()),
      () => channelSum(g, c),
      () => g.apply('Neg', [mul(channelSum(g, c), mul(scale, rate()))], {}),
      () => {
        const r = rate();
        return mul(mul(spread(), mul(scale, mul(r, mul(r, r)))), g.scalar(-0.5, x.dtype));
      },
    ];
  },
  evaluate: (inputs, { epsilon = EPSILON }) => {
    const [x, scale, shift, mean, variance] = inputs as readonly [Tensor, Tensor, Tensor, Tensor, Tensor];
    const inner = sizeOf(x.shape.slice(2));
    const data = Float64Array.from(x.data, (v, i) => {
      const channel = Math.floor(i / inner) % (x.shape[1] as number);
      const of = (vector: Tensor) => vector.data[channel] as number;
      return ((v - of(mean)) / Math.sqrt(of(variance) + epsilon)) * of(scale) + of(shift);
    });
    return { dtype: x.dtype, shape: x.shape, data };
  },
};

/** Each image's channel `[H, W]` standardized, then scaled and shifted per channel. */
export const InstanceNormalization: Operator<'InstanceNormalization'> = {
  infer: (inputs) => {
    expectChannelVectors(inputs, 2);
    return typeOfInput(inputs);
  },
  // With n the standardized x: dx as standardizeGradient of c scale; dscale = sum c n; dB = sum c
  vjp: ({ g, inputs, cotangent: c, attributes: { epsilon = EPSILON } }) => {
    const [x, scale] = inputs as readonly [Value, Value];
    const axes = axesFrom(2, x.shape.length);
    return [
      () => standardizeGradient(g, x, g.apply('Mul', [c, perChannel(g, scale, x)], {}), axes, epsilon),
      () => channelSum(g, g.apply('Mul', [c, standardize(g, x, axes, epsilon).normal], {})),
      () => channelSum(g, c),
    ];
  },
  evaluate: (inputs, { epsilon = EPSILON }) => {
    const [x, scale, shift] = inputs as readonly [Tensor, Tensor, Tensor];
    const inner = sizeOf(x.shape.slice(2));
    const at = (vector: Tensor) => (i: number) => vector.data[Math.floor(i / inner) % (x.shape[1] as number)] as number;
    return evaluateRows(x, inner, epsilon, at(scale), at(shift));
  },
};

/** Groups of channels standardized per image, then scaled and shifted per channel (opset 21's meaning). */
export const GroupNormalization: Operator<'GroupNormalization'> = {
  infer: (inputs, { num_groups }) => {
    expectChannelVectors(inputs, 2);
    const channels = knownDim(required(inputs, 0).shape[1], 'the number of channels');
    if (channels % num_groups !== 0) throw new Error(`${channels} channels do not divide into ${num_groups} groups`);
    return typeOfInput(inputs);
  },
  // As InstanceNormalization, with x reshaped to [N, groups, elements]
  vjp: ({ g, inputs, cotangent: c, attributes: { num_groups, epsilon = EPSILON } }) => {
    const [x, scale] = inputs as readonly [Value, Value];
    const grouped = (value: Value) => g.apply('Reshape', [value, g.constant(int64s([0, num_groups, -1]))], {});
    return [
      () => {
        const dn = grouped(g.apply('Mul', [c, perChannel(g, scale, x)], {}));
        return reshapeLike(g, standardizeGradient(g, grouped(x), dn, [2], epsilon), x);
      },
      () => {
        const normal = reshapeLike(g, standardize(g, grouped(x), [2], epsilon).normal, x);
        return channelSum(g, g.apply('Mul', [c, normal], {}));
      },
      () => channelSum(g, c),
    ];
  },
  evaluate: (inputs, { num_groups, epsilon = EPSILON }) => {
    const [x, scale, shift] = inputs as readonly [Tensor, Tensor, Tensor];
    const channels = x.shape[1] as number;
    const inner = sizeOf(x.shape.slice(2));
    const at = (vector: Tensor) => (i: number) => vector.data[Math.floor(i / inner) % channels] as number;
    return evaluateRows(x, (inner * channels) / num_groups, epsilon, at(scale), at(shift));
  },
};

/** Axes from `axis` on standardized, then scaled and (optionally) shifted by values that broadcast. */
export const LayerNormalization: Operator<'LayerNormalization'> = {
  infer: (inputs, { axis = -1 }) => {
    const x = required(inputs, 0);
    expectOneDType(inputs);
    normalizeAxis(axis, x.shape.length);
    required(inputs, 1);
    for (const vector of inputs.slice(1)) {
      if (vector && !sameShape(broadcastShapes(vector.shape, x.shape) ?? [], x.shape)) {
        throw new Error(`${formatShape(vector.shape)} does not broadcast to ${formatShape(x.shape)}`);
      }
    }
    return typeOfInput(inputs);
  },
  // With n the standardized x: dx as standardizeGradient of c scale; dscale = c n; dB = c
  vjp: ({ g, inputs, cotangent: c, attributes: { axis = -1, epsilon = EPSILON } }) => {
    const [x, scale] = inputs as readonly [Value, Value];
    const axes = axesFrom(normalizeAxis(axis, x.shape.length), x.shape.length);
    return [
      () => standardizeGradient(g, x, g.apply('Mul', [c, scale], {}), axes, epsilon),
      () => g.apply('Mul', [c, standardize(g, x, axes, epsilon).normal], {}),
      () => c,
    ];
  },
  evaluate: (inputs, { axis = -1, epsilon = EPSILON }) => {
    const x = required(inputs, 0);
    const size = sizeOf(x.shape.slice(normalizeAxis(axis, x.shape.length)));
    const like = (vector: Tensor | undefined, otherwise: number) => {
      if (!vector) return () => otherwise;
      const { data } = vector.data.length === x.data.length ? vector : expanded(vector, x);
      return (i: number) => data[i] as number;
    };
    return evaluateRows(x, size, epsilon, like(inputs[1], 1), like(inputs[2], 0));
  },
};

const expanded = (vector: Tensor, x: Tensor) => mapTensors([vector, x], x.dtype, (value) => value);

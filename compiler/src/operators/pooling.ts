import type { GraphBuilder } from '../builder.js';
import type { Value } from '../graph.js';
import type { Dim, Shape, Tensor } from '../tensor.js';
import { int64s, isStatic, makeTensor, sizeOf } from '../tensor.js';
import type { AveragePoolAttributes, ImagePads, MaxPoolAttributes, PoolAttributes } from './attributes.js';
import { knownDim, offsetDim, windowCount } from './dims.js';
import type { Inputs, Operator, ValueType } from './operator.js';
import { expectRank, required } from './operator.js';
import { ReduceMax, ReduceMean } from './reductions.js';
import { expandLike, reshapeLike } from './shape-helpers.js';

/** Extent of the window along an image axis. */
function windowSpan(a: MaxPoolAttributes, axis: 0 | 1): number {
  return (a.kernel_shape[axis] - 1) * (a.dilations?.[axis] ?? 1) + 1;
}

function pooledSize(size: Dim, axis: 0 | 1, a: MaxPoolAttributes): Dim {
  const [begin, end, stride] = [a.pads[axis], a.pads[axis + 2] as number, a.strides[axis]];
  const span = windowSpan(a, axis);
  const padded = offsetDim(size, begin + end);
  if (typeof padded !== 'number') {
    if (a.ceil_mode) throw new Error(`expected a known image size for ceil_mode, got the symbol ${size}`);
    return windowCount(padded, span, stride);
  }
  if (padded < span) throw new Error(`window of ${a.kernel_shape[axis]} does not fit an image size of ${size}`);
  if (!a.ceil_mode) return windowCount(padded, span, stride);
  // A window that would begin in the padding at the far edge is left out.
  const count = Math.ceil((padded - span) / stride) + 1;
  return (count - 1) * stride >= (size as number) + begin ? count - 1 : count;
}

export function pooledShape([n, c, height, width]: Shape, a: MaxPoolAttributes): [Dim, Dim, Dim, Dim] {
  return [n as Dim, c as Dim, pooledSize(height as Dim, 0, a), pooledSize(width as Dim, 1, a)];
}

export function inferPool(inputs: Inputs, a: MaxPoolAttributes): ValueType {
  const x = required(inputs, 0);
  expectRank(x, 4, 'an image batch [N, C, H, W]');
  return { dtype: x.dtype, shape: pooledShape(x.shape, a) };
}

/** Pads with which every window lies inside: those given, and what ceil_mode adds at the far edges. */
export function reachedPads(x: Shape, y: Shape, a: MaxPoolAttributes): ImagePads {
  const end = (axis: 0 | 1) => {
    const size = knownDim(x[axis + 2], 'the image size');
    const windows = knownDim(y[axis + 2], 'the image size');
    const reach = (windows - 1) * a.strides[axis] + windowSpan(a, axis);
    return Math.max(a.pads[axis + 2] as number, reach - size - a.pads[axis]);
  };
  return [a.pads[0], a.pads[1], end(0), end(1)];
}

/** Calls `visit` with the index of each output and the inputs of its window that lie inside the image. */
export function forEachWindow(
  x: Tensor,
  a: MaxPoolAttributes,
  visit: (output: number, inputs: readonly number[]) => void,
): readonly number[] {
  const [n, c, height, width] = x.shape as readonly [number, number, number, number];
  const shape = pooledShape(x.shape, a) as number[];
  const [, , oh, ow] = shape as [number, number, number, number];
  const [dilationY, dilationX] = a.dilations ?? [1, 1];
  for (let output = 0; output < n * c * oh * ow; output++) {
    const plane = Math.floor(output / (oh * ow));
    const top = (Math.floor(output / ow) % oh) * a.strides[0] - a.pads[0];
    const left = (output % ow) * a.strides[1] - a.pads[1];
    const inputs: number[] = [];
    for (let i = 0; i < a.kernel_shape[0]; i++) {
      const row = top + i * dilationY;
      if (row < 0 || row >= height) continue;
      for (let j = 0; j < a.kernel_shape[1]; j++) {
        const column = left + j * dilationX;
        if (column >= 0 && column < width) inputs.push((plane * height + row) * width + column);
      }
    }
    visit(output, inputs);
  }
  return shape;
}

/** How many positions of each window count along an image axis: those inside the image, or inside its padding too. */
function windowCounts(size: number, windows: number, axis: 0 | 1, a: AveragePoolAttributes): number[] {
  const [begin, end] = [a.pads[axis], a.pads[axis + 2] as number];
  return Array.from({ length: windows }, (_, window) => {
    const from = window * a.strides[axis] - begin;
    const to = from + a.kernel_shape[axis];
    return a.count_include_pad ? Math.min(to, size + end) - from : Math.min(to, size) - Math.max(from, 0);
  });
}

/** 1 / count of each window: a scalar where all are whole, else `[1, 1, H', W']`. */
function inverseCounts(x: Shape, y: Shape, a: AveragePoolAttributes): Tensor {
  const [rows, columns] = ([0, 1] as const).map((axis) => {
    const size = knownDim(x[axis + 2], 'the image size');
    return windowCounts(size, knownDim(y[axis + 2], 'the image size'), axis, a);
  }) as [number[], number[]];
  const whole = sizeOf(a.kernel_shape);
  const data = rows.flatMap((row) => columns.map((column) => 1 / (row * column)));
  if (data.every((share) => share === 1 / whole)) return makeTensor([], [1 / whole]);
  return makeTensor([1, 1, rows.length, columns.length], data);
}

/** Spreads each value of `[N, C, H', W']` over its window of `like [N, C, H, W]`: a convolution transposed, with ones. */
function spreadOverWindows(g: GraphBuilder, value: Value, like: Value, a: PoolAttributes): Value {
  const [kh, kw] = a.kernel_shape;
  const [, , oh, ow] = value.shape as [Dim, Dim, number, number];
  const pads = reachedPads(like.shape, value.shape, a);
  const [height, width] = like.shape.slice(2) as [number, number];
  const planes = g.apply('Reshape', [value, g.constant(makeTensor([4], [-1, 1, oh, ow], 'int64'))], {});
  const ones = g.constant(makeTensor([1, 1, kh, kw], new Float64Array(kh * kw).fill(1), value.dtype));
  const spread = g.apply('ConvTranspose', [planes, ones], {
    kernel_shape: a.kernel_shape,
    strides: a.strides,
    pads,
    dilations: [1, 1],
    group: 1,
    output_padding: [
      height + pads[0] + pads[2] - (oh - 1) * a.strides[0] - kh,
      width + pads[1] + pads[3] - (ow - 1) * a.strides[1] - kw,
    ],
  });
  return reshapeLike(g, spread, like);
}

/** Mean over windows of `[N, C, H, W]`, of the positions inside the image or, if asked for, of its padding too. */
export const AveragePool: Operator<'AveragePool'> = {
  infer: inferPool,
  // dx = each window's cotangent, divided by its count, at all its positions
  vjp: ({ g, inputs, output, cotangent, attributes: a }) => [
    () => {
      const x = required(inputs, 0);
      const share = { ...inverseCounts(x.shape, output.shape, a), dtype: cotangent.dtype };
      return spreadOverWindows(g, g.apply('Mul', [cotangent, g.constant(share)], {}), x, a);
    },
  ],
  evaluate: (inputs, a) => {
    const x = required(inputs, 0);
    const shape = pooledShape(x.shape, a) as number[];
    const share = inverseCounts(x.shape, shape, a).data;
    const data = new Float64Array(sizeOf(shape));
    forEachWindow(x, a, (output, positions) => {
      const sum = positions.reduce((total, position) => total + (x.data[position] as number), 0);
      data[output] = sum * (share[output % share.length] as number);
    });
    return { dtype: x.dtype, shape, data };
  },
};

const globalAxes = (x: Shape) => int64s(Array.from({ length: x.length - 2 }, (_, i) => i + 2));

function inferGlobalPool(inputs: Inputs): ValueType {
  const { dtype, shape } = required(inputs, 0);
  if (shape.length < 3) throw new Error(`expected an input [N, C, ...] of rank 3 or more, got rank ${shape.length}`);
  return { dtype, shape: shape.map((dim, axis) => (axis < 2 ? dim : 1)) };
}

/** Mean over all positions of each channel. */
export const GlobalAveragePool: Operator<'GlobalAveragePool'> = {
  infer: inferGlobalPool,
  // dx = c / count
  vjp: ({ g, inputs, cotangent }) => [
    () => {
      const x = required(inputs, 0);
      const share = g.apply('Div', [cotangent, positionCount(g, x)], {});
      return expandLike(g, share, x);
    },
  ],
  evaluate: (inputs) => ReduceMean.evaluate([inputs[0], globalAxes(required(inputs, 0).shape)], { keepdims: 1 }),
};

/** How many positions a channel has, as a scalar of the dtype of `x`. */
function positionCount(g: GraphBuilder, x: Value): Value {
  const positions = x.shape.slice(2);
  if (isStatic(positions)) return g.scalar(sizeOf(positions), x.dtype);
  const dims = g.apply('Cast', [g.apply('Shape', [x], { start: 2 })], { to: x.dtype });
  return g.apply('ReduceProd', [dims], { keepdims: 0 });
}

/** Maximum over all positions of each channel. */
export const GlobalMaxPool: Operator<'GlobalMaxPool'> = {
  infer: inferGlobalPool,
  // As ReduceMax: the positions that equal the maximum share the cotangent.
  vjp: ({ g, inputs, output, cotangent }) => [
    () => {
      const x = required(inputs, 0);
      const weight = g.apply('Cast', [g.apply('Equal', [x, output], {})], { to: x.dtype });
      const count = g.apply('ReduceSum', [weight, g.constant(globalAxes(x.shape))], { keepdims: 1 });
      return g.apply('Mul', [weight, g.apply('Div', [cotangent, count], {})], {});
    },
  ],
  evaluate: (inputs) => ReduceMax.evaluate([inputs[0], globalAxes(required(inputs, 0).shape)], { keepdims: 1 }),
};

import type { GraphBuilder } from '../builder.js';
import type { Value } from '../graph.js';
import type { Dim } from '../tensor.js';
import { int64s, makeTensor, sizeOf } from '../tensor.js';
import type { ImagePads, MaxPoolAttributes } from './attributes.js';
import { knownDim } from './dims.js';
import type { Operator } from './operator.js';
import { required } from './operator.js';
import { forEachWindow, inferPool, pooledShape, reachedPads } from './pooling.js';
import { pad, slice } from './shape-helpers.js';
import { scatterSlice } from './slicing.js';

/** Lower than any float32 activation, and finite, so that 0 times it is 0. */
const LOWEST = -3.4e38;

/** Each value at every position of its window, for windows that touch and do not overlap. */
function repeatOverWindows(g: GraphBuilder, value: Value, [kh, kw]: readonly [number, number]): Value {
  const scales = g.constant(makeTensor([4], [1, 1, kh, kw]));
  return g.apply('Resize', [value, undefined, scales], {
    mode: 'nearest',
    coordinate_transformation_mode: 'asymmetric',
    nearest_mode: 'floor',
  });
}

/** For windows that touch and do not overlap: full-size work without strided slices, which are slow on a CPU. */
function tiledGradient(g: GraphBuilder, x: Value, y: Value, cotangent: Value, a: MaxPoolAttributes): Value {
  const [height, width] = [2, 3].map((axis) => knownDim(x.shape[axis], 'the image size')) as [number, number];
  const [rows, columns] = [2, 3].map((axis, i) => knownDim(y.shape[axis], 'the image size') * (a.kernel_shape[i] ?? 1));
  const [covered, across] = [rows as number, columns as number];
  const whole = covered === height && across === width;
  const tiled = whole ? x : slice(g, x, [2, 3], [0, 0], [covered, across]);
  const { kernel_shape, strides } = a;
  const equal = g.apply('GreaterOrEqual', [tiled, repeatOverWindows(g, y, kernel_shape)], {});
  const maxima = g.apply('Cast', [equal], { to: x.dtype });
  const share = g.apply('AveragePool', [maxima], { kernel_shape, strides, pads: [0, 0, 0, 0] });
  const count = g.apply('Mul', [share, g.scalar(sizeOf(kernel_shape), x.dtype)], {});
  const each = repeatOverWindows(g, g.apply('Div', [cotangent, count], {}), kernel_shape);
  return pad(g, g.apply('Mul', [maxima, each], {}), [0, 0, 0, 0, 0, 0, height - covered, width - across]);
}

/** For any windows: strided slices, one for each position of the window, put back one by one. */
function slicedGradient(g: GraphBuilder, x: Value, y: Value, cotangent: Value, a: MaxPoolAttributes): Value {
  const [kh, kw] = a.kernel_shape;
  const [sh, sw] = a.strides;
  const [dilationY, dilationX] = a.dilations ?? [1, 1];
  const [height, width] = [2, 3].map((axis) => knownDim(x.shape[axis], 'the image size')) as [number, number];
  const [, , oh, ow] = y.shape as [Dim, Dim, number, number];
  const pads = reachedPads(x.shape, y.shape, a);
  const padded = pads.some((count) => count > 0);
  const lowest = g.scalar(LOWEST, x.dtype);
  const source = padded ? g.apply('Pad', [x, g.constant(int64s(imagePads(pads))), lowest], { mode: 'constant' }) : x;
  const positions = Array.from({ length: kh * kw }, (_, at) => [
    Math.floor(at / kw) * dilationY,
    (at % kw) * dilationX,
  ]) as [number, number][];
  const maxima = positions.map(([top, left]) => {
    const element = slice(
      g,
      source,
      [2, 3],
      [top, left],
      [top + (oh - 1) * sh + 1, left + (ow - 1) * sw + 1],
      [sh, sw],
    );
    return g.apply('Cast', [g.apply('GreaterOrEqual', [element, y], {})], { to: x.dtype });
  });
  const each = g.apply('Div', [cotangent, g.apply('Sum', maxima, {})], {});
  const placed = maxima.map((maximum, at) =>
    scatterSlice(g, g.apply('Mul', [maximum, each], {}), source.shape, [2, 3], positions[at] as [number, number], [
      sh,
      sw,
    ]),
  );
  const total = g.apply('Sum', placed, {});
  const [top, left] = pads;
  return padded ? slice(g, total, [2, 3], [top, left], [top + height, left + width]) : total;
}

/**
 * Gradient of max pooling: the positions of a window that equal its maximum share its cotangent, as in ReduceMax. Made
 * without the index output that WebGPU's MaxPool lacks.
 */
function maxPoolGradient(g: GraphBuilder, x: Value, y: Value, cotangent: Value, a: MaxPoolAttributes): Value {
  const touching = a.kernel_shape.every((size, axis) => size === a.strides[axis]);
  const plain = a.pads.every((count) => count === 0) && !a.ceil_mode && (a.dilations ?? [1, 1]).every((d) => d === 1);
  return (touching && plain ? tiledGradient : slicedGradient)(g, x, y, cotangent, a);
}

const imagePads = ([top, left, bottom, right]: ImagePads) => [0, 0, top, left, 0, 0, bottom, right];

/** Maximum over windows of `[N, C, H, W]`; incomplete windows at the far edge are left out, except with ceil_mode. */
export const MaxPool: Operator<'MaxPool'> = {
  infer: inferPool,
  vjp: ({ g, inputs, output, cotangent, attributes }) => [
    () => maxPoolGradient(g, required(inputs, 0), output, cotangent, attributes),
  ],
  evaluate: (inputs, a) => {
    const x = required(inputs, 0);
    const shape = pooledShape(x.shape, a) as number[];
    const data = new Float64Array(sizeOf(shape));
    forEachWindow(x, a, (output, positions) => {
      data[output] = positions.reduce((max, at) => Math.max(max, x.data[at] as number), Number.NEGATIVE_INFINITY);
    });
    return { dtype: x.dtype, shape, data };
  },
};

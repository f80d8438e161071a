import type { GraphBuilder, Value } from '../graph.js';
import type { Dim } from '../tensor.js';
import { int64s, sizeOf } from '../tensor.js';
import type { ImagePads, MaxPoolAttributes } from './attributes.js';
import { knownDim } from './dims.js';
import type { Operator } from './operator.js';
import { required } from './operator.js';
import { forEachWindow, inferPool, pooledShape, reachedPads } from './pooling.js';
import { pad, reshape, slice } from './shape-helpers.js';
import { scatterSlice } from './slicing.js';

/** Lower than any float32 activation, and finite, so that 0 times it is 0. */
const LOWEST = -3.4e38;

/** Puts parts that were taken `count` apart along `axis` back together. */
function interleave(g: GraphBuilder, parts: readonly Value[], axis: number): Value {
  const { shape } = parts[0] as Value;
  const lifted = parts.map((part) => reshape(g, part, [...shape.slice(0, axis + 1), 1, ...shape.slice(axis + 1)]));
  const joined = g.apply('Concat', lifted, { axis: axis + 1 });
  return reshape(g, joined, [
    ...shape.slice(0, axis),
    (shape[axis] as number) * parts.length,
    ...shape.slice(axis + 1),
  ]);
}

/**
 * Gradient of max pooling from strided slices: the cotangent of a window goes to its first element that equals the
 * maximum. No index output (WebGPU has none), no broadcasting; windows that do not overlap are put back by Concat.
 */
function maxPoolGradient(g: GraphBuilder, x: Value, y: Value, cotangent: Value, a: MaxPoolAttributes): Value {
  const [kh, kw] = a.kernel_shape;
  const [sh, sw] = a.strides;
  const [dilationY, dilationX] = a.dilations ?? [1, 1];
  const [height, width] = [2, 3].map((axis) => knownDim(x.shape[axis], 'the image size')) as [number, number];
  const [, , oh, ow] = y.shape as [Dim, Dim, number, number];
  const pads = reachedPads(x.shape, y.shape, a);
  const padded = pads.some((count) => count > 0);
  const lowest = g.scalar(LOWEST, x.dtype);
  const source = padded ? g.apply('Pad', [x, g.constant(int64s(imagePads(pads))), lowest], { mode: 'constant' }) : x;
  const zero = g.scalar(0, x.dtype);
  let taken: Value | undefined;
  const parts: Value[][] = [];
  for (let i = 0; i < kh; i++) {
    const row: Value[] = [];
    for (let j = 0; j < kw; j++) {
      const starts = [i * dilationY, j * dilationX] as const;
      const ends = [starts[0] + (oh - 1) * sh + 1, starts[1] + (ow - 1) * sw + 1];
      const element = slice(g, source, [2, 3], starts, ends, [sh, sw]);
      const equal = g.apply('GreaterOrEqual', [element, y], {});
      const first: Value = taken ? g.apply('And', [equal, g.apply('Not', [taken], {})], {}) : equal;
      taken = taken
        ? g.apply('Not', [g.apply('And', [g.apply('Not', [taken], {}), g.apply('Not', [equal], {})], {})], {})
        : equal;
      row.push(g.apply('Where', [first, cotangent, zero], {}));
    }
    parts.push(row);
  }
  if (!padded && kh === sh && kw === sw && dilationY === 1 && dilationX === 1) {
    const joined = interleave(
      g,
      parts.map((row) => interleave(g, row, 3)),
      2,
    );
    return pad(g, joined, [0, 0, 0, 0, 0, 0, height - oh * sh, width - ow * sw]);
  }
  let sum: Value | undefined;
  parts.forEach((row, i) => {
    row.forEach((part, j) => {
      const placed = scatterSlice(g, part, source.shape, [2, 3], [i * dilationY, j * dilationX], [sh, sw]);
      sum = sum ? g.apply('Add', [sum, placed], {}) : placed;
    });
  });
  const total = sum as Value;
  const [top, left] = pads;
  return padded ? slice(g, total, [2, 3], [top, left], [top + height, left + width]) : total;
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

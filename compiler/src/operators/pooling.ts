import type { GraphBuilder, Value } from '../graph.js';
import type { Dim } from '../tensor.js';
import { sizeOf } from '../tensor.js';
import type { MaxPoolAttributes } from './attributes.js';
import { padding } from './convolution.js';
import type { Operator } from './operator.js';
import { expectRank, required } from './operator.js';
import { pad, reshape, slice } from './shape-helpers.js';
import { scatterSlice } from './shape-operators.js';

function pooled(size: Dim, axis: 0 | 1, a: MaxPoolAttributes): number {
  if (typeof size !== 'number') throw new Error(`expected a known image size, got the symbol ${size}`);
  const reach = size + padding(a.pads, axis) - a.kernel_shape[axis];
  if (reach < 0) throw new Error(`window of ${a.kernel_shape[axis]} does not fit an image size of ${size}`);
  return Math.floor(reach / a.strides[axis]) + 1;
}

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
  const [n, c, height, width] = x.shape as [Dim, Dim, number, number];
  const [, , oh, ow] = y.shape as [Dim, Dim, number, number];
  const padded = a.pads.some((count) => count > 0);
  const source = padded
    ? g.apply(
        'Pad',
        [x, g.constant({ dtype: 'int64', shape: [8], data: Float64Array.from(imagePads(a.pads)) }), g.scalar(LOWEST)],
        { mode: 'constant' },
      )
    : x;
  const zero = g.scalar(0);
  let taken: Value | undefined;
  const parts: Value[][] = [];
  for (let i = 0; i < kh; i++) {
    const row: Value[] = [];
    for (let j = 0; j < kw; j++) {
      const ends = [i + (oh - 1) * sh + 1, j + (ow - 1) * sw + 1];
      const element = slice(g, source, [2, 3], [i, j], ends, [sh, sw]);
      const equal = g.apply('GreaterOrEqual', [element, y], {});
      const first: Value = taken ? g.apply('And', [equal, g.apply('Not', [taken], {})], {}) : equal;
      taken = taken
        ? g.apply('Not', [g.apply('And', [g.apply('Not', [taken], {}), g.apply('Not', [equal], {})], {})], {})
        : equal;
      row.push(g.apply('Where', [first, cotangent, zero], {}));
    }
    parts.push(row);
  }
  if (!padded && kh === sh && kw === sw) {
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
      const placed = scatterSlice(g, part, source.shape, [2, 3], [i, j], [sh, sw]);
      sum = sum ? g.apply('Add', [sum, placed], {}) : placed;
    });
  });
  const total = sum as Value;
  const [top, left] = a.pads;
  return padded
    ? reshape(g, slice(g, total, [2, 3], [top, left], [top + height, left + width]), [n, c, height, width])
    : total;
}

const imagePads = ([top, left, bottom, right]: MaxPoolAttributes['pads']) => [0, 0, top, left, 0, 0, bottom, right];

/** Maximum over windows of `[N, C, H, W]`; incomplete windows at the far edge are left out. */
export const MaxPool: Operator<'MaxPool'> = {
  infer: (inputs, a) => {
    const x = required(inputs, 0);
    expectRank(x, 4, 'an image batch [N, C, H, W]');
    const [n, c, height, width] = x.shape as [Dim, Dim, Dim, Dim];
    return { dtype: x.dtype, shape: [n, c, pooled(height, 0, a), pooled(width, 1, a)] };
  },
  vjp: ({ g, inputs, output, cotangent, attributes }) => [
    () => maxPoolGradient(g, required(inputs, 0), output, cotangent, attributes),
  ],
  evaluate: (inputs, a) => {
    const x = required(inputs, 0);
    const [n, c, height, width] = x.shape as [number, number, number, number];
    const shape = [n, c, pooled(height, 0, a), pooled(width, 1, a)] as const;
    const [, , oh, ow] = shape;
    const data = new Float64Array(sizeOf(shape));
    for (let plane = 0; plane < n * c; plane++) {
      for (let y = 0; y < oh; y++) {
        for (let z = 0; z < ow; z++) {
          let max = Number.NEGATIVE_INFINITY;
          for (let i = 0; i < a.kernel_shape[0]; i++) {
            const row = y * a.strides[0] - a.pads[0] + i;
            if (row < 0 || row >= height) continue;
            for (let j = 0; j < a.kernel_shape[1]; j++) {
              const column = z * a.strides[1] - a.pads[1] + j;
              if (column < 0 || column >= width) continue;
              max = Math.max(max, x.data[(plane * height + row) * width + column] as number);
            }
          }
          data[(plane * oh + y) * ow + z] = max;
        }
      }
    }
    return { dtype: x.dtype, shape, data };
  },
};

import type { GraphBuilder, Value } from '../graph.js';
import type { ConvAttributes } from '../operators/attributes.js';
import { knownDim, multiplyDims } from '../operators/dims.js';
import { pad, reshape, slice } from '../operators/shape-helpers.js';
import { type Dim, int64s } from '../tensor.js';

/** A way to write `ConvWeightGradient` in ONNX operators. */
type Form = (g: GraphBuilder, x: Value, dy: Value, a: ConvAttributes) => Value;

const sizeOf = (value: Value, axes: readonly [number, number]): [number, number] => [
  knownDim(value.shape[axes[0]], 'the image height'),
  knownDim(value.shape[axes[1]], 'the image width'),
];

/** What each kernel position sees of padded images, `rows x columns` windows along the two image axes. */
function windows(
  g: GraphBuilder,
  padded: Value,
  axes: readonly [number, number],
  [rows, columns]: readonly [number, number],
  a: ConvAttributes,
): Value[] {
  const [kh, kw] = a.kernel_shape;
  return Array.from({ length: kh * kw }, (_, position) => {
    const starts = [Math.floor(position / kw) * a.dilations[0], (position % kw) * a.dilations[1]] as const;
    const ends = [starts[0] + (rows - 1) * a.strides[0] + 1, starts[1] + (columns - 1) * a.strides[1] + 1];
    return slice(g, padded, axes, starts, ends, a.strides);
  });
}

/** As a convolution of x with the cotangent as its kernel, batch and channel axes exchanged. */
const asConvolution: Form = (g, x, dy, a) => {
  const [n, channels] = x.shape as [Dim, number];
  const [height, width] = sizeOf(x, [2, 3]);
  const perGroup = channels / a.group;
  let images: Value;
  if (a.group === 1) {
    images = g.apply('Transpose', [x], { perm: [1, 0, 2, 3] });
  } else {
    const split = reshape(g, x, [n, a.group, perGroup, height, width]);
    const swapped = g.apply('Transpose', [split], { perm: [2, 1, 0, 3, 4] });
    images = reshape(g, swapped, [perGroup, multiplyDims([a.group, n]), height, width]);
  }
  const kernels = g.apply('Transpose', [dy], { perm: [1, 0, 2, 3] });
  const gradient = g.apply('Conv', [images, kernels], {
    kernel_shape: sizeOf(dy, [2, 3]),
    strides: a.dilations,
    dilations: a.strides,
    pads: a.pads,
    group: a.group,
  });
  const [kh, kw] = a.kernel_shape;
  // Rows and columns that the stride skips at the far edge would add kernel positions that do not exist.
  const extra = gradient.shape[2] !== kh || gradient.shape[3] !== kw;
  const cropped = extra ? slice(g, gradient, [2, 3], [0, 0], [kh, kw]) : gradient;
  return g.apply('Transpose', [cropped], { perm: [1, 0, 2, 3] });
};

/** As a matrix product for each image, of the cotangent with its unfolded windows, and their sum. */
const asMatrices: Form = (g, x, dy, a) => {
  const [n, channels] = x.shape as [Dim, number];
  const out = knownDim(dy.shape[1], 'the number of channels');
  const [rows, columns] = sizeOf(dy, [2, 3]);
  const [kh, kw] = a.kernel_shape;
  const [perGroup, outPerGroup] = [channels / a.group, out / a.group];
  const [top, left, bottom, right] = a.pads;
  const padded = pad(g, x, [0, 0, top, left, 0, 0, bottom, right]);
  const grouped = windows(g, padded, [2, 3], [rows, columns], a).map((part) =>
    a.group === 1 ? part : reshape(g, part, [n, a.group, perGroup, rows, columns]),
  );
  const batch = a.group === 1 ? [n] : [n, a.group];
  const axis = batch.length;
  const joined = g.apply('Concat', grouped, { axis });
  const unfolded = reshape(g, joined, [...batch, kh * kw * perGroup, rows * columns]);
  const perm = unfolded.shape.map((_, at) => (at < axis ? at : 2 * axis + 1 - at));
  const cotangents = reshape(g, dy, [...batch, outPerGroup, rows * columns]);
  const products = g.apply('MatMul', [cotangents, g.apply('Transpose', [unfolded], { perm })], {});
  const sum = g.apply('ReduceSum', [products, g.constant(int64s([0]))], { keepdims: 0 });
  return g.apply('Transpose', [reshape(g, sum, [out, kh, kw, perGroup])], { perm: [0, 3, 1, 2] });
};

/** As one matrix product over all images, a row of windows for each position. Without groups. */
const asRows: Form = (g, x, dy, a) => {
  const channels = knownDim(x.shape[1], 'the number of channels');
  const out = knownDim(dy.shape[1], 'the number of channels');
  const [rows, columns] = sizeOf(dy, [2, 3]);
  const [kh, kw] = a.kernel_shape;
  const [top, left, bottom, right] = a.pads;
  const last = g.apply('Transpose', [x], { perm: [0, 2, 3, 1] });
  const parts = windows(g, pad(g, last, [0, top, left, 0, 0, bottom, right, 0]), [1, 2], [rows, columns], a);
  const joined = g.apply('Concat', parts, { axis: 3 });
  const positions = multiplyDims([x.shape[0] as Dim, rows * columns]);
  const unfolded = reshape(g, joined, [positions, kh * kw * channels]);
  const cotangents = reshape(g, g.apply('Transpose', [dy], { perm: [1, 0, 2, 3] }), [out, positions]);
  const product = g.apply('MatMul', [cotangents, unfolded], {});
  return g.apply('Transpose', [reshape(g, product, [out, kh, kw, channels])], { perm: [0, 3, 1, 2] });
};

export const weightGradientForms = { asConvolution, asMatrices, asRows } as const;

/** Up to this many positions in an image, one product over all images beats one for each (test/bench/weight-gradient). */
const FEW_POSITIONS = 64;

/** The form that is fastest on a CPU for the shapes at hand; test/bench/weight-gradient measures them. */
export const lowerWeightGradient: Form = (g, x, dy, a) => {
  const [rows, columns] = sizeOf(dy, [2, 3]);
  return (a.group === 1 && rows * columns <= FEW_POSITIONS ? asRows : asMatrices)(g, x, dy, a);
};

import type { GraphBuilder } from '../builder.js';
import type { Value } from '../graph.js';
import type { ConvAttributes } from '../operators/attributes.js';
import { knownDim, multiplyDims } from '../operators/dims.js';
import { required } from '../operators/operator.js';
import { reshape, slice } from '../operators/shape-helpers.js';
import type { Pass } from '../passes/pass.js';
import { type Dim, int64s } from '../tensor.js';
import { rewriteNodes } from './rewrite-nodes.js';
import {
  groupsFirst,
  imageSizeAt,
  joinWindows,
  padImages,
  turnKernels,
  unfoldGroups,
  windowRows,
  windowsOf,
} from './windows.js';

/** A way to write `ConvWeightGradient` in ONNX operators. */
type Form = (g: GraphBuilder, x: Value, dy: Value, a: ConvAttributes) => Value;

/** As a convolution of x with the cotangent as its kernel, batch and channel axes exchanged. */
const asConvolution: Form = (g, x, dy, a) => {
  const [n, channels] = x.shape as [Dim, number];
  const [height, width] = imageSizeAt(x, [2, 3]);
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
    kernel_shape: imageSizeAt(dy, [2, 3]),
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

/** As a matrix product for each image, of the cotangent with its unfolded windows, and their sum. Without groups. */
const asMatrices: Form = (g, x, dy, a) => {
  const [n, channels] = x.shape as [Dim, number];
  const out = knownDim(dy.shape[1], 'the number of channels');
  const [rows, columns] = imageSizeAt(dy, [2, 3]);
  const [kh, kw] = a.kernel_shape;
  const parts = windowsOf(g, padImages(g, x, a.pads), [2, 3], [rows, columns], a);
  const unfolded = reshape(g, joinWindows(g, parts, 1), [n, kh * kw * channels, rows * columns]);
  const turned = g.apply('Transpose', [unfolded], { perm: [0, 2, 1] });
  const products = g.apply('MatMul', [reshape(g, dy, [n, out, rows * columns]), turned], {});
  const sum = g.apply('ReduceSum', [products, g.constant(int64s([0]))], { keepdims: 0 });
  return g.apply('Transpose', [reshape(g, sum, [out, kh, kw, channels])], { perm: [0, 3, 1, 2] });
};

/** As one matrix product over all images, a row of windows for each position. Without groups. */
const asRows: Form = (g, x, dy, a) => {
  const channels = knownDim(x.shape[1], 'the number of channels');
  const out = knownDim(dy.shape[1], 'the number of channels');
  const size = imageSizeAt(dy, [2, 3]);
  const [kh, kw] = a.kernel_shape;
  const positions = multiplyDims([x.shape[0] as Dim, size[0] * size[1]]);
  const unfolded = reshape(g, windowRows(g, x, size, a), [positions, kh * kw * channels]);
  const cotangents = reshape(g, g.apply('Transpose', [dy], { perm: [1, 0, 2, 3] }), [out, positions]);
  const product = g.apply('MatMul', [cotangents, unfolded], {});
  return g.apply('Transpose', [reshape(g, product, [out, kh, kw, channels])], { perm: [0, 3, 1, 2] });
};

/** As a matrix product for each group, over all images. */
const asGroups: Form = (g, x, dy, a) => {
  const [channels, out] = [x, dy].map(({ shape }) => knownDim(shape[1], 'the number of channels')) as [number, number];
  const [kh, kw] = a.kernel_shape;
  const unfolded = unfoldGroups(g, x, a.group, imageSizeAt(dy, [2, 3]), a);
  const turned = g.apply('Transpose', [unfolded], { perm: [0, 2, 1] });
  const product = g.apply('MatMul', [groupsFirst(g, dy, a.group), turned], {});
  return g.apply('Transpose', [reshape(g, product, [out, kh, kw, channels / a.group])], { perm: [0, 3, 1, 2] });
};

/**
 * The same with the roles exchanged: the cotangent is unfolded, and what comes out are the kernels turned around, of the
 * channels exchanged. For convolutions without strides, dilations and groups.
 */
const turned =
  (form: Form): Form =>
  (g, x, dy, a) => {
    const [kh, kw] = a.kernel_shape;
    const [top, left, bottom, right] = a.pads;
    const pads = [kh - 1 - top, kw - 1 - left, kh - 1 - bottom, kw - 1 - right] as const;
    const around = form(g, dy, x, { ...a, pads });
    return g.apply('Transpose', [turnKernels(g, around, a.kernel_shape)], { perm: [1, 0, 2, 3] });
  };

const canTurn = ({ strides, dilations, group, pads, kernel_shape: [kh, kw] }: ConvAttributes): boolean =>
  group === 1 &&
  // Of a kernel of one entry nothing is copied, and what comes out would be turned for nothing.
  kh * kw > 1 &&
  [...strides, ...dilations].every((each) => each === 1) &&
  pads.every((pad, side) => pad <= (side % 2 === 0 ? kh : kw) - 1);

export const weightGradientForms = { asConvolution, asMatrices, asRows, asGroups } as const;

/**
 * Up to this many positions in an image, or from so many channels on that are unfolded, one product over all images beats one for each
 * (docs/bench/weight-gradient.md).
 */
const [FEW_POSITIONS, MANY_CHANNELS] = [64, 16];

const channelsOf = (x: Value, dy: Value): [channels: number, out: number] =>
  [x, dy].map(({ shape }) => knownDim(shape[1], 'the number of channels')) as [number, number];

/** Unfolding copies every channel once for each position of the kernel: of image and cotangent, the one with fewer. */
const unfoldingFewer =
  (form: Form): Form =>
  (g, x, dy, a) => {
    const [channels, out] = channelsOf(x, dy);
    return (out < channels && canTurn(a) ? turned(form) : form)(g, x, dy, a);
  };

/** Whether each channel has a kernel of its own: the product of each group is one row then, and unfolding it by itself is all the work. */
const isDepthwise = (x: Value, dy: Value, { group }: ConvAttributes): boolean =>
  channelsOf(x, dy).every((channels) => channels === group);

/** Makes ONNX operators of `ConvWeightGradient`, the form chosen by shape. */
const weightGradientsAs = (form: Form): Pass =>
  rewriteNodes(
    ({ op }) => op === 'ConvWeightGradient',
    (g, inputs, { attributes }) => form(g, required(inputs, 0), required(inputs, 1), attributes as ConvAttributes),
  );

/** In the form that is fastest on a CPU for the shapes at hand; docs/bench/weight-gradient.md measures them. */
export const weightGradientsForCpu: Pass = weightGradientsAs((g, x, dy, a) => {
  if (a.group > 1) return (isDepthwise(x, dy, a) ? asConvolution : asGroups)(g, x, dy, a);
  const [rows, columns] = imageSizeAt(dy, [2, 3]);
  const unfolded = canTurn(a) ? Math.min(...channelsOf(x, dy)) : channelsOf(x, dy)[0];
  // Of a kernel of one entry nothing is unfolded, and images need not be turned.
  const isUnfolded = a.kernel_shape.some((size) => size > 1);
  const isOneProduct = rows * columns <= FEW_POSITIONS || (isUnfolded && unfolded >= MANY_CHANNELS);
  return unfoldingFewer(isOneProduct ? asRows : asMatrices)(g, x, dy, a);
});

/**
 * As many products beside each other as there are, groups or images: a device shares the numbers of a result out among
 * its processors, and of one product over all images there are few. Not measured on a GPU by itself.
 */
export const weightGradientsForGpu: Pass = weightGradientsAs((g, x, dy, a) =>
  (a.group > 1 ? asGroups : unfoldingFewer(asMatrices))(g, x, dy, a),
);

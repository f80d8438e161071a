import type { GraphBuilder } from '../builder.js';
import type { Node, Value } from '../graph.js';
import type { ConvAttributes, ConvTransposeAttributes } from '../operators/attributes.js';
import { required } from '../operators/operator.js';
import { pad, reshape, slice } from '../operators/shape-helpers.js';
import type { Pass } from '../passes/pass.js';
import type { Dim } from '../tensor.js';
import { rewriteNodes } from './rewrite-nodes.js';
import { imageSizeAt, imagesFirst, unfoldGroups, type Windows } from './windows.js';

/** Kernels `[G * O, C, kh, kw]` as matrices `[G, O, kh * kw * C]`, in the order that unfolding has. */
function kernelMatrices(g: GraphBuilder, weight: Value, groups: number): Value {
  const [out, perGroup, kh, kw] = weight.shape as [number, number, number, number];
  const last = g.apply('Transpose', [weight], { perm: [0, 2, 3, 1] });
  return reshape(g, last, [groups, out / groups, kh * kw * perGroup]);
}

function convolve(
  g: GraphBuilder,
  x: Value,
  weight: Value,
  groups: number,
  size: readonly [number, number],
  a: Windows,
): Value {
  const unfolded = unfoldGroups(g, x, groups, size, a);
  const product = g.apply('MatMul', [kernelMatrices(g, weight, groups), unfolded], {});
  return imagesFirst(g, product, x.shape[0] as Dim, size);
}

function addBias(g: GraphBuilder, y: Value, bias: Value | undefined): Value {
  return bias ? g.apply('Add', [y, reshape(g, bias, [1, ...bias.shape, 1, 1])], {}) : y;
}

/** A convolution in groups as one batch of matrix products: devices run many small groups slowly, or not at all. */
function groupedConvolution(
  g: GraphBuilder,
  [x, weight, bias]: readonly [Value, Value, Value | undefined],
  size: readonly [number, number],
  a: ConvAttributes,
): Value {
  return addBias(g, convolve(g, x, weight, a.group, size, a), bias);
}

/** Images with `stride - 1` zeros between their pixels: `[N, C, (H - 1) s + 1, (W - 1) s + 1]`. */
function spread(g: GraphBuilder, x: Value, [down, across]: readonly [number, number]): Value {
  if (down === 1 && across === 1) return x;
  const [n, channels] = x.shape as [Dim, number];
  const [height, width] = imageSizeAt(x, [2, 3]);
  const lifted = reshape(g, x, [n, channels, height, 1, width, 1]);
  const wide = pad(g, lifted, [0, 0, 0, 0, 0, 0, 0, 0, 0, down - 1, 0, across - 1]);
  const whole = reshape(g, wide, [n, channels, height * down, width * across]);
  return slice(g, whole, [2, 3], [0, 0], [(height - 1) * down + 1, (width - 1) * across + 1]);
}

/** `[G * C, O, kh, kw]` as the kernels of the convolution that undoes the transposed one: `[G * O, C, kh, kw]`, turned. */
function turnedKernels(g: GraphBuilder, weight: Value, groups: number): Value {
  const [channels, out, kh, kw] = weight.shape as [number, number, number, number];
  const split = reshape(g, weight, [groups, channels / groups, out, kh, kw]);
  const swapped = g.apply('Transpose', [split], { perm: [0, 2, 1, 3, 4] });
  const kernels = reshape(g, swapped, [groups * out, channels / groups, kh, kw]);
  return slice(g, kernels, [2, 3], [-1, -1], [-(2 ** 31), -(2 ** 31)], [-1, -1]);
}

/** A transposed convolution in groups: the convolution, with turned kernels, of the images spread by the stride. */
function groupedTranspose(
  g: GraphBuilder,
  [x, weight, bias]: readonly [Value, Value, Value | undefined],
  size: readonly [number, number],
  a: ConvTransposeAttributes,
): Value {
  const reach = (axis: 0 | 1) => (a.kernel_shape[axis] - 1) * a.dilations[axis];
  const [top, left, bottom, right] = a.pads;
  const pads = [
    reach(0) - top,
    reach(1) - left,
    reach(0) - bottom + a.output_padding[0],
    reach(1) - right + a.output_padding[1],
  ] as const;
  // What a pad takes away of the result is cut off before: a convolution has no negative pads.
  const spreadImages = spread(g, x, a.strides);
  const [height, width] = imageSizeAt(spreadImages, [2, 3]);
  const cut = pads.map((count) => Math.max(0, -count)) as [number, number, number, number];
  const inside = cut.some((count) => count > 0)
    ? slice(g, spreadImages, [2, 3], [cut[0], cut[1]], [height - cut[2], width - cut[3]])
    : spreadImages;
  const windows: Windows = {
    kernel_shape: a.kernel_shape,
    dilations: a.dilations,
    strides: [1, 1],
    pads: pads.map((count) => Math.max(0, count)) as unknown as Windows['pads'],
  };
  return addBias(g, convolve(g, inside, turnedKernels(g, weight, a.group), a.group, size, windows), bias);
}

/** More than one group, and not one channel to one channel in each: depthwise convolutions have kernels of their own. */
function isGrouped({ op, inputs, output, attributes }: Node): boolean {
  if (op !== 'Conv' && op !== 'ConvTranspose') return false;
  const { group } = attributes as ConvAttributes;
  return group > 1 && (inputs[0]?.shape[1] !== group || output.shape[1] !== group);
}

/**
 * Makes batches of matrix products of convolutions in groups, which is what many tasks with weights of their own are:
 * for devices whose convolutions know no groups, or run them one by one. Images have to be of known size.
 */
export const lowerGroups: Pass = rewriteNodes(isGrouped, (g, inputs, node) => {
  const operands = [required(inputs, 0), required(inputs, 1), inputs[2]] as const;
  const size = imageSizeAt(node.output, [2, 3]);
  return node.op === 'Conv'
    ? groupedConvolution(g, operands, size, node.attributes as ConvAttributes)
    : groupedTranspose(g, operands, size, node.attributes as ConvTransposeAttributes);
});

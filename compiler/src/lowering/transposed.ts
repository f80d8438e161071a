import type { GraphBuilder } from '../builder.js';
import type { Node, Value } from '../graph.js';
import type { ConvAttributes, ConvTransposeAttributes } from '../operators/attributes.js';
import { required } from '../operators/operator.js';
import type { Pass } from '../passes/pass.js';
import { rewriteNodes } from './rewrite-nodes.js';
import { turnKernels } from './windows.js';

/**
 * Up to this many positions in an image, a transposed convolution is as fast as it is, but of kernels of one entry, for which a
 * convolution takes half of the time (docs/bench/input-gradient.md).
 */
const FEW_POSITIONS = 64;

/** Transposed convolutions without strides, dilations and groups that a convolution is faster than. */
function isTurnedConvolution({ op, inputs, output, attributes }: Node): boolean {
  if (op !== 'ConvTranspose') return false;
  const { group, strides, dilations, pads, output_padding, kernel_shape } = attributes as ConvTransposeAttributes;
  const [, , ...size] = [...(inputs[0]?.shape ?? []), ...output.shape.slice(2)];
  const [height, width] = output.shape.slice(2) as [number, number];
  return (
    group === 1 &&
    [...strides, ...dilations].every((each) => each === 1) &&
    output_padding.every((each) => each === 0) &&
    pads.every((pad, side) => pad < (kernel_shape[side % 2] as number)) &&
    size.every((each) => typeof each === 'number') &&
    (kernel_shape.every((each) => each === 1) || height * width > FEW_POSITIONS)
  );
}

/** A transposed convolution of `[dy, weight]` (and bias) without strides, dilations and groups, as one with the kernels turned around. */
export function turnedConvolution(
  g: GraphBuilder,
  inputs: readonly (Value | undefined)[],
  { kernel_shape, pads, strides, dilations, group }: ConvAttributes,
): Value {
  const [kh, kw] = kernel_shape;
  const [top, left, bottom, right] = pads;
  const exchanged = g.apply('Transpose', [required(inputs, 1)], { perm: [1, 0, 2, 3] });
  const turned = turnKernels(g, exchanged, kernel_shape);
  const around = [kh - 1 - top, kw - 1 - left, kh - 1 - bottom, kw - 1 - right] as const;
  const attributes = { kernel_shape, strides, dilations, group, pads: around };
  return g.apply('Conv', [required(inputs, 0), turned, inputs[2]], attributes);
}

/**
 * Makes convolutions with the kernels turned around of transposed ones, as the gradients of convolutions for their inputs
 * are: onnxruntime's CPU uses all of its threads for those, and for transposed ones it does not.
 */
export const transposedAsConvolution: Pass = rewriteNodes(isTurnedConvolution, (g, inputs, { attributes }) =>
  turnedConvolution(g, inputs, attributes as ConvTransposeAttributes),
);

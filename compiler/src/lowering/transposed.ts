import type { Node } from '../graph.js';
import type { ConvTransposeAttributes } from '../operators/attributes.js';
import { required } from '../operators/operator.js';
import { slice } from '../operators/shape-helpers.js';
import type { Pass } from '../passes/pass.js';
import { rewriteNodes } from './rewrite-nodes.js';

/** Up to this many positions in an image, a transposed convolution is as fast as it is (docs/bench/input-gradient.md). */
const FEW_POSITIONS = 64;

/** Transposed convolutions without strides, dilations and groups, of images that are large enough. */
function isTurnedConvolution({ op, inputs, output, attributes }: Node): boolean {
  if (op !== 'ConvTranspose') return false;
  const { group, strides, dilations, pads, output_padding, kernel_shape } = attributes as ConvTransposeAttributes;
  const [, , ...size] = [...(inputs[0]?.shape ?? []), ...output.shape.slice(2)];
  return (
    group === 1 &&
    [...strides, ...dilations].every((each) => each === 1) &&
    output_padding.every((each) => each === 0) &&
    pads.every((pad, side) => pad < (kernel_shape[side % 2] as number)) &&
    size.every((each) => typeof each === 'number') &&
    (output.shape[2] as number) * (output.shape[3] as number) > FEW_POSITIONS
  );
}

/**
 * Makes convolutions with the kernels turned around of transposed ones, as the gradients of convolutions for their inputs
 * are: onnxruntime's CPU uses all of its threads for those, and for transposed ones it does not.
 */
export const transposedAsConvolution: Pass = rewriteNodes(isTurnedConvolution, (g, inputs, { attributes }) => {
  const { kernel_shape, pads, strides, dilations, group } = attributes as ConvTransposeAttributes;
  const [kh, kw] = kernel_shape;
  const [top, left, bottom, right] = pads;
  const [dy, weight, bias] = [required(inputs, 0), required(inputs, 1), inputs[2]];
  const exchanged = g.apply('Transpose', [weight], { perm: [1, 0, 2, 3] });
  const turned = slice(g, exchanged, [2, 3], [kh - 1, kw - 1], [-kh - 1, -kw - 1], [-1, -1]);
  const around = [kh - 1 - top, kw - 1 - left, kh - 1 - bottom, kw - 1 - right] as const;
  return g.apply('Conv', [dy, turned, bias], { kernel_shape, strides, dilations, group, pads: around });
});

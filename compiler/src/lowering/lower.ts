import { copyInputs, GraphBuilder, inline } from '../builder.js';
import type { Graph, Node, Value } from '../graph.js';
import { nodesOf } from '../graph.js';
import type { ConvAttributes, ConvTransposeAttributes } from '../operators/attributes.js';
import { multiplyDims } from '../operators/dims.js';
import { required } from '../operators/operator.js';
import { reshape, slice } from '../operators/shape-helpers.js';
import type { Pass } from '../passes/pass.js';
import type { Dim } from '../tensor.js';
import { groupedConvolution, groupedTranspose } from './grouped-convolution.js';
import { lowerWeightGradient } from './weight-gradient.js';
import { imageSizeAt } from './windows.js';

type Lower = (g: GraphBuilder, inputs: readonly (Value | undefined)[], node: Node) => Value;

function lowering(applies: (node: Node) => boolean, lower: Lower): Pass {
  return (graph: Graph) => {
    if (!nodesOf(graph.outputs.values()).some(applies)) return { graph, changed: false };
    const g = new GraphBuilder();
    const bindings = copyInputs(g, graph);
    const outputs = inline(g, graph, bindings, (node, operands) =>
      applies(node) ? g.scope(node.name, () => lower(g, operands, node)) : undefined,
    );
    return { graph: { name: graph.name, inputs: [...bindings.values()], outputs }, changed: true };
  };
}

/** Makes ONNX operators of Whet's own, in the forms that are fastest on a CPU. A graph without any stays as it is. */
export const lowerOwnOperators: Pass = lowering(
  ({ op }) => op === 'ConvWeightGradient',
  (g, inputs, { attributes }) =>
    lowerWeightGradient(g, required(inputs, 0), required(inputs, 1), attributes as ConvAttributes),
);

/** Whether the weights of the convolution below a value are inputs of the graph, or computed. */
function belowMovingConvolution(value: Value | undefined): boolean {
  for (let at = value; at?.producer; at = at.producer.inputs[0]) {
    if (at.producer.op === 'Conv') return !at.producer.inputs[1]?.constant;
  }
  return false;
}

/** Pooling of what a comparison says of each value: the counts in the gradient of max pooling. */
const ofComparison = (value: Value | undefined): boolean => value?.producer?.op === 'Cast';

/**
 * Pools each channel as an image of its own, above convolutions whose weights move, and in gradients of max pooling.
 * onnxruntime's CPU reorders the channels of images that it pools, as its convolutions with constant weights want them; these
 * have none, and the reordering, there and back, costs more than the pooling.
 */
export const poolByChannel: Pass = lowering(
  ({ op, inputs, output }) =>
    ((op === 'MaxPool' && belowMovingConvolution(inputs[0])) || (op === 'AveragePool' && ofComparison(inputs[0]))) &&
    output.shape[1] !== 1 &&
    [...output.shape.slice(1), ...(inputs[0]?.shape.slice(1) ?? [])].every((dim) => typeof dim === 'number'),
  (g, inputs, { op, attributes, output }) => {
    const x = required(inputs, 0);
    const [n, channels, ...size] = x.shape as [Dim, Dim, Dim, Dim];
    const planes = reshape(g, x, [multiplyDims([n, channels]), 1, ...size]);
    return reshape(g, g.apply(op, [planes], attributes), output.shape);
  },
);

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
export const transposedAsConvolution: Pass = lowering(isTurnedConvolution, (g, inputs, { attributes }) => {
  const { kernel_shape, pads, strides, dilations, group } = attributes as ConvTransposeAttributes;
  const [kh, kw] = kernel_shape;
  const [top, left, bottom, right] = pads;
  const [dy, weight, bias] = [required(inputs, 0), required(inputs, 1), inputs[2]];
  const exchanged = g.apply('Transpose', [weight], { perm: [1, 0, 2, 3] });
  const turned = slice(g, exchanged, [2, 3], [kh - 1, kw - 1], [-kh - 1, -kw - 1], [-1, -1]);
  const around = [kh - 1 - top, kw - 1 - left, kh - 1 - bottom, kw - 1 - right] as const;
  return g.apply('Conv', [dy, turned, bias], { kernel_shape, strides, dilations, group, pads: around });
});

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
export const lowerGroups: Pass = lowering(isGrouped, (g, inputs, node) => {
  const operands = [required(inputs, 0), required(inputs, 1), inputs[2]] as const;
  const size = imageSizeAt(node.output, [2, 3]);
  return node.op === 'Conv'
    ? groupedConvolution(g, operands, size, node.attributes as ConvAttributes)
    : groupedTranspose(g, operands, size, node.attributes as ConvTransposeAttributes);
});

import type { Value } from '../graph.js';
import { multiplyDims } from '../operators/dims.js';
import { required } from '../operators/operator.js';
import { reshape } from '../operators/shape-helpers.js';
import type { Pass } from '../passes/pass.js';
import type { Dim } from '../tensor.js';
import { rewriteNodes } from './rewrite-nodes.js';

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
export const poolByChannel: Pass = rewriteNodes(
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

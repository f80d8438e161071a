import type { GraphBuilder } from '../builder.js';
import type { Node, Value } from '../graph.js';
import type { OperatorAttributes } from '../operators/attributes.js';
import { required } from '../operators/operator.js';
import { axesOf } from '../operators/reductions.js';
import { reshape } from '../operators/shape-helpers.js';
import type { Pass } from '../passes/pass.js';
import { int64s, type Shape } from '../tensor.js';
import { rewriteNodes } from './rewrite-nodes.js';

/** Whether a transpose leaves the elements where they are: only axes of size 1 change places. */
function isView({ inputs, attributes }: Node): boolean {
  const { shape } = required(inputs, 0);
  const moved = (attributes as OperatorAttributes['Transpose']).perm.filter((axis) => shape[axis] !== 1);
  return moved.every((axis, i) => i === 0 || axis > (moved[i - 1] as number));
}

/** Axes of size 1 that follow those that are reduced, nothing larger between: reduced too, they change nothing. */
function unitsAfter(shape: Shape, axes: readonly number[]): number[] {
  let isReduced = false;
  return shape.flatMap((size, axis) => {
    if (axes.includes(axis)) isReduced = true;
    else if (size !== 1) isReduced = false;
    else return isReduced ? [axis] : [];
    return [];
  });
}

const reducedUnits = ({ op, inputs, attributes }: Node): number[] =>
  op.startsWith('Reduce') && inputs[1]?.constant
    ? unitsAfter(required(inputs, 0).shape, axesOf(inputs, attributes as OperatorAttributes['ReduceSum']))
    : [];

function reduceUnits(g: GraphBuilder, inputs: readonly (Value | undefined)[], node: Node): Value {
  const axes = [...axesOf(node.inputs, node.attributes as OperatorAttributes['ReduceSum']), ...reducedUnits(node)];
  const sorted = g.constant(int64s(axes.sort((a, b) => a - b)));
  return reshape(g, g.apply(node.op, [required(inputs, 0), sorted], node.attributes), node.output.shape);
}

/**
 * Axes of size 1, as 1x1 convolutions have, where they cost time: a transpose that moves nothing else is a reshape, and sums
 * over channels go over those axes as well. onnxruntime's CPU copies element by element in the one, and sums several times
 * slower in the other.
 */
export const unitAxes: Pass = rewriteNodes(
  (node) => (node.op === 'Transpose' && isView(node)) || reducedUnits(node).length > 0,
  (g, inputs, node) =>
    node.op === 'Transpose' ? reshape(g, required(inputs, 0), node.output.shape) : reduceUnits(g, inputs, node),
);

import { batchRules } from '../batching/rules.js';
import type { GraphBuilder } from '../builder.js';
import type { Node, Value } from '../graph.js';
import type { OperatorName } from '../operators/attributes.js';
import { reshape } from '../operators/shape-helpers.js';
import { normalizeAxis, type Shape, sameShape } from '../tensor.js';

/** For each operand the axis that holds the slices asked for, or `null` where it is needed whole. */
export type OperandAxes = readonly (number | null)[];

type Rule<K extends OperatorName> = (node: Node<K>, axis: number) => OperandAxes | undefined;

const significant = (dims: Shape) => dims.filter((dim) => dim !== 1);

/** The axis of a reshaped value with the same elements in front of it. */
const reshapeRule: Rule<'Reshape' | 'Squeeze' | 'Unsqueeze' | 'Flatten'> = ({ inputs, output }, axis) => {
  const from = inputs[0]?.shape ?? [];
  const before = significant(output.shape.slice(0, axis));
  const at = from.findIndex((dim, i) => dim === output.shape[axis] && sameShape(significant(from.slice(0, i)), before));
  return at < 0 ? undefined : [at, null];
};

/** Pooling leaves images and channels apart. */
const poolingRule: Rule<'MaxPool' | 'AveragePool'> = (_, axis) => (axis < 2 ? [axis] : undefined);

const integersAt = ({ inputs }: Node, position: number): number[] | undefined => {
  const constant = inputs[position]?.constant;
  return constant && Array.from(constant.data);
};

const reductionRule: Rule<'ReduceSum' | 'ReduceMean' | 'ReduceMax' | 'ReduceMin'> = (node, axis) => {
  const rank = node.inputs[0]?.shape.length ?? 0;
  const axes = integersAt(node, 1)?.map((reduced) => normalizeAxis(reduced, rank));
  if (!axes || axes.length === 0) return undefined;
  const kept = Array.from({ length: rank }, (_, at) => at).filter(
    (at) => node.attributes.keepdims || !axes.includes(at),
  );
  const at = kept[axis];
  return at === undefined || axes.includes(at) ? undefined : [at, null];
};

/** Without groups, a convolution's output channels are those of its weight. */
const oneGroup = (axes: OperandAxes | undefined, { attributes }: { attributes: { group: number } }) =>
  attributes.group === 1 ? axes : undefined;

/** Operators whose output has slices along an axis that depend on slices of an operand alone, beside elementwise ones. */
const rules: { readonly [K in OperatorName]?: Rule<K> } = {
  Conv: (node, axis) => oneGroup(axis === 1 ? [null, 0, 0] : undefined, node),
  ConvTranspose: (node, axis) => oneGroup(axis === 1 ? [null, 1, 0] : undefined, node),
  ConvWeightGradient: (node, axis) => oneGroup([[null, 1] as const, [1, null] as const][axis], node),
  MatMul: ({ inputs, output }, axis) => {
    const [a, b] = inputs.map((input) => input?.shape.length ?? 0) as [number, number];
    if (a < 2 || b < 2 || axis < output.shape.length - 2) return undefined;
    return axis === output.shape.length - 1 ? [null, b - 1] : [a - 2, null];
  },
  MaxPool: poolingRule,
  AveragePool: poolingRule,
  Transpose: ({ attributes }, axis) => [attributes.perm[axis] as number],
  Reshape: reshapeRule,
  Squeeze: reshapeRule,
  Unsqueeze: reshapeRule,
  Flatten: reshapeRule,
  ReduceSum: reductionRule,
  ReduceMean: reductionRule,
  ReduceMax: reductionRule,
  ReduceMin: reductionRule,
  Concat: ({ inputs, output, attributes }, axis) =>
    normalizeAxis(attributes.axis, output.shape.length) === axis ? undefined : inputs.map(() => axis),
  Slice: (node, axis) => {
    const axes = integersAt(node, 3)?.map((sliced) => normalizeAxis(sliced, node.output.shape.length));
    return axes && !axes.includes(axis) ? [axis, null, null, null, null] : undefined;
  },
  Pad: (node, axis) => {
    const pads = integersAt(node, 1);
    const padded = !pads || node.inputs[3] || pads[axis] !== 0 || pads[axis + pads.length / 2] !== 0;
    return padded ? undefined : [axis, null, null];
  },
  Resize: (node, axis) => (integersAt(node, 2)?.[axis] === 1 && !node.inputs[3] ? [axis, null, null] : undefined),
};

/** Operators that take a multiple of the arithmetic out with the slices: gathering what they read pays by itself. */
export const products: ReadonlySet<OperatorName> = new Set(['Conv', 'ConvTranspose', 'ConvWeightGradient', 'MatMul']);

/** What a node needs of its operands for slices of its output along `axis`; undefined where it needs them whole. */
export function operandAxes(node: Node, axis: number): OperandAxes | undefined {
  const rule = rules[node.op] as Rule<OperatorName> | undefined;
  if (rule) return rule(node, axis);
  if (batchRules[node.op] !== 'elementwise') return undefined;
  const { length } = node.output.shape;
  return node.inputs.map((input) => {
    const own = axis - (length - (input?.shape.length ?? 0));
    return own >= 0 && input?.shape[own] !== 1 ? own : null;
  });
}

/** The node on operands that hold `count` of their slices. */
export function applyNarrowed(
  g: GraphBuilder,
  node: Node,
  operands: readonly (Value | undefined)[],
  axis: number,
  count: number,
): Value {
  if (rules[node.op] === reshapeRule) {
    const shape = node.output.shape.map((dim, at) => (at === axis ? count : dim));
    return reshape(g, operands[0] as Value, shape);
  }
  return g.apply(node.op, operands, node.attributes, node.name);
}

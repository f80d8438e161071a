import type { GraphBuilder } from '../builder.js';
import type { Value } from '../graph.js';
import { constantIntegers } from '../operators/integers.js';
import type { Reduction } from '../operators/reductions.js';
import { reshape } from '../operators/shape-helpers.js';
import { type Dim, int64s, normalizeAxis, type Shape, sizeOf } from '../tensor.js';
import { alignTo, type Batched, inserted, moveTaskAxis, repeated, taskShape } from './batched.js';
import { type BatchContext, type BatchRule, present } from './rule.js';

const taskAxis = ({ axis }: Batched): number => axis as number;

/** An axis of one task's value, among the axes of the batched one. */
const shifted = (axis: number, rank: number, at: number): number => {
  const own = normalizeAxis(axis, rank);
  return own >= at ? own + 1 : own;
};

/** The values of an operand such as axes; throws where it is not constant, so that tasks could differ in it. */
function integersAt({ inputs }: BatchContext<never>, position: number): number[] | undefined {
  if (!inputs[position]) return undefined;
  return constantIntegers(
    inputs.map((each) => each?.value),
    position,
    'the operand',
  );
}

const integers = (g: GraphBuilder, list: readonly number[]): Value => g.constant(int64s(list));

export const reductionRule: BatchRule<Reduction> = (context) => {
  const { g, tasks, inputs, node } = context;
  const x = present(inputs, 0);
  const rank = taskShape(x).length;
  const given = integersAt(context as never, 1) ?? [];
  const { keepdims, noop_with_empty_axes } = node.attributes;
  if (given.length === 0 && noop_with_empty_axes) return x;
  if (rank === 0) {
    // No axes would mean all, that of the tasks too.
    const lifted = reshape(g, moveTaskAxis(g, x, 0), [tasks, 1]);
    return { value: g.apply(node.op, [lifted, integers(g, [1])], { keepdims: 0 }, node.name), axis: 0 };
  }
  const own = given.length > 0 ? given.map((axis) => normalizeAxis(axis, rank)) : [...Array(rank).keys()];
  const axes = own.map((axis) => shifted(axis, rank, taskAxis(x)));
  const value = g.apply(node.op, [x.value, integers(g, axes)], { keepdims }, node.name);
  const gone = keepdims ? 0 : own.filter((axis) => axis < taskAxis(x)).length;
  return { value, axis: taskAxis(x) - gone };
};

export const alongAxisRule: BatchRule<'Softmax' | 'LogSoftmax'> = ({ g, inputs, node }) => {
  const x = present(inputs, 0);
  const axis = shifted(node.attributes.axis, taskShape(x).length, taskAxis(x));
  return { value: g.apply(node.op, [x.value], { axis }, node.name), axis: x.axis };
};

const product = (shape: Shape): number => sizeOf(shape as readonly number[]);

/** Keeps the task axis where it is between the same elements, or else brings it to the front first. */
function reshaped(g: GraphBuilder, x: Batched, tasks: number, target: Shape): Batched {
  const before = product(taskShape(x).slice(0, taskAxis(x)));
  const axis = [...target.keys(), target.length].find((at) => product(target.slice(0, at)) === before);
  if (axis !== undefined) return { value: reshape(g, x.value, inserted<Dim>(target, axis, tasks)), axis };
  return { value: reshape(g, moveTaskAxis(g, x, 0), [tasks, ...target]), axis: 0 };
}

export const reshapeRule: BatchRule<'Reshape' | 'Flatten' | 'Squeeze' | 'Unsqueeze'> = ({ g, tasks, inputs, node }) =>
  reshaped(g, present(inputs, 0), tasks, node.output.shape);

export const transposeRule: BatchRule<'Transpose'> = ({ g, inputs, node }) => {
  const x = present(inputs, 0);
  const at = taskAxis(x);
  const own = node.attributes.perm.map((axis) => (axis >= at ? axis + 1 : axis));
  return { value: g.apply('Transpose', [x.value], { perm: inserted(own, at, at) }, node.name), axis: at };
};

export const expandRule: BatchRule<'Expand'> = ({ g, tasks, inputs, node }) => {
  const { shape } = node.output;
  const value = alignTo(g, present(inputs, 0), shape.length, 0);
  return { value: g.apply('Expand', [value, integers(g, [tasks, ...(shape as number[])])], {}, node.name), axis: 0 };
};

export const concatRule: BatchRule<'Concat'> = ({ g, tasks, inputs, node }) => {
  const parts = inputs.map((_, position) => present(inputs, position));
  const axis = taskAxis(parts.find((part) => part.axis !== undefined) as Batched);
  const values = parts.map((part) => repeated(g, part, tasks, axis));
  const along = shifted(node.attributes.axis, node.output.shape.length, axis);
  return { value: g.apply('Concat', values, { axis: along }, node.name), axis };
};

export const sliceRule: BatchRule<'Slice'> = (context) => {
  const { g, inputs, node } = context;
  const x = present(inputs, 0);
  const [starts = [], ends = [], given, steps] = [1, 2, 3, 4].map((position) => integersAt(context as never, position));
  const own = given ?? [...starts.keys()];
  const axes = own.map((axis) => shifted(axis, taskShape(x).length, taskAxis(x)));
  const lists = [starts, ends, axes, steps ?? axes.map(() => 1)].map((list) => integers(g, list));
  return { value: g.apply('Slice', [x.value, ...lists], {}, node.name), axis: x.axis };
};

export const padRule: BatchRule<'Pad'> = (context) => {
  const { g, inputs, node } = context;
  const x = present(inputs, 0);
  if (inputs[3]) throw new Error('axes of Pad are not supported here');
  if (inputs[2]?.axis !== undefined) throw new Error('a value of its own for each task is not supported here');
  const pads = integersAt(context as never, 1) ?? [];
  const rank = pads.length / 2;
  const wider = [pads.slice(0, rank), pads.slice(rank)].flatMap((list) => inserted(list, taskAxis(x), 0));
  const value = g.apply('Pad', [x.value, integers(g, wider), inputs[2]?.value], node.attributes, node.name);
  return { value, axis: x.axis };
};

/** The value is the first operand's, so it has to have the task axis itself. */
export const straightThroughRule: BatchRule<'StraightThrough'> = ({ g, tasks, inputs, node }) => {
  const operands = [0, 1].map((position) => repeated(g, present(inputs, position), tasks, 0));
  return { value: g.apply('StraightThrough', operands, {}, node.name), axis: 0 };
};

export const matMulRule: BatchRule<'MatMul'> = ({ g, inputs, node }) => {
  const [a, b] = [present(inputs, 0), present(inputs, 1)];
  const rank = Math.max(taskShape(a).length, taskShape(b).length);
  // Rows of all tasks against one matrix are more rows.
  const rows = b.axis === undefined && b.value.shape.length === 2 && taskAxis(a) < a.value.shape.length - 1;
  const operands = rows ? [a.value, b.value] : [alignTo(g, a, rank, 0), alignTo(g, b, rank, 0)];
  return { value: g.apply('MatMul', operands, {}, node.name), axis: rows ? a.axis : 0 };
};

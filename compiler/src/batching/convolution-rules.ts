import type { GraphBuilder } from '../builder.js';
import type { Value } from '../graph.js';
import type { OperatorName } from '../operators/attributes.js';
import { type Batched, joinAxes, moveTaskAxis, repeated, splitAxis } from './batched.js';
import { type BatchContext, type BatchRule, present } from './rule.js';

/** Images `[N, T, C, H, W]` as `[N, T * C, H, W]`, so that the tasks are groups of channels; shared ones are repeated. */
const asGroups = (g: GraphBuilder, images: Batched, tasks: number): Value =>
  joinAxes(g, repeated(g, images, tasks, 1), 1);

const fromGroups = (g: GraphBuilder, value: Value, tasks: number): Batched => ({
  value: splitAxis(g, value, 1, [tasks, (value.shape[1] as number) / tasks]),
  axis: 1,
});

/** Where only the images are a task's own, tasks are more images. */
function asImages<K extends OperatorName>({ g, tasks, inputs, node }: BatchContext<K>): Batched {
  const images = present(inputs, 0);
  const axis = images.axis === 0 ? 0 : 1;
  const joined = joinAxes(g, moveTaskAxis(g, images, axis), 0);
  const rest = inputs.slice(1).map((input) => input?.value);
  const value = g.apply(node.op, [joined, ...rest], node.attributes, node.name);
  const count = (value.shape[0] as number) / tasks;
  return { value: splitAxis(g, value, 0, axis === 0 ? [tasks, count] : [count, tasks]), axis };
}

/** Images through one operator that has no other operand of a task's own: pooling, resizing. */
const imagesRule: BatchRule<'MaxPool' | 'AveragePool' | 'Resize'> = asImages;

const convolutionRule: BatchRule<'Conv' | 'ConvTranspose'> = (context) => {
  const { g, tasks, inputs, node } = context;
  const [images, weight, bias] = [present(inputs, 0), present(inputs, 1), inputs[2]];
  if (weight.axis === undefined && bias?.axis === undefined) return asImages(context);
  const operands = [asGroups(g, images, tasks), joinAxes(g, repeated(g, weight, tasks, 0), 0)];
  if (bias) operands.push(joinAxes(g, repeated(g, bias, tasks, 0), 0));
  const attributes = { ...node.attributes, group: node.attributes.group * tasks };
  return fromGroups(g, g.apply(node.op, operands, attributes, node.name), tasks);
};

const weightGradientRule: BatchRule<'ConvWeightGradient'> = ({ g, tasks, inputs, node }) => {
  const operands = [0, 1].map((position) => asGroups(g, present(inputs, position), tasks));
  const attributes = { ...node.attributes, group: node.attributes.group * tasks };
  const value = g.apply(node.op, operands, attributes, node.name);
  return { value: splitAxis(g, value, 0, [tasks, (value.shape[0] as number) / tasks]), axis: 0 };
};

export const convolutionRules = {
  Conv: convolutionRule,
  ConvTranspose: convolutionRule,
  ConvWeightGradient: weightGradientRule,
  MaxPool: imagesRule,
  AveragePool: imagesRule,
  Resize: imagesRule,
} as const;

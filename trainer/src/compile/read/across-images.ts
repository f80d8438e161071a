import type { OnnxNode } from '@whet/compiler';
import { imageAxis, type TwoSizes } from './image-axis.js';

/** Those of a largest or smallest number are left out: dynamic quantization takes its range by them. */
const reducing = /^Reduce(Mean|Sum|SumSquare|Prod|L1|L2|LogSum|LogSumExp)$/;

const intOf = ({ attributes }: OnnxNode, name: string, otherwise: number): number => {
  const found = attributes.get(name);
  return found?.kind === 'int' ? found.value : otherwise;
};

/** Whether a node may compute across images, as {@link worksAcross} says of its sizes. */
export const mayWorkAcross = (node: OnnxNode): boolean =>
  node.domain === 'ai.onnx' &&
  (reducing.test(node.op) ||
    /^(Log)?Softmax$/.test(node.op) ||
    (node.op === 'BatchNormalization' && intOf(node, 'training_mode', 0) === 1));

/** Whether a node whose input and output have these sizes computes something of several images at once. */
export function worksAcross(node: OnnxNode, opset: number, input: TwoSizes, output: TwoSizes): boolean {
  const axis = imageAxis(input);
  if (axis === undefined || axis < 0) return false;
  if (reducing.test(node.op)) return imageAxis(output) === -1;
  // The second axis is the channels, each of which has moments of its own.
  if (node.op === 'BatchNormalization') return axis !== 1;
  const rank = input[0].length;
  const given = intOf(node, 'axis', opset < 13 ? 1 : -1);
  const along = given < 0 ? given + rank : given;
  // Older ones go along all axes from this one on.
  return opset < 13 ? axis >= along : axis === along;
}

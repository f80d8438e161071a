import type { Node, Value } from '../graph.js';
import type { OperatorName } from '../operators/attributes.js';
import { required } from '../operators/operator.js';
import type { Pass } from '../passes/pass.js';
import { rewriteNodes } from './rewrite-nodes.js';

/** Operators whose every result is a sum over many values: one of these that is no number is in all of them. */
const sums: ReadonlySet<OperatorName> = new Set(['Conv', 'ConvTranspose', 'MatMul', 'Gemm']);
/** Operators that only move values, or their sign. */
const views: ReadonlySet<OperatorName> = new Set([
  'Reshape',
  'Transpose',
  'Squeeze',
  'Unsqueeze',
  'Slice',
  'Pad',
  'Expand',
  'Resize',
  'Neg',
]);
const joins: ReadonlySet<OperatorName> = new Set(['Add', 'Sum', 'Sub', 'Concat']);

const known = new WeakMap<Value, boolean>();

/** Whether a value is made of sums of products, by steps that keep numbers numbers. */
function isOfSums(value: Value): boolean {
  const before = known.get(value);
  if (before !== undefined) return before;
  const { producer } = value;
  const found = producer !== undefined && isMadeOfSums(producer);
  known.set(value, found);
  return found;
}

function isMadeOfSums({ op, inputs }: Node): boolean {
  if (sums.has(op)) return true;
  if (views.has(op)) return isOfSums(required(inputs, 0));
  if (joins.has(op)) return inputs.every((input) => input !== undefined && isOfSums(input));
  if (op === 'Div') return isOfSums(required(inputs, 0)) && inputs[1]?.constant !== undefined;
  return op === 'Mul' && inputs.every((input) => input !== undefined && (input.constant || isOfSums(input)));
}

const isZero = (value: Value | undefined): boolean =>
  value?.constant?.data.every((each) => Number(each) === 0) ?? false;

/**
 * Multiplies by 1 where a condition holds and by 0 elsewhere, in place of choosing between a value and 0: the gradients of ReLU and of clipping
 * do that. onnxruntime's CPU shares the product among its threads, and takes two thirds of the time (docs/bench/gates.md). Only of sums of products:
 * elsewhere 0 may stand in for what is no number, as below a square root at 0.
 */
export const gatesAsProducts: Pass = rewriteNodes(
  ({ op, inputs }) => op === 'Where' && isZero(inputs[2]) && isOfSums(required(inputs, 1)),
  (g, inputs, { output }) => {
    const open = g.apply('Cast', [required(inputs, 0)], { to: output.dtype });
    return g.apply('Mul', [required(inputs, 1), open], {});
  },
);

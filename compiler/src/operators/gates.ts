import type { GraphBuilder } from '../builder.js';
import type { Node, Value } from '../graph.js';
import type { OperatorName } from './attributes.js';

/** Operators whose results are sums of products. */
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

/** Whether a value is a constant, and each of its numbers so. */
const isConstant = (value: Value | undefined, test: (each: number) => boolean): boolean =>
  value?.constant?.data.every((each) => test(Number(each))) ?? false;

/** Whether a value is made of sums of products, by steps that keep numbers numbers; `known` are those that were asked about before. */
function isOfSums(value: Value | undefined, known: Map<Value, boolean>): boolean {
  if (!value?.producer) return false;
  const before = known.get(value);
  if (before !== undefined) return before;
  const found = isMadeOfSums(value.producer, known);
  known.set(value, found);
  return found;
}

function isMadeOfSums({ op, inputs }: Node, known: Map<Value, boolean>): boolean {
  if (sums.has(op)) return true;
  if (op === 'Pad' && inputs[2] && !isConstant(inputs[2], Number.isFinite)) return false;
  if (views.has(op)) return isOfSums(inputs[0], known);
  if (joins.has(op)) return inputs.every((input) => isOfSums(input, known));
  if (op === 'Div') return isOfSums(inputs[0], known) && isConstant(inputs[1], (each) => Number.isFinite(1 / each));
  return op === 'Mul' && inputs.every((input) => isConstant(input, Number.isFinite) || isOfSums(input, known));
}

/**
 * A cotangent where the condition holds, 0 elsewhere. As a product with 1 and 0 where it is made of sums of products, as it is below a convolution:
 * onnxruntime's CPU shares that among its threads (docs/bench/gates.md). Elsewhere 0 may have to stand in for what is no number, as below a square
 * root at 0, which a product would keep; of sums, that would be in the weights' gradients, too.
 */
export function gate(g: GraphBuilder, condition: Value, cotangent: Value): Value {
  if (!isOfSums(cotangent, new Map())) {
    return g.apply('Where', [condition, cotangent, g.scalar(0, cotangent.dtype)], {});
  }
  return g.apply('Mul', [cotangent, g.apply('Cast', [condition], { to: cotangent.dtype })], {});
}

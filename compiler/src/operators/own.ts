import type { OperatorName } from './attributes.js';

/** Operators of Whet's own. ONNX has none of them: a lowering writes them in those that it has, or leaves them out. */
export const ownOperators: ReadonlySet<OperatorName> = new Set([
  'ConvWeightGradient',
  'StopGradient',
  'StraightThrough',
]);

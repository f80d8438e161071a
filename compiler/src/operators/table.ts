import type { OperatorName } from './attributes.js';
import { Conv, ConvTranspose } from './convolution.js';
import { elementwiseOperators } from './elementwise.js';
import { Gather, GatherElements, ScatterElements } from './indexing.js';
import { MatMul } from './linear-algebra.js';
import type { Operator } from './operator.js';
import { MaxPool } from './pooling.js';
import { LogSoftmax, ReduceMax, ReduceMean, ReduceSum, Softmax } from './reductions.js';
import { Concat, Expand, Pad, Reshape, Shape_, Size, Slice, Transpose } from './shape-operators.js';

/** Every operator, once. Total by type: an operator without its three rules does not compile. */
export const operators: { readonly [K in OperatorName]: Operator<K> } = {
  ...elementwiseOperators,
  MatMul,
  Conv,
  ConvTranspose,
  MaxPool,
  ReduceSum,
  ReduceMean,
  ReduceMax,
  Softmax,
  LogSoftmax,
  Reshape,
  Transpose,
  Expand,
  Concat,
  Slice,
  Pad,
  Gather,
  GatherElements,
  ScatterElements,
  Shape: Shape_,
  Size,
};

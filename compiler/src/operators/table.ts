import { activationOperators } from './activations.js';
import { arithmeticOperators } from './arithmetic.js';
import type { OperatorName } from './attributes.js';
import { DepthToSpace, SpaceToDepth } from './blocks.js';
import { comparisonOperators } from './comparisons.js';
import { Conv, ConvTranspose } from './convolution.js';
import { ConvWeightGradient } from './convolution-gradient.js';
import { Einsum } from './einsum.js';
import { ConstantOfShape, Range, Tile, Trilu } from './filling.js';
import { Gemm } from './gemm.js';
import { identityOperators } from './identities.js';
import { Gather, GatherElements, ScatterElements } from './indexing.js';
import { MatMul } from './linear-algebra.js';
import { MaxPool } from './max-pooling.js';
import { BatchNormalization, GroupNormalization, InstanceNormalization, LayerNormalization } from './normalization.js';
import type { Operator } from './operator.js';
import { Pad } from './padding.js';
import { AveragePool, GlobalAveragePool, GlobalMaxPool } from './pooling.js';
import * as reductions from './reductions.js';
import { Expand, Flatten, Reshape, Shape_, Size, Squeeze, Transpose, Unsqueeze } from './reshaping.js';
import { Resize } from './resize.js';
import { Concat, Slice } from './slicing.js';
import { LogSoftmax, Softmax } from './softmax.js';

/** Every operator, once. Total by type: an operator without its three rules does not compile. */
export const operators: { readonly [K in OperatorName]: Operator<K> } = {
  ...arithmeticOperators,
  ...activationOperators,
  ...comparisonOperators,
  ...identityOperators,
  MatMul,
  Gemm,
  Einsum,
  Conv,
  ConvTranspose,
  ConvWeightGradient,
  MaxPool,
  AveragePool,
  GlobalMaxPool,
  GlobalAveragePool,
  BatchNormalization,
  InstanceNormalization,
  LayerNormalization,
  GroupNormalization,
  ReduceSum: reductions.ReduceSum,
  ReduceMean: reductions.ReduceMean,
  ReduceMax: reductions.ReduceMax,
  ReduceMin: reductions.ReduceMin,
  ReduceProd: reductions.ReduceProd,
  ReduceL1: reductions.ReduceL1,
  ReduceL2: reductions.ReduceL2,
  ReduceSumSquare: reductions.ReduceSumSquare,
  ReduceLogSumExp: reductions.ReduceLogSumExp,
  ArgMax: reductions.ArgMax,
  ArgMin: reductions.ArgMin,
  Softmax,
  LogSoftmax,
  Reshape,
  Flatten,
  Squeeze,
  Unsqueeze,
  Transpose,
  Expand,
  Tile,
  Concat,
  Slice,
  Pad,
  Resize,
  DepthToSpace,
  SpaceToDepth,
  Trilu,
  Gather,
  GatherElements,
  ScatterElements,
  ConstantOfShape,
  Range,
  Shape: Shape_,
  Size,
};

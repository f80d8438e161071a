import type { DType } from '../tensor.js';

export type None = Readonly<Record<never, never>>;

export interface ConvAttributes {
  readonly kernel_shape: readonly [number, number];
  readonly strides: readonly [number, number];
  /** Begin of each axis, then end of each axis: [top, left, bottom, right]. */
  readonly pads: readonly [number, number, number, number];
  readonly dilations: readonly [number, number];
  readonly group: number;
}

export interface ConvTransposeAttributes extends ConvAttributes {
  readonly output_padding: readonly [number, number];
}

export interface MaxPoolAttributes {
  readonly kernel_shape: readonly [number, number];
  readonly strides: readonly [number, number];
  readonly pads: readonly [number, number, number, number];
}

export interface ReduceAttributes {
  readonly keepdims: 0 | 1;
}

export interface AxisAttributes {
  readonly axis: number;
}

/**
 * Every operator of a graph with its attributes, by ONNX's names (opset 18). `StopGradient` and `StraightThrough` are
 * Whet's own: they steer the reverse walk and are erased before a graph is encoded.
 */
export interface OperatorAttributes {
  readonly Add: None;
  readonly Sub: None;
  readonly Mul: None;
  readonly Div: None;
  readonly Max: None;
  readonly Neg: None;
  readonly Sqrt: None;
  readonly Exp: None;
  readonly Log: None;
  readonly Relu: None;
  readonly Greater: None;
  readonly GreaterOrEqual: None;
  readonly Equal: None;
  readonly And: None;
  readonly Not: None;
  readonly Where: None;
  readonly Cast: { readonly to: DType };
  readonly MatMul: None;
  readonly Conv: ConvAttributes;
  readonly ConvTranspose: ConvTransposeAttributes;
  readonly MaxPool: MaxPoolAttributes;
  readonly ReduceSum: ReduceAttributes;
  readonly ReduceMean: ReduceAttributes;
  readonly ReduceMax: ReduceAttributes;
  readonly Softmax: AxisAttributes;
  readonly LogSoftmax: AxisAttributes;
  readonly Reshape: None;
  readonly Transpose: { readonly perm: readonly number[] };
  readonly Expand: None;
  readonly Concat: AxisAttributes;
  readonly Slice: None;
  readonly Pad: { readonly mode: 'constant' };
  readonly Gather: AxisAttributes;
  readonly GatherElements: AxisAttributes;
  readonly ScatterElements: AxisAttributes & { readonly reduction: 'none' | 'add' };
  readonly Shape: None;
  readonly Size: None;
  readonly StopGradient: None;
  readonly StraightThrough: None;
}

export type OperatorName = keyof OperatorAttributes;

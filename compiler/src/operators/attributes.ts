import type { DType, Tensor } from '../tensor.js';

export type None = Readonly<Record<never, never>>;

type Pair = readonly [number, number];
/** Begin of each image axis, then end of each: [top, left, bottom, right]. */
export type ImagePads = readonly [number, number, number, number];
type Flag = 0 | 1;

export interface ConvAttributes {
  readonly kernel_shape: Pair;
  readonly strides: Pair;
  readonly pads: ImagePads;
  readonly dilations: Pair;
  readonly group: number;
}

export interface ConvTransposeAttributes extends ConvAttributes {
  readonly output_padding: Pair;
}

export interface PoolAttributes {
  readonly kernel_shape: Pair;
  readonly strides: Pair;
  readonly pads: ImagePads;
  /** 1: a window that reaches past the far edge counts too. */
  readonly ceil_mode?: Flag;
}

export interface MaxPoolAttributes extends PoolAttributes {
  readonly dilations?: Pair;
}

export interface AveragePoolAttributes extends PoolAttributes {
  readonly count_include_pad?: Flag;
}

export interface GemmAttributes {
  readonly alpha?: number;
  readonly beta?: number;
  readonly transA?: Flag;
  readonly transB?: Flag;
}

export interface ReduceAttributes {
  readonly keepdims: Flag;
  readonly noop_with_empty_axes?: Flag;
}

export interface AxisAttributes {
  readonly axis: number;
}

export interface ArgAttributes extends AxisAttributes {
  readonly keepdims: Flag;
  readonly select_last_index?: Flag;
}

export interface ResizeAttributes {
  readonly mode?: 'nearest' | 'linear';
  readonly coordinate_transformation_mode?: 'half_pixel' | 'asymmetric' | 'align_corners' | 'pytorch_half_pixel';
  readonly nearest_mode?: 'round_prefer_floor' | 'round_prefer_ceil' | 'floor' | 'ceil';
}

/**
 * Every operator of a graph with its attributes, by ONNX's names (opset 18; `Gelu` and `GroupNormalization` are
 * younger). An attribute that may be left out has ONNX's default. Three are Whet's own (`own.ts`):
 * `StopGradient` and `StraightThrough` steer the reverse walk and are erased when a graph is lowered, of
 * `ConvWeightGradient` each lowering makes ONNX operators.
 */
export interface OperatorAttributes {
  readonly Add: None;
  readonly Sub: None;
  readonly Mul: None;
  readonly Div: None;
  readonly Pow: None;
  readonly Max: None;
  readonly Min: None;
  readonly Sum: None;
  readonly Mean: None;
  readonly Neg: None;
  readonly Abs: None;
  readonly Reciprocal: None;
  readonly Sqrt: None;
  readonly Exp: None;
  readonly Log: None;
  readonly Sin: None;
  readonly Cos: None;
  readonly Erf: None;
  readonly Sign: None;
  readonly Floor: None;
  readonly Ceil: None;
  readonly Round: None;
  readonly Relu: None;
  readonly LeakyRelu: { readonly alpha?: number };
  readonly PRelu: None;
  readonly Elu: { readonly alpha?: number };
  readonly Sigmoid: None;
  readonly HardSigmoid: { readonly alpha?: number; readonly beta?: number };
  readonly HardSwish: None;
  readonly Gelu: { readonly approximate?: 'none' | 'tanh' };
  readonly Softplus: None;
  readonly Tanh: None;
  readonly Clip: None;
  readonly Greater: None;
  readonly GreaterOrEqual: None;
  readonly Less: None;
  readonly LessOrEqual: None;
  readonly Equal: None;
  readonly And: None;
  readonly Or: None;
  readonly Xor: None;
  readonly Not: None;
  readonly Where: None;
  readonly Cast: { readonly to: DType };
  readonly Identity: None;
  readonly Dropout: None;
  readonly MatMul: None;
  readonly Gemm: GemmAttributes;
  readonly Einsum: { readonly equation: string };
  readonly Conv: ConvAttributes;
  readonly ConvTranspose: ConvTransposeAttributes;
  readonly ConvWeightGradient: ConvAttributes;
  readonly MaxPool: MaxPoolAttributes;
  readonly AveragePool: AveragePoolAttributes;
  readonly GlobalMaxPool: None;
  readonly GlobalAveragePool: None;
  readonly BatchNormalization: { readonly epsilon?: number };
  readonly InstanceNormalization: { readonly epsilon?: number };
  readonly LayerNormalization: { readonly axis?: number; readonly epsilon?: number };
  readonly GroupNormalization: { readonly num_groups: number; readonly epsilon?: number };
  readonly ReduceSum: ReduceAttributes;
  readonly ReduceMean: ReduceAttributes;
  readonly ReduceMax: ReduceAttributes;
  readonly ReduceMin: ReduceAttributes;
  readonly ReduceProd: ReduceAttributes;
  readonly ReduceL1: ReduceAttributes;
  readonly ReduceL2: ReduceAttributes;
  readonly ReduceSumSquare: ReduceAttributes;
  readonly ReduceLogSumExp: ReduceAttributes;
  readonly ArgMax: ArgAttributes;
  readonly ArgMin: ArgAttributes;
  readonly Softmax: AxisAttributes;
  readonly LogSoftmax: AxisAttributes;
  readonly Reshape: None;
  readonly Flatten: AxisAttributes;
  readonly Squeeze: None;
  readonly Unsqueeze: None;
  readonly Transpose: { readonly perm: readonly number[] };
  readonly Expand: None;
  readonly Tile: None;
  readonly Concat: AxisAttributes;
  readonly Slice: None;
  readonly Pad: { readonly mode: 'constant' | 'reflect' | 'edge' };
  readonly Resize: ResizeAttributes;
  readonly DepthToSpace: { readonly blocksize: number; readonly mode?: 'DCR' | 'CRD' };
  readonly SpaceToDepth: { readonly blocksize: number };
  readonly Trilu: { readonly upper?: Flag };
  readonly Gather: AxisAttributes;
  readonly GatherElements: AxisAttributes;
  readonly ScatterElements: AxisAttributes & { readonly reduction: 'none' | 'add' };
  readonly ConstantOfShape: { readonly value?: Tensor };
  readonly Range: None;
  readonly Shape: { readonly start?: number; readonly end?: number };
  readonly Size: None;
  readonly StopGradient: None;
  readonly StraightThrough: None;
}

export type OperatorName = keyof OperatorAttributes;

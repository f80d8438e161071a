// What onnx 1.23 says of its own operators (`onnx.defs.get_all_schemas_with_history`), from operator set 13 on. Where only types were added,
// an operator is as it was.

/** The operator sets of which this knows. */
export const KNOWN_OPSETS = { from: 13, to: 28 } as const;

/** Sets in which an operator began, or got inputs, outputs or attributes that make other nodes of it. */
const CHANGED: Readonly<Record<string, readonly number[]>> = {
  AffineGrid: [20],
  Attention: [23],
  BatchNormalization: [13, 14],
  Bernoulli: [15],
  BitCast: [26],
  BitwiseAnd: [18],
  BitwiseNot: [18],
  BitwiseOr: [18],
  BitwiseXor: [18],
  BlackmanWindow: [17],
  CastLike: [15],
  CausalConvWithState: [27],
  CenterCropPad: [18],
  Col2Im: [18],
  CumProd: [26],
  DFT: [17, 20],
  DeformConv: [19],
  Gelu: [20],
  GridSample: [16, 20],
  GroupNormalization: [18, 21],
  HammingWindow: [17],
  HannWindow: [17],
  HardSwish: [14],
  ImageDecoder: [20],
  LayerNormalization: [17],
  LinearAttention: [27],
  MelWeightMatrix: [17],
  Mish: [18],
  Optional: [15],
  OptionalGetElement: [15],
  OptionalHasElement: [15, 18],
  RMSNormalization: [23],
  ReduceL1: [13, 18],
  ReduceL2: [13, 18],
  ReduceLogSum: [13, 18],
  ReduceLogSumExp: [13, 18],
  ReduceMax: [13, 18],
  ReduceMean: [13, 18],
  ReduceMin: [13, 18],
  ReduceProd: [13, 18],
  ReduceSumSquare: [13, 18],
  RegexFullMatch: [20],
  RotaryEmbedding: [23],
  STFT: [17],
  SequenceMap: [17],
  StringConcat: [20],
  StringSplit: [20],
  SwiGLU: [28],
  Swish: [24],
  TensorScatter: [24],
  Trilu: [14],
};

/** Sets in which an operator got optional inputs or attributes, without which it is as before. */
const EXTENDED: Readonly<Record<string, readonly number[]>> = {
  Attention: [24, 25],
  AveragePool: [19],
  Cast: [19, 24],
  CastLike: [19, 24],
  DequantizeLinear: [21, 23],
  GRU: [14],
  LSTM: [14],
  LpPool: [18],
  Pad: [18],
  QuantizeLinear: [19, 21, 23],
  RNN: [14],
  Range: [27],
  Reshape: [14],
  Resize: [18],
  RoiAlign: [16],
  ScatterElements: [16],
  ScatterND: [16],
  Shape: [15],
  SpaceToDepth: [28],
  Split: [18],
};

/** Those that were there in 13 and did not change. */
const UNCHANGED: ReadonlySet<string> = new Set(
  `
  Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BitShift Cast Ceil Celu Clip Compress Concat ConcatFromSequence
  Constant ConstantOfShape Conv ConvInteger ConvTranspose Cos Cosh CumSum DepthToSpace DequantizeLinear Det Div Dropout
  DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather GatherElements GatherND Gemm GlobalAveragePool
  GlobalLpPool GlobalMaxPool Greater GreaterOrEqual HardSigmoid Hardmax Identity If InstanceNormalization IsInf IsNaN LRN LSTM LeakyRelu
  Less LessOrEqual Log LogSoftmax Loop LpNormalization LpPool MatMul MatMulInteger Max MaxPool MaxRoiPool MaxUnpool Mean
  MeanVarianceNormalization Min Mod Mul Multinomial Neg NegativeLogLikelihoodLoss NonMaxSuppression NonZero Not OneHot Or PRelu Pad Pow
  QLinearConv QLinearMatMul QuantizeLinear RNN RandomNormal RandomNormalLike RandomUniform RandomUniformLike Range Reciprocal ReduceSum
  Relu Reshape Resize ReverseSequence RoiAlign Round Scan Scatter ScatterElements ScatterND Selu SequenceAt SequenceConstruct
  SequenceEmpty SequenceErase SequenceInsert SequenceLength Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax SoftmaxCrossEntropyLoss
  Softplus Softsign SpaceToDepth Split SplitToSequence Sqrt Squeeze StringNormalizer Sub Sum Tan Tanh TfIdfVectorizer ThresholdedRelu Tile
  TopK Transpose Unique Unsqueeze Upsample Where Xor
`
    .trim()
    .split(/\s+/),
);

/** Why a node of one operator set may be another in a second: when its operator began or changed, or that nothing is known of it. */
export function differenceOf(operator: string, from: number, to: number): string | undefined {
  const changed = Object.hasOwn(CHANGED, operator) ? CHANGED[operator] : UNCHANGED.has(operator) ? [] : undefined;
  if (!changed) return 'of which nothing is known';
  const [first = KNOWN_OPSETS.from] = changed;
  if (to < first) return `which began in ${first}`;
  // A node may have what was added, which was not there before.
  const all = to < from && Object.hasOwn(EXTENDED, operator) ? [...changed, ...(EXTENDED[operator] ?? [])] : changed;
  const between = all.find((version) => version > Math.min(from, to) && version <= Math.max(from, to));
  return between === undefined ? undefined : `which changed in ${between}`;
}

import {
  float,
  float32s,
  floats,
  int64Proto,
  type TestModel,
  type TestNode,
  tensor,
} from '../../../compiler/src/onnx/models.test.helper.js';
import { attentionCases } from './read-attention-cases.js';
import { type Attributes, ofImage, one, type ReadCase, series } from './read-case.js';
import { quantizedCases } from './read-quantized-cases.js';
import { shapeCases } from './read-shape-cases.js';
import { windowCases } from './read-window-cases.js';

const scalarAxis = (axis: number) => ({ dims: [], dataType: 7, int64Data: [axis] });

const resize = (name: string, opset: number, inputs: string[], attributes: Attributes, initializers: object) =>
  one(
    name,
    opset,
    { op: 'Resize', inputs: ['x', ...inputs], attributes },
    {
      initializers: initializers as NonNullable<TestModel['initializers']>,
    },
  );
const scales = { scales: float32s([4], [1, 1, 2, 1.5]) };
const sizes = { sizes: int64Proto(2, 4, 10, 5) };

const values: ReadCase[] = [
  resize('nearest', 10, ['scales'], {}, scales),
  resize('linear', 10, ['scales'], { mode: 'linear' }, scales),
  resize('nearest', 13, ['', 'scales'], {}, scales),
  ...['half_pixel', 'asymmetric', 'align_corners', 'pytorch_half_pixel'].map((coordinate_transformation_mode) =>
    resize(
      `linear ${coordinate_transformation_mode}`,
      13,
      ['', '', 'sizes'],
      { mode: 'linear', coordinate_transformation_mode },
      sizes,
    ),
  ),
  ...['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'].map((nearest_mode) =>
    resize(nearest_mode, 13, ['', '', 'sizes'], { nearest_mode }, sizes),
  ),
  resize('of two axes', 18, ['', '', 'sizes'], { axes: [3, 2] }, { sizes: int64Proto(5, 10) }),
  one('', 9, { op: 'Upsample', attributes: { mode: 'nearest' } }, { initializers: scales }),
  one('by attribute', 7, { op: 'Upsample', attributes: { scales: floats([1, 1, 2, 2]) } }),
  ...['Softmax', 'LogSoftmax'].flatMap((op) => [
    one('by default', 11, { op }),
    one('at 2', 11, { op, attributes: { axis: 2 } }),
    one('at the last', 11, { op, attributes: { axis: -1 } }),
    one('by default', 13, { op }),
    one('at 1', 13, { op, attributes: { axis: 1 } }),
  ]),
  ...[
    'ReduceSum',
    'ReduceMean',
    'ReduceMax',
    'ReduceMin',
    'ReduceProd',
    'ReduceL1',
    'ReduceL2',
    'ReduceSumSquare',
  ].flatMap((op) => [
    one('by attribute', 11, { op, attributes: { axes: [-1, 1], keepdims: 0 } }),
    one('of everything', 11, { op, attributes: { keepdims: 0 } }),
    one('by input', 18, { op }, { initializers: { axes: int64Proto(2, -1) } }),
    one('of nothing', 18, { op, attributes: { noop_with_empty_axes: 1 } }),
  ]),
  one('', 13, { op: 'ReduceSum', attributes: { keepdims: 0 } }, { initializers: { axes: int64Proto(2) } }),
  ...['ArgMax', 'ArgMin'].map((op) => one('', 13, { op, attributes: { axis: 1, keepdims: 0 } }, { outputType: 7 })),
  ...['Max', 'Min', 'Sum', 'Mean'].map((op) =>
    one('of three', 13, { op }, { until: 'Min', initializers: { a: series([7, 1]), b: series([4, 7, 9]) } }),
  ),
  one('of one', 13, { op: 'Mean' }),
  one('by attributes', 6 + 1, { op: 'Clip', attributes: { min: float(-0.5), max: float(0.25) } }),
  one('by attributes, one', 9, { op: 'Clip', attributes: { max: float(0.25) } }),
  one('by inputs', 13, { op: 'Clip', inputs: ['x', '', 'max'] }, { initializers: { max: float32s([], [0.25]) } }),
  one('by nothing', 13, { op: 'Clip' }),
  one(
    '',
    9,
    { op: 'BatchNormalization', attributes: { epsilon: float(1e-3), momentum: float(0.9) } },
    {
      initializers: { s: series([4]), b: series([4]), m: series([4]), v: float32s([4], [0.5, 1, 2, 3]) },
    },
  ),
  one('', 13, { op: 'InstanceNormalization' }, { initializers: { s: series([4]), b: series([4]) } }),
  one(
    '',
    17,
    { op: 'LayerNormalization', attributes: { axis: 2 } },
    { initializers: { s: series([7, 9]), b: series([7, 9]) } },
  ),
  one('without bias', 17, { op: 'LayerNormalization' }, { initializers: { s: series([9]) } }),
  one(
    'by group',
    18,
    { op: 'GroupNormalization', attributes: { num_groups: 2 } },
    { initializers: { s: series([2]), b: series([2]) } },
  ),
  one(
    'by channel',
    21,
    { op: 'GroupNormalization', attributes: { num_groups: 2, epsilon: float(1e-3) } },
    { initializers: { s: series([4]), b: series([4]) } },
  ),
  one('', 11, { op: 'LpNormalization' }),
  one('of the first power', 11, { op: 'LpNormalization', attributes: { p: 1, axis: 1 } }),
  ...[1, 3, 5, 9].map((size) => one(`of ${size}`, 13, { op: 'LRN', attributes: { size } })),
  one('with numbers', 13, {
    op: 'LRN',
    attributes: { size: 3, alpha: float(0.5), beta: float(0.6), bias: float(2) },
  }),
  ...[0, 1].flatMap((reverse) =>
    [0, 1].map((exclusive) =>
      one(
        `reverse ${reverse}, exclusive ${exclusive}`,
        14,
        { op: 'CumSum', attributes: { reverse, exclusive } },
        { initializers: { axis: scalarAxis(reverse ? -1 : 2) } },
      ),
    ),
  ),
  one(
    'exclusive, of one',
    14,
    { op: 'CumSum', attributes: { exclusive: 1 } },
    { inputs: { x: [2, 1] }, initializers: { axis: scalarAxis(1) } },
  ),
  one('by default', 10, { op: 'ThresholdedRelu' }),
  one('from below 0', 22, { op: 'ThresholdedRelu', attributes: { alpha: float(-0.25) } }),
  one('', 24, { op: 'Swish' }),
  one('with a slope', 24, { op: 'Swish', attributes: { alpha: float(1.7) } }),
  one('', 23, { op: 'RMSNormalization' }, { initializers: { s: series([9]) } }),
  one(
    'of two axes',
    23,
    { op: 'RMSNormalization', attributes: { axis: 2, epsilon: float(1e-2) } },
    { initializers: { s: series([7, 9]) } },
  ),
  one('', 18, { op: 'Mish' }),
  one('', 13, { op: 'Softsign' }),
  one('', 13, { op: 'Selu' }),
  one('with numbers', 13, { op: 'Selu', attributes: { alpha: float(1.5), gamma: float(0.5) } }),
  one('', 13, { op: 'Celu', attributes: { alpha: float(2) } }),
  one(
    '',
    13,
    { op: 'ReduceLogSum', inputs: ['e'], attributes: { axes: [1, 3], keepdims: 0 } },
    {
      nodes: [
        { op: 'Exp', outputs: ['e'] },
        { op: 'ReduceLogSum', inputs: ['e'], attributes: { axes: [1, 3], keepdims: 0 } },
      ],
    },
  ),
  one('', 20, { op: 'Gelu' }),
  one('by tanh', 20, { op: 'Gelu', attributes: { approximate: 'tanh' } }),
  ...[
    'HardSigmoid',
    'HardSwish',
    'LeakyRelu',
    'Elu',
    'Softplus',
    'Erf',
    'Sigmoid',
    'Tanh',
    'Abs',
    'Neg',
    'Exp',
    'Floor',
  ].map((op) => one('by default', 14, { op })),
  one('', 13, { op: 'PRelu' }, { initializers: { slope: series([4, 1, 1]) } }),
  one(
    'transposed',
    13,
    { op: 'Gemm', attributes: { transA: 1, transB: 1, alpha: float(0.5), beta: float(2) } },
    {
      inputs: { x: [3, 2] },
      initializers: { w: series([4, 3]), b: series([4]) },
    },
  ),
  one('without bias', 11, { op: 'Gemm' }, { inputs: { x: [2, 3] }, initializers: { w: series([3, 4]) } }),
  one('of a row', 13, { op: 'MatMul' }, { inputs: { x: [3] }, initializers: { w: series([2, 3, 4]) } }),
  one('of a column', 13, { op: 'MatMul' }, { inputs: { x: [2, 4, 3] }, initializers: { w: series([3]) } }),
  one('of vectors', 13, { op: 'MatMul' }, { inputs: { x: [3] }, initializers: { w: series([3]) } }),
  one(
    '',
    13,
    { op: 'Einsum', attributes: { equation: 'b i, i j -> b j' } },
    { inputs: { x: [2, 3] }, initializers: { w: series([3, 4]) } },
  ),
];

const chains: ReadCase[] = [
  {
    name: 'Dropout with a ratio, and Identity',
    opset: 11,
    inputs: ofImage,
    nodes: [
      { op: 'Dropout', outputs: ['a'], attributes: { ratio: float(0.5) } },
      { op: 'Identity', inputs: ['a'], outputs: ['b'] },
      { op: 'Neg', inputs: ['b'] },
    ],
  },
  {
    name: 'constants of every kind',
    opset: 13,
    inputs: ofImage,
    nodes: [
      { op: 'Constant', inputs: [], outputs: ['a'], attributes: { value_floats: floats([1, 2, 3, 4, 5, 6, 7, 8, 9]) } },
      { op: 'Constant', inputs: [], outputs: ['b'], attributes: { value: tensor(series([1])) } },
      { op: 'Constant', inputs: [], outputs: ['c'], attributes: { value_float: float(2.5) } },
      { op: 'Constant', inputs: [], outputs: ['d'], attributes: { value_int: 2 } },
      { op: 'Cast', inputs: ['d'], outputs: ['e'], attributes: { to: 1 } },
      { op: 'Constant', inputs: [], outputs: ['s'], attributes: { value_ints: [2, 1, 1, 1] } },
      { op: 'ConstantOfShape', inputs: ['s'], outputs: ['f'], attributes: { value: tensor(float32s([1], [3])) } },
      { op: 'Add', inputs: ['x', 'a'], outputs: ['1'] },
      { op: 'Mul', inputs: ['1', 'b'], outputs: ['2'] },
      { op: 'Sub', inputs: ['2', 'c'], outputs: ['3'] },
      { op: 'Mul', inputs: ['3', 'e'], outputs: ['4'] },
      { op: 'Add', inputs: ['4', 'f'] },
    ],
  },
  {
    name: 'a constant that is repeated for every image',
    opset: 13,
    inputs: { x: ['N', 3, 4] },
    nodes: [
      { op: 'Shape', outputs: ['s'] },
      { op: 'Gather', inputs: ['s', 'first'], outputs: ['n'], attributes: { axis: 0 } },
      { op: 'Concat', inputs: ['n', 'three', 'one'], outputs: ['repeats'], attributes: { axis: 0 } },
      { op: 'Tile', inputs: ['c', 'repeats'], outputs: ['t'] },
      { op: 'Add', inputs: ['x', 't'] },
    ],
    initializers: { first: int64Proto(0), three: int64Proto(3), one: int64Proto(1), c: series([1, 1, 4]) },
  },
  {
    name: 'a shuffle of channels, as ShuffleNet has it',
    opset: 13,
    inputs: { x: ['N', 4, 3, 5] },
    nodes: [
      { op: 'Shape', outputs: ['s'] },
      ...[0, 1, 2, 3].flatMap((axis): TestNode[] => [
        {
          op: 'Constant',
          inputs: [],
          outputs: [`i${axis}`],
          attributes: { value: tensor({ dims: [], dataType: 7, int64Data: [axis] }) },
        },
        { op: 'Gather', inputs: ['s', `i${axis}`], outputs: [`d${axis}`], attributes: { axis: 0 } },
        { op: 'Unsqueeze', inputs: [`d${axis}`, 'zero'], outputs: [`u${axis}`] },
      ]),
      { op: 'Div', inputs: ['u1', 'two'], outputs: ['half'] },
      { op: 'Concat', inputs: ['u0', 'two', 'half', 'u2', 'u3'], outputs: ['split'], attributes: { axis: 0 } },
      { op: 'Reshape', inputs: ['x', 'split'], outputs: ['a'] },
      { op: 'Transpose', inputs: ['a'], outputs: ['b'], attributes: { perm: [0, 2, 1, 3, 4] } },
      { op: 'Concat', inputs: ['u0', 'minus', 'u2', 'u3'], outputs: ['join'], attributes: { axis: 0 } },
      { op: 'Reshape', inputs: ['b', 'join'] },
    ],
    initializers: { zero: int64Proto(0), two: int64Proto(2), minus: int64Proto(-1) },
  },
  {
    name: 'half precision',
    opset: 13,
    inputs: ofImage,
    initializers: {
      w: { dims: [9], dataType: 10, int32Data: [0x3c00, 0xc100, 1, 0, 0x7bff, 0x8001, 0x3555, 0x4248, 2] },
    },
    nodes: [
      { op: 'Cast', inputs: ['w'], outputs: ['v'], attributes: { to: 1 } },
      { op: 'Mul', inputs: ['x', 'v'] },
    ],
  },
];

/** Small models, of the operator set in which each form of a node was current. */
export const onnxCases: readonly ReadCase[] = [
  ...windowCases,
  ...shapeCases,
  ...values,
  ...attentionCases,
  ...quantizedCases,
  ...chains,
];

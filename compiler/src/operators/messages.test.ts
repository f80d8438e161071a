import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../builder.js';
import { GraphError, type Value } from '../graph.js';
import { type DType, int64s, makeTensor, type Shape } from '../tensor.js';
import type { OperatorName } from './attributes.js';

const typed = (dtype: DType, ...shape: Shape) => ({ dtype, shape });
const ints = (...values: number[]) => int64s(values);
const images: Shape = ['N', 4, 6, 6];
const convolution = { kernel_shape: [3, 3], strides: [1, 1], dilations: [1, 1], group: 1, pads: [0, 0, 0, 0] };
const pool = { kernel_shape: [3, 3], strides: [1, 1], pads: [0, 0, 0, 0] };

type Operand = Shape | ReturnType<typeof typed> | ReturnType<typeof int64s> | undefined;

function applied(op: string, operands: readonly Operand[], attributes: object): string {
  const g = new GraphBuilder();
  const inputs = operands.map((operand, i): Value | undefined => {
    if (operand === undefined) return undefined;
    if (!('dtype' in operand)) return g.input(`x${i}`, operand);
    return 'data' in operand ? g.constant(operand, `x${i}`) : g.input(`x${i}`, operand.shape, operand.dtype);
  });
  try {
    g.apply(op as OperatorName, inputs, attributes as never, 'node');
  } catch (error) {
    expect(error).toBeInstanceOf(GraphError);
    return (error as Error).message;
  }
  return expect.fail('was built');
}

/** What an operator does not take: each reason once. */
const rows: readonly (readonly [message: string, op: string, operands: readonly Operand[], attributes?: object])[] = [
  ['expected operands of one dtype, got float32 and int64', 'Add', [[2], typed('int64', 2)]],
  ['shapes [2] and [3] do not broadcast', 'Add', [[2], [3]]],
  ['input 1 is missing', 'Add', [[2], undefined]],
  ['expected a condition of dtype bool, got float32', 'Where', [[2], [2], [2]]],
  ['expected branches of one dtype, got float32 and int64', 'Where', [typed('bool', 2), [2], typed('int64', 2)]],
  ['expected limit "x1" to be a scalar, got [2]', 'Clip', [[2], [2]]],
  ['expected training_mode to be the constant false, got "x2"', 'Dropout', [[2], undefined, typed('bool')]],
  ['axis 2 is outside a value of rank 2', 'Softmax', [[2, 2]], { axis: 2 }],
  ['3 channels do not divide into blocks of 2x2', 'DepthToSpace', [['N', 3, 2, 2]], { blocksize: 2, mode: 'DCR' }],
  [
    'expected one dtype, got float32 and float64',
    'ConvWeightGradient',
    [images, typed('float64', 'N', 4, 4, 4)],
    convolution,
  ],
  ['batches of N and M differ', 'ConvWeightGradient', [images, ['M', 4, 4, 4]], convolution],
  [
    '4 and 3 channels are not divisible by 2 groups',
    'ConvWeightGradient',
    [images, ['N', 3, 4, 4]],
    { ...convolution, group: 2 },
  ],
  ['expected a cotangent of size 4 along axis 2, got 5', 'ConvWeightGradient', [images, ['N', 3, 5, 4]], convolution],
  [
    'kernel of 9 does not fit an image size of 6',
    'Conv',
    [images, [4, 4, 9, 9]],
    { ...convolution, kernel_shape: [9, 9] },
  ],
  ['weight has 3 input channels, input has 4', 'Conv', [images, [4, 3, 3, 3]], convolution],
  ['3 output channels are not divisible by 2 groups', 'Conv', [images, [3, 2, 3, 3]], { ...convolution, group: 2 }],
  ['weight has kernel 5x5, attribute kernel_shape says 3x3', 'Conv', [images, [4, 4, 5, 5]], convolution],
  ['bias has shape [3], output has 4 channels', 'Conv', [images, [4, 4, 3, 3], [3]], convolution],
  [
    'expected an image batch [N, C, H, W] of rank 4, got rank 2',
    'Conv',
    [
      ['N', 4],
      [4, 4, 3, 3],
    ],
    convolution,
  ],
  ['"ij,jk->ik" has 2 operands, got 1', 'Einsum', [[2, 2]], { equation: 'ij,jk->ik' }],
  ['does not label 1 axes', 'Einsum', [[2], [2, 2]], { equation: 'ij,jk->ik' }],
  [
    'label j is both 2 and 3',
    'Einsum',
    [
      [2, 2],
      [3, 2],
    ],
    { equation: 'ij,jk->ik' },
  ],
  [
    'no operand has the output label z',
    'Einsum',
    [
      [2, 2],
      [2, 2],
    ],
    { equation: 'ij,jk->iz' },
  ],
  [
    'an ellipsis stands for different numbers of axes',
    'Einsum',
    [
      [2, 2],
      [2, 2, 2],
    ],
    { equation: '...i,...i->...' },
  ],
  ['expected 2 repeats for [2, 2], got 1', 'Tile', [[2, 2], ints(2)]],
  ['expected a rank of 2 or more, got [2]', 'Trilu', [[2]], { upper: 1 }],
  [
    'left operand has 3 columns, right operand has 4 rows',
    'Gemm',
    [
      [2, 3],
      [4, 2],
    ],
  ],
  ['bias of shape [3] does not broadcast to [2, 2]', 'Gemm', [[2, 3], [3, 2], [3]]],
  ['expected indices of rank 2 as the value, got rank 1', 'GatherElements', [[2, 2], typed('int64', 2)], { axis: 0 }],
  [
    'expected updates of the shape of the indices, [2], got [3]',
    'ScatterElements',
    [[4], typed('int64', 2), [3]],
    { axis: 0, reduction: 'none' },
  ],
  ['expected operands of rank 2 or more, got [2] and [2, 2]', 'MatMul', [[2], [2, 2]]],
  [
    'leading axes of [2, 3, 3] and [4, 3, 3] do not broadcast',
    'MatMul',
    [
      [2, 3, 3],
      [4, 3, 3],
    ],
  ],
  ['expected an input [N, C, ...], got [4]', 'BatchNormalization', [[4], [4], [4], [4], [4]]],
  ['input 1 has shape [3], input has 4 channels', 'BatchNormalization', [images, [3], [4], [4], [4]]],
  ['4 channels do not divide into 3 groups', 'GroupNormalization', [images, [4], [4]], { num_groups: 3 }],
  ['[5] does not broadcast to [N, 4, 6, 6]', 'LayerNormalization', [images, [5]], { axis: -1 }],
  ['mode "own" is not supported (supported: constant', 'Pad', [[2], ints(1, 1)], { mode: 'own' }],
  ['expected 2 pads, got 1', 'Pad', [[2], ints(1)], { mode: 'constant' }],
  ['expected pads of 0 or more, got [-1, 0]', 'Pad', [[2], ints(-1, 0)], { mode: 'constant' }],
  ['cannot reflect 3 of axis 0, which has size 2', 'Pad', [[2], ints(3, 0)], { mode: 'reflect' }],
  ['window of 9 does not fit an image size of 6', 'MaxPool', [images], { ...pool, kernel_shape: [9, 9] }],
  [
    'expected a known image size for ceil_mode, got the symbol H',
    'MaxPool',
    [['N', 4, 'H', 6]],
    { ...pool, ceil_mode: 1 },
  ],
  ['expected an input [N, C, ...] of rank 3 or more, got rank 2', 'GlobalAveragePool', [['N', 4]]],
  ['expected numbers, got bool', 'ReduceSum', [typed('bool', 2)], { keepdims: 0 }],
  ['target dimension 1 copies an axis that [4] lacks', 'Reshape', [[4], ints(4, 0)]],
  ['[-1, -1] leaves two dimensions open', 'Reshape', [[4], ints(-1, -1)]],
  ['cannot reshape [4, 2] to [4]', 'Reshape', [[4, 2], ints(0)]],
  ['[4] does not divide into [3', 'Reshape', [[4], ints(3, -1)]],
  ['axis 0 of [4] is not 1', 'Squeeze', [[4], ints(0)]],
  ['axes [0, 0] name one twice', 'Unsqueeze', [[4], ints(0, 0)]],
  ['perm [0, 0] does not permute 2 axes', 'Transpose', [[2, 2]], { perm: [0, 0] }],
  ['[4] does not expand to [3]', 'Expand', [[4], ints(3)]],
  ['expected scales or sizes, got neither', 'Resize', [[4]]],
  ['expected 1 scales or sizes, one an axis, got 2', 'Resize', [[4], undefined, makeTensor([2], [1, 1])]],
  [
    'align_corners with a scale of 1.5, which makes 5 a size that is not whole',
    'Resize',
    [[5], undefined, makeTensor([1], [1.5])],
    { coordinate_transformation_mode: 'align_corners' },
  ],
  ['cannot scale the symbol N by 1.5', 'Resize', [['N'], undefined, makeTensor([1], [1.5])]],
  [
    'input 1 of shape [2, 3] does not fit [2, 2]',
    'Concat',
    [
      [2, 2],
      [2, 3],
    ],
    { axis: 0 },
  ],
  ['expected a step other than 0 along axis 0', 'Slice', [[4], ints(0), ints(2), ints(0), ints(0)]],
];

describe('an operator says what it does not take', () => {
  for (const [message, op, operands, attributes = {}] of rows) {
    it(message, () => {
      const said = applied(op, operands, attributes);
      expect(said).toContain(`${op} "node" on `);
      expect(said).toContain(message);
    });
  }
});

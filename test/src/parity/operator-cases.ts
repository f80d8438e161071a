import type { GraphBuilder, OperatorAttributes, OperatorName, Value } from '@whet/compiler';
import { int64s, makeTensor, slice } from '@whet/compiler';

/** A function of some inputs whose gradients are checked; the leading axis of the inputs in `batch` is symbolic. */
export interface GradientCase {
  readonly name: string;
  readonly shapes: readonly (readonly number[])[];
  readonly build: (g: GraphBuilder, inputs: readonly Value[]) => Value;
  readonly batch: readonly number[];
  /** Values lie in (0.5, 1.5), not in (-1, 1). */
  readonly positive?: boolean;
}

type Build = GradientCase['build'];
type Options = Partial<Pick<GradientCase, 'batch' | 'positive'>>;

const make = (name: string, shapes: number[][], build: Build, options: Options = {}): GradientCase => ({
  name,
  shapes,
  build,
  batch: [0],
  ...options,
});

/** One operator applied to the inputs, then to constant integer operands. */
function single<K extends OperatorName>(
  op: K,
  attributes: OperatorAttributes[K],
  shapes: number[][],
  integers: (readonly number[] | undefined)[] = [],
  options: Options & { readonly label?: string } = {},
): GradientCase {
  const { label, ...rest } = options;
  const build: Build = (g, inputs) =>
    g.apply(op, [...inputs, ...integers.map((list) => list && g.constant(int64s(list)))], attributes);
  return make(`${op}${label ? ` ${label}` : ''}`, shapes, build, rest);
}

/** `values * factor`, to reach the flat parts of an activation. */
const stretched = <K extends OperatorName>(op: K, attributes: OperatorAttributes[K], factor: number) =>
  make(`${op} ${JSON.stringify(attributes)}`, [[3, 7]], (g, [x]) =>
    g.apply(op, [g.apply('Mul', [x, g.scalar(factor)], {})], attributes),
  );

const elementwise: GradientCase[] = [
  ...(['Abs', 'Sin', 'Cos', 'Erf', 'Softplus', 'Sigmoid', 'Tanh', 'HardSwish'] as const).map((op) =>
    stretched(op, {}, 4),
  ),
  stretched('LeakyRelu', { alpha: 0.2 }, 2),
  stretched('Elu', { alpha: 0.7 }, 2),
  stretched('HardSigmoid', {}, 4),
  stretched('Gelu', {}, 2),
  stretched('Gelu', { approximate: 'tanh' }, 2),
  single('Identity', {}, [[2, 3]]),
  single('Dropout', {}, [[2, 3]]),
  single('Reciprocal', {}, [[2, 3]], [], { positive: true }),
  single('PRelu', {}, [
    [2, 3, 4],
    [3, 1],
  ]),
  make('Pow with a tensor exponent', [[2, 3], [3]], (g, inputs) => g.apply('Pow', inputs, {}), { positive: true }),
  make('Pow with an integer exponent', [[2, 3]], (g, [x]) =>
    g.apply('Pow', [x, g.constant(makeTensor([3], [0, 1, 3], 'int64'))], {}),
  ),
  make('Pow with a square', [[2, 3]], (g, [x]) => g.apply('Pow', [x, g.scalar(2)], {})),
  make('Clip to limits that move', [[4, 5], [], []], (g, [x, low, high]) =>
    g.apply('Clip', [x, g.apply('Sub', [low, g.scalar(1)], {}), g.apply('Mul', [high, g.scalar(0.5)], {})], {}),
  ),
  make('Clip to an upper limit', [[4, 5]], (g, [x]) => g.apply('Clip', [x, undefined, g.scalar(0.25)], {})),
  ...(['Max', 'Min', 'Sum', 'Mean'] as const).map((op) => single(op, {}, [[2, 3], [3], [2, 1]], [], { batch: [] })),
  make('Cast to double and back', [[2, 3]], (g, [x]) => {
    const wide = g.apply('Cast', [x], { to: 'float64' });
    return g.apply('Cast', [g.apply('Mul', [wide, wide], {})], { to: 'float32' });
  }),
];

const kept = { keepdims: 1 } as const;
const dropped = { keepdims: 0 } as const;

const reductions: GradientCase[] = [
  ...(
    ['ReduceMin', 'ReduceMax', 'ReduceProd', 'ReduceL1', 'ReduceL2', 'ReduceSumSquare', 'ReduceLogSumExp'] as const
  ).flatMap((op) => [
    single(op, kept, [[3, 4, 2]], [[1, 2]], { positive: op === 'ReduceProd', label: 'inside' }),
    single(op, dropped, [[3, 4, 2]], [[0]], { positive: op === 'ReduceProd', label: 'over the batch' }),
  ]),
  single('ReduceMean', dropped, [[3, 4]], [[0]], { label: 'over the batch' }),
  single('ReduceSum', { keepdims: 1, noop_with_empty_axes: 1 }, [[3, 4]], [[]], { label: 'of nothing' }),
  single('ReduceSum', kept, [[3, 4]], [[]], { label: 'of everything' }),
];

const pool = { kernel_shape: [3, 2], strides: [2, 2], pads: [1, 0, 1, 1] } as const;
const image = [2, 3, 7, 6];
const conv = { kernel_shape: [3, 3], strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], group: 1 } as const;

const images: GradientCase[] = [
  single('AveragePool', pool, [image]),
  single('AveragePool', { ...pool, count_include_pad: 1 }, [image], [], { label: 'counting pads' }),
  single('AveragePool', { ...pool, pads: [0, 0, 0, 0], ceil_mode: 1 }, [[2, 1, 6, 5]], [], { label: 'rounding up' }),
  single('MaxPool', { ...pool, pads: [0, 0, 0, 0], ceil_mode: 1 }, [[2, 1, 6, 5]], [], { label: 'rounding up' }),
  single('MaxPool', { ...pool, dilations: [2, 1] }, [image], [], { label: 'dilated' }),
  single('MaxPool', { kernel_shape: [2, 3], strides: [2, 3], pads: [0, 0, 0, 0] }, [[2, 3, 7, 7]], [], {
    label: 'in windows that touch',
  }),
  single(
    'ConvWeightGradient',
    { ...conv, pads: [1, 0, 1, 1], strides: [2, 1] },
    [
      [2, 2, 6, 5],
      [2, 3, 3, 4],
    ],
    [],
    { batch: [0, 1] },
  ),
  single(
    'ConvWeightGradient',
    { ...conv, group: 2, dilations: [1, 2] },
    [
      [2, 4, 5, 7],
      [2, 2, 3, 3],
    ],
    [],
    { batch: [0, 1], label: 'in groups' },
  ),
  single('GlobalMaxPool', {}, [image]),
  single('GlobalAveragePool', {}, [image]),
  single('DepthToSpace', { blocksize: 2 }, [[2, 8, 2, 3]]),
  single('DepthToSpace', { blocksize: 2, mode: 'CRD' }, [[2, 8, 2, 3]], [], { label: 'CRD' }),
  single('SpaceToDepth', { blocksize: 2 }, [[2, 3, 4, 6]]),
  ...(['half_pixel', 'asymmetric', 'align_corners', 'pytorch_half_pixel'] as const).map((placed) =>
    make(`Resize linear, ${placed}`, [[2, 2, 3, 4]], (g, [x]) =>
      g.apply('Resize', [x, undefined, g.constant(makeTensor([4], [1, 1, 2, 1.5]))], {
        mode: 'linear',
        coordinate_transformation_mode: placed,
      }),
    ),
  ),
  make(
    'Resize nearest to a size',
    [[2, 2, 3, 4]],
    (g, [x]) =>
      g.apply('Resize', [x, undefined, undefined, g.constant(int64s([2, 2, 6, 3]))], {
        mode: 'nearest',
        coordinate_transformation_mode: 'asymmetric',
        nearest_mode: 'floor',
      }),
    { batch: [] },
  ),
  ...(['reflect', 'edge'] as const).map((mode) =>
    single('Pad', { mode }, [[2, 2, 4, 5]], [[0, 0, 2, 1, 0, 0, 3, 2]], { label: mode }),
  ),
  make('Pad of one axis', [[2, 3, 4]], (g, [x]) =>
    g.apply('Pad', [x, g.constant(int64s([1, 2])), g.scalar(0.5), g.constant(int64s([-1]))], { mode: 'constant' }),
  ),
];

const normalizations: GradientCase[] = [
  single(
    'LayerNormalization',
    { axis: -2 },
    [
      [2, 3, 4],
      [3, 4],
    ],
    [],
    { label: 'without a bias' },
  ),
  single('LayerNormalization', { epsilon: 0.01 }, [[2, 3, 4], [4], [4]]),
  single('InstanceNormalization', { epsilon: 0.01 }, [[2, 3, 4, 2], [3], [3]]),
  single('GroupNormalization', { num_groups: 2, epsilon: 0.01 }, [[2, 4, 3, 2], [4], [4]]),
  single('BatchNormalization', { epsilon: 0.01 }, [[2, 3, 4, 2], [3], [3], [3], [3]], [], { positive: true }),
];

const products: GradientCase[] = [
  single('Gemm', { alpha: 0.5, beta: 2 }, [[2, 3], [3, 4], [4]]),
  single(
    'Gemm',
    { transA: 1, transB: 1 },
    [
      [3, 2],
      [4, 3],
      [1, 4],
    ],
    [],
    { batch: [], label: 'transposed' },
  ),
  single(
    'Gemm',
    { transB: 1 },
    [
      [2, 3],
      [4, 3],
    ],
    [],
    { label: 'without a bias' },
  ),
  single(
    'Gemm',
    { transA: 1 },
    [
      [3, 2],
      [3, 4],
    ],
    [],
    { batch: [0, 1], label: 'over the batch' },
  ),
  ...[
    ['bhid,bhjd->bhij', [2, 2, 3, 4], [2, 2, 5, 4]],
    ['bhij,bhjd->bihd', [2, 2, 3, 5], [2, 2, 5, 4]],
    ['...ij,...jk->...ik', [2, 3, 2, 4], [2, 1, 4, 2]],
    ['bij,b->j', [2, 3, 4], [2]],
    ['bij,jk', [2, 3, 4], [4, 2]],
  ].map(([equation, a, b]) => {
    const shapes = [a, b] as number[][];
    const batch = shapes[1]?.length === shapes[0]?.length || shapes[1]?.length === 1 ? [0, 1] : [0];
    return single('Einsum', { equation: equation as string }, shapes, [], { batch, label: equation as string });
  }),
];

const shapes: GradientCase[] = [
  single('Flatten', { axis: 1 }, [[2, 3, 4]]),
  single('Flatten', { axis: -1 }, [[2, 3, 4]], [], { label: 'the last' }),
  single('Flatten', { axis: 0 }, [[2, 3, 4]], [], { label: 'to a row' }),
  single('Squeeze', {}, [[2, 1, 3, 1]], [[1, -1]]),
  single('Unsqueeze', {}, [[2, 3]], [[0, -1]]),
  single('Tile', {}, [[2, 3]], [[1, 3]]),
  single('Tile', {}, [[2, 3]], [[2, 2]], { batch: [], label: 'along all' }),
  single(
    'Slice',
    {},
    [[2, 7, 5]],
    [
      [-1, 4],
      [-8, 0],
      [1, 2],
      [-2, -1],
    ],
    { label: 'backwards' },
  ),
  single(
    'Slice',
    {},
    [[2, 7]],
    [
      [0, 1],
      [2 ** 31 - 1, -1],
    ],
    { label: 'with the whole batch' },
  ),
  single('Slice', {}, [[2, 7]], [[-1], [-(2 ** 31)], [0], [-1]], { label: 'with the batch reversed' }),
  single('Trilu', { upper: 0 }, [[2, 4, 4]]),
  make('Gather of one position', [[2, 5, 3]], (g, [x]) =>
    g.apply('Gather', [x, g.constant({ dtype: 'int64', shape: [], data: Float64Array.of(-2) })], { axis: 1 }),
  ),
  make('Gather of a table of positions', [[2, 5, 3]], (g, [x]) =>
    g.apply('Gather', [x, g.constant(makeTensor([2, 3], [-1, 0, 2, 2, 1, -5], 'int64'))], { axis: 1 }),
  ),
  make(
    'GatherElements',
    [[2, 5]],
    (g, [x]) =>
      g.apply('GatherElements', [x, g.constant(makeTensor([2, 3], [4, 0, 4, 1, -1, 2], 'int64'))], { axis: 1 }),
    { batch: [] },
  ),
  ...(['none', 'add'] as const).map((reduction) =>
    make(
      `ScatterElements, ${reduction}`,
      [[5], [3]],
      (g, [x, updates]) => {
        const at = g.constant(makeTensor([3], [4, 0, 2], 'int64'));
        return g.apply('ScatterElements', [x, at, updates], { axis: 0, reduction });
      },
      { batch: [] },
    ),
  ),
  make('Concat of what Slice took', [[2, 5]], (g, [x]) =>
    g.apply('Concat', [slice(g, x as Value, [1], [3], [5]), slice(g, x as Value, [1], [0], [3])], { axis: -1 }),
  ),
  make('heads split off by a shape that is computed', [[2, 3, 8]], (g, [x]) => {
    const scalar = (at: number) => g.constant({ dtype: 'int64', shape: [], data: Float64Array.of(at) });
    const dim = (at: number) => {
      const size = g.apply('Gather', [g.apply('Shape', [x], {}), scalar(at)], { axis: 0 });
      return g.apply('Unsqueeze', [size, g.constant(int64s([0]))], {});
    };
    const width = g.apply('Div', [dim(2), g.constant(int64s([4]))], {});
    const target = g.apply('Concat', [dim(0), dim(1), g.constant(int64s([4])), width], { axis: 0 });
    return g.apply('Transpose', [g.apply('Reshape', [x, target], {})], { perm: [0, 2, 1, 3] });
  }),
  make('a constant of a computed shape', [[2, 3]], (g, [x]) => {
    const value = makeTensor([1], [0.5]);
    return g.apply('Mul', [x, g.apply('ConstantOfShape', [g.apply('Shape', [x], {})], { value })], {});
  }),
];

export const gradientCases = [...elementwise, ...reductions, ...images, ...normalizations, ...products, ...shapes];

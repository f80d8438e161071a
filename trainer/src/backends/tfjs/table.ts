import type { DType, OperatorAttributes, OperatorName } from '@whet/compiler';
import * as convolution from './convolution.js';
import * as pooling from './pooling.js';
import {
  type Call,
  expand,
  operand,
  type RuleOf,
  reshapeTo,
  type Tf,
  type TfRule,
  type TfTensor,
  toFloat,
} from './rule.js';
import * as shaping from './shaping.js';

/** The operators of training graphs: networks, losses, inner steps, and their gradients of any order. */
export type TrainingOperator = Extract<
  OperatorName,
  | 'Add'
  | 'Sub'
  | 'Mul'
  | 'Div'
  | 'Pow'
  | 'Max'
  | 'Min'
  | 'Sum'
  | 'Mean'
  | 'Neg'
  | 'Abs'
  | 'Reciprocal'
  | 'Sqrt'
  | 'Exp'
  | 'Log'
  | 'Sin'
  | 'Cos'
  | 'Erf'
  | 'Sign'
  | 'Floor'
  | 'Ceil'
  | 'Round'
  | 'Relu'
  | 'LeakyRelu'
  | 'Elu'
  | 'Sigmoid'
  | 'Softplus'
  | 'Tanh'
  | 'Clip'
  | 'Greater'
  | 'GreaterOrEqual'
  | 'Less'
  | 'LessOrEqual'
  | 'Equal'
  | 'And'
  | 'Or'
  | 'Xor'
  | 'Not'
  | 'Where'
  | 'Cast'
  | 'Identity'
  | 'StopGradient'
  | 'StraightThrough'
  | 'MatMul'
  | 'Gemm'
  | 'Conv'
  | 'ConvTranspose'
  | 'MaxPool'
  | 'AveragePool'
  | 'Resize'
  | 'GlobalAveragePool'
  | 'GlobalMaxPool'
  | 'ReduceSum'
  | 'ReduceMean'
  | 'ReduceMax'
  | 'ReduceMin'
  | 'ReduceProd'
  | 'ReduceSumSquare'
  | 'ReduceL2'
  | 'ReduceLogSumExp'
  | 'ArgMax'
  | 'Softmax'
  | 'LogSoftmax'
  | 'Reshape'
  | 'Flatten'
  | 'Squeeze'
  | 'Unsqueeze'
  | 'Transpose'
  | 'Expand'
  | 'Tile'
  | 'Concat'
  | 'Slice'
  | 'Pad'
  | 'Gather'
>;

type None = OperatorAttributes['Add'];
type Unary = (tf: Tf, x: TfTensor) => TfTensor;
type Binary = (tf: Tf, a: TfTensor, b: TfTensor) => TfTensor;
type Reduce = (tf: Tf, x: TfTensor, axes: number[], keep: boolean) => TfTensor;

const unary = (f: Unary): TfRule<None> => ({ run: (call) => f(call.tf, operand(call, 0)) });
const binary = (f: Binary): TfRule<None> => ({ run: (call) => f(call.tf, operand(call, 0), operand(call, 1)) });

/** Any number of operands, two by two. */
const folded = (f: Binary): TfRule<None> => ({
  run: ({ tf, inputs }) => (inputs as readonly TfTensor[]).reduce((a, b) => f(tf, a, b)),
});

const reduction = (f: Reduce): TfRule<OperatorAttributes['ReduceSum']> => ({
  host: [1],
  run: (call, { keepdims, noop_with_empty_axes }) => {
    const x = operand(call, 0);
    const given = call.numbers(1) ?? [];
    if (given.length === 0 && noop_with_empty_axes) return x;
    const axes = given.length > 0 ? given : x.shape.map((_, axis) => axis);
    return f(
      call.tf,
      x,
      axes.map((axis) => (axis < 0 ? axis + x.rank : axis)),
      keepdims === 1,
    );
  },
});

const overImage = (f: Reduce): TfRule<None> => ({
  run: (call) => f(call.tf, operand(call, 0), [2, 3], true),
});

const logSoftmax = (tf: Tf, x: TfTensor, axis: number): TfTensor => {
  const shifted = tf.sub(x, tf.max(x, axis, true));
  return tf.sub(shifted, tf.log(tf.sum(tf.exp(shifted), axis, true)));
};

export const tfDTypes: Partial<Record<DType, 'float32' | 'int32' | 'bool'>> = {
  float32: 'float32',
  int64: 'int32',
  int32: 'int32',
  bool: 'bool',
};

/** TensorFlow.js broadcasts batches of which one has a single matrix; others are laid out in full. */
function matMul({ tf, inputs }: Call): TfTensor {
  let [a, b] = inputs as [TfTensor, TfTensor];
  const [row, column] = [a.rank === 1, b.rank === 1];
  if (row) a = reshapeTo(tf, a, [1, a.size]);
  if (column) b = reshapeTo(tf, b, [b.size, 1]);
  const [outerA, outerB] = [a.shape.slice(0, -2), b.shape.slice(0, -2)];
  const count = (outer: readonly number[]) => outer.reduce((x, y) => x * y, 1);
  if (outerA.join() !== outerB.join() && count(outerA) > 1 && count(outerB) > 1) {
    const outer = tf.broadcast_util.assertAndGetBroadcastShape(outerA, outerB);
    a = expand(tf, a, [...outer, ...a.shape.slice(-2)]);
    b = expand(tf, b, [...outer, ...b.shape.slice(-2)]);
  }
  const product = tf.matMul(a, b);
  const kept = product.shape.slice(0, -2);
  const [rows, columns] = product.shape.slice(-2) as [number, number];
  return row || column
    ? reshapeTo(tf, product, [...kept, ...(row ? [] : [rows]), ...(column ? [] : [columns])])
    : product;
}

function choose({ tf, inputs }: Call): TfTensor {
  const [condition, a, b] = inputs as [TfTensor, TfTensor, TfTensor];
  const shape = [condition, a, b].reduce<number[]>(
    (all, each) => tf.broadcast_util.assertAndGetBroadcastShape(all, each.shape),
    [],
  );
  // As vectors: the WebGPU backend chooses among values of up to 4 axes only.
  const flat = (x: TfTensor) => tf.reshape(expand(tf, x, shape), [-1]);
  return reshapeTo(tf, tf.where(flat(condition), flat(a), flat(b)), shape);
}

const same = unary((_, x) => x);

/** TensorFlow.js's rules, once per operator. Total by type: an operator of training without one does not compile. */
export const tfRules: { readonly [K in TrainingOperator]: RuleOf<K> } = {
  Add: binary((tf, a, b) => tf.add(a, b)),
  Sub: binary((tf, a, b) => tf.sub(a, b)),
  Mul: binary((tf, a, b) => tf.mul(a, b)),
  Div: binary((tf, a, b) => tf.div(a, b)),
  Pow: binary((tf, a, b) => tf.pow(a, b)),
  Max: folded((tf, a, b) => tf.maximum(a, b)),
  Min: folded((tf, a, b) => tf.minimum(a, b)),
  Sum: folded((tf, a, b) => tf.add(a, b)),
  Mean: {
    run: ({ tf, inputs }) =>
      tf.div(
        (inputs as readonly TfTensor[]).reduce((a, b) => tf.add(a, b)),
        inputs.length,
      ),
  },
  Neg: unary((tf, x) => tf.neg(x)),
  Abs: unary((tf, x) => tf.abs(x)),
  Reciprocal: unary((tf, x) => tf.reciprocal(x)),
  Sqrt: unary((tf, x) => tf.sqrt(x)),
  Exp: unary((tf, x) => tf.exp(x)),
  Log: unary((tf, x) => tf.log(x)),
  Sin: unary((tf, x) => tf.sin(x)),
  Cos: unary((tf, x) => tf.cos(x)),
  Erf: unary((tf, x) => tf.erf(x)),
  // Not every backend has a kernel of this name.
  Sign: unary((tf, x) => {
    const is = (condition: TfTensor) => tf.cast(condition, 'float32');
    return tf.sub(is(tf.greater(x, 0)), is(tf.less(x, 0)));
  }),
  Floor: unary((tf, x) => tf.floor(x)),
  Ceil: unary((tf, x) => tf.ceil(x)),
  Round: unary((tf, x) => tf.round(x)),
  Relu: unary((tf, x) => tf.relu(x)),
  LeakyRelu: { run: (call, { alpha = 0.01 }) => call.tf.leakyRelu(operand(call, 0), alpha) },
  Elu: {
    run: (call, { alpha = 1 }) => {
      const { tf } = call;
      const x = operand(call, 0);
      return tf.add(tf.relu(x), tf.mul(tf.sub(tf.exp(tf.minimum(x, 0)), 1), alpha));
    },
  },
  Sigmoid: unary((tf, x) => tf.sigmoid(x)),
  Softplus: unary((tf, x) => tf.add(tf.relu(x), tf.log(tf.add(tf.exp(tf.neg(tf.abs(x))), 1)))),
  Tanh: unary((tf, x) => tf.tanh(x)),
  Clip: {
    run: (call) => {
      const [, low, high] = call.inputs;
      const above = low ? call.tf.maximum(operand(call, 0), low) : operand(call, 0);
      return high ? call.tf.minimum(above, high) : above;
    },
  },
  Greater: binary((tf, a, b) => tf.greater(a, b)),
  GreaterOrEqual: binary((tf, a, b) => tf.greaterEqual(a, b)),
  Less: binary((tf, a, b) => tf.less(a, b)),
  LessOrEqual: binary((tf, a, b) => tf.lessEqual(a, b)),
  Equal: binary((tf, a, b) => tf.equal(a, b)),
  And: binary((tf, a, b) => tf.logicalAnd(a, b)),
  Or: binary((tf, a, b) => tf.logicalOr(a, b)),
  Xor: binary((tf, a, b) => tf.notEqual(tf.cast(a, 'int32'), tf.cast(b, 'int32'))),
  Not: unary((tf, x) => tf.logicalNot(x)),
  Where: { run: choose },
  Cast: {
    run: (call, { to }) => {
      const as = tfDTypes[to] ?? 'float32';
      return as === 'float32' ? toFloat(call.tf, operand(call, 0)) : call.tf.cast(operand(call, 0), as);
    },
  },
  Identity: same,
  StopGradient: same,
  StraightThrough: same,
  MatMul: { run: matMul },
  Gemm: {
    run: (call, { alpha = 1, beta = 1, transA = 0, transB = 0 }) => {
      const { tf } = call;
      const product = tf.matMul(operand(call, 0), operand(call, 1), transA === 1, transB === 1);
      const scaled = alpha === 1 ? product : tf.mul(product, alpha);
      const bias = call.inputs[2];
      return bias ? tf.add(scaled, beta === 1 ? bias : tf.mul(bias, beta)) : scaled;
    },
  },
  Conv: convolution.Conv,
  ConvTranspose: convolution.ConvTranspose,
  MaxPool: pooling.MaxPool,
  AveragePool: pooling.AveragePool,
  Resize: pooling.Resize,
  GlobalAveragePool: overImage((tf, x, axes, keep) => tf.mean(x, axes, keep)),
  GlobalMaxPool: overImage((tf, x, axes, keep) => tf.max(x, axes, keep)),
  ReduceSum: reduction((tf, x, axes, keep) => tf.sum(x, axes, keep)),
  ReduceMean: reduction((tf, x, axes, keep) => tf.mean(x, axes, keep)),
  ReduceMax: reduction((tf, x, axes, keep) => tf.max(x, axes, keep)),
  ReduceMin: reduction((tf, x, axes, keep) => tf.min(x, axes, keep)),
  ReduceProd: reduction((tf, x, axes, keep) => tf.prod(x, axes, keep)),
  ReduceSumSquare: reduction((tf, x, axes, keep) => tf.sum(tf.square(x), axes, keep)),
  ReduceL2: reduction((tf, x, axes, keep) => tf.sqrt(tf.sum(tf.square(x), axes, keep))),
  ReduceLogSumExp: reduction((tf, x, axes, keep) => tf.logSumExp(x, axes, keep)),
  ArgMax: {
    run: (call, { axis, keepdims }) => {
      const x = operand(call, 0);
      const at = axis < 0 ? axis + x.rank : axis;
      const found = call.tf.argMax(x, at);
      return keepdims
        ? reshapeTo(
            call.tf,
            found,
            x.shape.map((size, i) => (i === at ? 1 : size)),
          )
        : found;
    },
  },
  Softmax: { run: (call, { axis }) => call.tf.exp(logSoftmax(call.tf, operand(call, 0), axis)) },
  LogSoftmax: { run: (call, { axis }) => logSoftmax(call.tf, operand(call, 0), axis) },
  ...shaping,
};

export const isTrainingOperator = (op: OperatorName): op is TrainingOperator => Object.hasOwn(tfRules, op);

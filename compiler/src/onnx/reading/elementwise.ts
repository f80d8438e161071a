import type { Value } from '../../graph.js';
import { dataTypeName, graphDType } from '../tensors.js';
import type { NodeContext, Part, Reading } from './node-context.js';

/** An operator that the table has under the same name, with the same inputs, and with these float attributes. */
function same(inputs: number, floats: Readonly<Record<string, number>> = {}): Reading {
  return {
    read: (c) => {
      const attributes = Object.entries(floats).map(([name, otherwise]) => [name, c.float(name, otherwise)] as const);
      const operands = Array.from({ length: inputs }, (_, i) => c.input(i));
      return c.emit(c.node.op, operands, Object.fromEntries(attributes));
    },
  };
}

/** Folds any number of operands from the left by a binary operator. */
function fold(c: NodeContext, op: string, part: Part = 0): Value {
  const operands = c.slots.map((_, i) => c.input(i));
  return operands
    .slice(1)
    .reduce(
      (left, right, i) => c.emit(op, [left, right], {}, i + 2 < operands.length ? `${i}` : part),
      operands[0] ?? c.refuse('takes at least one input'),
    );
}

const variadic = (op: string): Reading => ({ needs: [op], read: (c) => fold(c, op) });

/** x Phi(x), by the error function or by the tanh approximation. */
function gelu(c: NodeContext): Value {
  const x = c.input(0);
  const approximation = c.word('approximate', ['none', 'tanh']);
  const scaled = (value: Value, factor: number, part: string) =>
    c.emit('Mul', [value, c.scalar(factor, `${part}/factor`)], {}, part);
  let inner: Value;
  if (approximation === 'none') {
    inner = c.emit('Erf', [scaled(x, Math.SQRT1_2, 'scaled')], {}, 'erf');
  } else {
    const cube = c.emit('Mul', [c.emit('Mul', [x, x], {}, 'square'), x], {}, 'cube');
    const sum = c.emit('Add', [x, scaled(cube, 0.044715, 'small')], {}, 'sum');
    inner = c.emit('Tanh', [scaled(sum, Math.sqrt(2 / Math.PI), 'scaled')], {}, 'tanh');
  }
  const gate = c.emit('Add', [inner, c.scalar(1, 'one')], {}, 'gate');
  return c.emit('Mul', [scaled(x, 0.5, 'half'), gate], {});
}

/** x tanh(log(1 + e^x)) */
function mish(c: NodeContext): Value {
  const x = c.input(0);
  return c.emit('Mul', [x, c.emit('Tanh', [c.emit('Softplus', [x], {}, 'softplus')], {}, 'tanh')], {});
}

/** x / (1 + |x|) */
function softsign(c: NodeContext): Value {
  const x = c.input(0);
  const divisor = c.emit('Add', [c.scalar(1, 'one'), c.emit('Abs', [x], {}, 'abs')], {}, 'divisor');
  return c.emit('Div', [x, divisor], {});
}

/** gamma Elu(x) */
function selu(c: NodeContext): Value {
  const alpha = c.float('alpha', 1.6732632423543772);
  const elu = c.emit('Elu', [c.input(0)], { alpha }, 'elu');
  return c.emit('Mul', [elu, c.scalar(c.float('gamma', 1.0507009873554805), 'gamma')], {});
}

/** max(x, 0) + min(alpha (e^(x / alpha) - 1), 0), which is alpha Elu(x / alpha). */
function celu(c: NodeContext): Value {
  const alpha = c.scalar(c.float('alpha', 1), 'alpha');
  const elu = c.emit('Elu', [c.emit('Div', [c.input(0), alpha], {}, 'scaled')], { alpha: 1 }, 'elu');
  return c.emit('Mul', [elu, alpha], {});
}

/** x where x > alpha, else 0 */
function thresholdedRelu(c: NodeContext): Value {
  const x = c.input(0);
  const above = c.emit('Greater', [x, c.scalar(c.float('alpha', 1), 'alpha')], {}, 'above');
  return c.emit('Where', [above, x, c.scalar(0, 'zero')], {});
}

/** x sigmoid(alpha x) */
function swish(c: NodeContext): Value {
  const x = c.input(0);
  const alpha = c.float('alpha', 1);
  const scaled = alpha === 1 ? x : c.emit('Mul', [x, c.scalar(alpha, 'alpha')], {}, 'scaled');
  return c.emit('Mul', [x, c.emit('Sigmoid', [scaled], {}, 'gate')], {});
}

/** Bounds are attributes before operator set 11, inputs from then on. */
function clip(c: NodeContext): Value {
  const x = c.input(0);
  const bound = (name: string, position: number, otherwise: number) => {
    if (c.opset >= 11) return c.optional(position);
    const value = c.float(name, otherwise);
    return Math.fround(value) === Math.fround(otherwise) ? undefined : c.scalar(value, name);
  };
  const [min, max] = [bound('min', 1, -3.4028234663852886e38), bound('max', 2, 3.4028234663852886e38)];
  return min || max ? c.emit('Clip', [x, min, max], {}) : x;
}

/** What small integers hold, by TensorProto.DataType. */
const ranges: Readonly<Record<number, readonly [number, number]>> = {
  2: [0, 255],
  3: [-128, 127],
  4: [0, 65535],
  5: [-32768, 32767],
};

/** Whether a value is known to stay in a range, or is clipped to it. */
function staysWithin({ dtype, constant, producer }: Value, [least, most]: readonly [number, number]): boolean {
  if (constant) return constant.data.every((value) => value >= least && value <= most);
  if (dtype === 'bool') return true;
  if (producer?.op !== 'Clip') return false;
  const [min, max] = producer.inputs.slice(1).map((limit) => limit?.constant?.data[0]);
  return min !== undefined && max !== undefined && Number(min) >= least && Number(max) <= most;
}

function cast(c: NodeContext): Value {
  c.ignore('saturate', 'round_mode');
  const x = c.input(0);
  const dataType = c.int('to', 0);
  const to = graphDType(dataType);
  const range = ranges[dataType];
  if (!to) return c.refuse(`casts to element type ${dataTypeName(dataType)}`);
  // Small integers wrap around, which int64 would not.
  if (range && !staysWithin(x, range)) {
    return c.refuse(`casts to element type ${dataTypeName(dataType)} what is not clipped to ${range.join('..')}`);
  }
  return to === x.dtype ? x : c.emit('Cast', [x], { to });
}

const first: Reading = { needs: [], read: (c) => c.input(0) };

export const elementwiseLowerings = {
  Abs: same(1),
  Ceil: same(1),
  Cos: same(1),
  Erf: same(1),
  Exp: same(1),
  Floor: same(1),
  HardSwish: same(1),
  Log: same(1),
  Neg: same(1),
  Not: same(1),
  Reciprocal: same(1),
  Relu: same(1),
  Round: same(1),
  Sigmoid: same(1),
  Sign: same(1),
  Sin: same(1),
  Softplus: same(1),
  Sqrt: same(1),
  Tanh: same(1),
  Elu: same(1, { alpha: 1 }),
  HardSigmoid: same(1, { alpha: 0.2, beta: 0.5 }),
  LeakyRelu: same(1, { alpha: 0.01 }),
  Add: same(2),
  And: same(2),
  Div: same(2),
  Equal: same(2),
  Greater: same(2),
  GreaterOrEqual: same(2),
  Less: same(2),
  LessOrEqual: same(2),
  Mul: same(2),
  Or: same(2),
  PRelu: same(2),
  Pow: same(2),
  Sub: same(2),
  Xor: same(2),
  Where: same(3),
  Max: variadic('Max'),
  Min: variadic('Min'),
  Sum: variadic('Add'),
  Mean: {
    needs: ['Add'],
    read: (c) => {
      const sum = fold(c, 'Add', 'sum');
      return c.slots.length === 1 ? sum : c.emit('Div', [sum, c.scalar(c.slots.length, 'count')], {});
    },
  },
  Celu: { needs: ['Elu'], read: celu },
  Gelu: { needs: ['Erf', 'Tanh'], read: gelu },
  Mish: { needs: ['Softplus'], read: mish },
  Selu: { needs: ['Elu'], read: selu },
  Softsign: { needs: ['Abs'], read: softsign },
  Swish: { needs: ['Sigmoid'], read: swish },
  ThresholdedRelu: { needs: ['Where'], read: thresholdedRelu },
  Clip: { read: clip },
  Cast: { read: cast },
  CastLike: {
    needs: ['Cast'],
    read: (c) => {
      c.ignore('saturate');
      const [x, { dtype: to }] = [c.input(0), c.input(1)];
      return to === x.dtype ? x : c.emit('Cast', [x], { to });
    },
  },
  Identity: first,
  /** Inference: the value as it is. A mask output or `training_mode` is refused. */
  Dropout: {
    needs: [],
    read: (c) => {
      c.ignore('ratio', 'seed');
      if (c.numbers(2, 'training_mode')?.[0]) c.refuse('is in training mode');
      return c.input(0);
    },
  },
} satisfies Record<string, Reading>;

import type { GraphBuilder, Value } from '../graph.js';
import type { DType, Shape, Tensor } from '../tensor.js';
import { broadcastShapes, formatShape, sizeOf, stridesOf } from '../tensor.js';
import type { OperatorName } from './attributes.js';
import type { Inputs, Operator, ValueType, Vjp } from './operator.js';
import { required } from './operator.js';

type Elementwise = {
  [K in OperatorName]: Operator<K> extends { evaluate: (i: never, a: infer A) => Tensor }
    ? Record<never, never> extends A
      ? K
      : never
    : never;
}[OperatorName];

/** Index of each output element in an operand that is broadcast to `shape`. */
function broadcastIndices(operand: Tensor, shape: readonly number[]): (index: number) => number {
  if (operand.data.length === sizeOf(shape)) return (index) => index;
  if (operand.data.length === 1) return () => 0;
  const outStrides = stridesOf(shape);
  const inStrides = stridesOf(operand.shape);
  const offset = shape.length - operand.shape.length;
  const steps = shape.map((_, axis) =>
    axis < offset || operand.shape[axis - offset] === 1 ? 0 : inStrides[axis - offset],
  );
  return (index) => {
    let rest = index;
    let result = 0;
    for (let axis = 0; axis < shape.length; axis++) {
      const coordinate = Math.floor(rest / (outStrides[axis] as number));
      rest -= coordinate * (outStrides[axis] as number);
      result += coordinate * (steps[axis] as number);
    }
    return result;
  };
}

/** Broadcasts operands against each other and maps `f` over them. */
export function mapTensors(operands: readonly Tensor[], dtype: DType, f: (...x: number[]) => number): Tensor {
  let shape: Shape = [];
  for (const operand of operands) shape = broadcastShapes(shape, operand.shape) ?? [];
  const out = shape as readonly number[];
  const data = new Float64Array(sizeOf(out));
  const at = operands.map((operand) => broadcastIndices(operand, out));
  const [a, b, c] = operands.map((operand) => operand.data);
  const [ia, ib, ic] = at;
  for (let i = 0; i < data.length; i++) {
    data[i] = f(
      a?.[ia?.(i) ?? 0] as number,
      b === undefined ? 0 : (b[ib?.(i) ?? 0] as number),
      c === undefined ? 0 : (c[ic?.(i) ?? 0] as number),
    );
  }
  return { dtype, shape: out, data };
}

function inferBroadcast(inputs: Inputs, arity: number, dtype?: DType): ValueType {
  let shape: Shape = required(inputs, 0).shape;
  for (let position = 1; position < arity; position++) {
    const next = required(inputs, position).shape;
    const joined = broadcastShapes(shape, next);
    if (!joined) throw new Error(`shapes ${formatShape(shape)} and ${formatShape(next)} do not broadcast`);
    shape = joined;
  }
  return { dtype: dtype ?? required(inputs, arity - 1).dtype, shape };
}

type Gradients = (
  g: GraphBuilder,
  cotangent: Value,
  inputs: readonly Value[],
  output: Value,
) => readonly ((() => Value) | null)[];

function elementwise<K extends Elementwise>(
  arity: 1 | 2 | 3,
  f: (...x: number[]) => number,
  gradients: Gradients | 'none',
  dtype?: DType,
): Operator<K> {
  return {
    infer: (inputs) => inferBroadcast(inputs, arity, dtype),
    vjp:
      gradients === 'none'
        ? 'none'
        : ((({ g, cotangent, inputs, output }) =>
            gradients(g, cotangent, inputs as readonly Value[], output)) as Vjp<K>),
    evaluate: (inputs) => mapTensors(inputs as readonly Tensor[], dtype ?? required(inputs, arity - 1).dtype, f),
  };
}

/** `value` where the condition holds, 0 elsewhere. */
const gate = (g: GraphBuilder, condition: Value, value: Value) => g.apply('Where', [condition, value, g.scalar(0)], {});

export const elementwiseOperators = {
  // d(a + b) = da + db
  Add: elementwise<'Add'>(
    2,
    (a, b) => a + b,
    (_, c) => [() => c, () => c],
  ),
  // d(a - b) = da - db
  Sub: elementwise<'Sub'>(
    2,
    (a, b) => a - b,
    (g, c) => [() => c, () => g.apply('Neg', [c], {})],
  ),
  // d(a b) = b da + a db
  Mul: elementwise<'Mul'>(
    2,
    (a, b) => a * b,
    (g, c, [a, b]) => [() => g.apply('Mul', [c, b], {}), () => g.apply('Mul', [c, a], {})],
  ),
  // d(a / b) = da / b - (a / b) db / b
  Div: elementwise<'Div'>(
    2,
    (a, b) => a / b,
    (g, c, [, b], y) => [
      () => g.apply('Div', [c, b], {}),
      () => g.apply('Neg', [g.apply('Div', [g.apply('Mul', [c, y], {}), b], {})], {}),
    ],
  ),
  // The larger operand takes the cotangent; a tie goes to the first, so that the parts sum to the whole.
  Max: elementwise<'Max'>(2, Math.max, (g, c, [a, b]) => [
    () => gate(g, g.apply('GreaterOrEqual', [a, b], {}), c),
    () => gate(g, g.apply('Greater', [b, a], {}), c),
  ]),
  Neg: elementwise<'Neg'>(
    1,
    (a) => -a,
    (g, c) => [() => g.apply('Neg', [c], {})],
  ),
  // d sqrt(a) = da / (2 sqrt(a))
  Sqrt: elementwise<'Sqrt'>(1, Math.sqrt, (g, c, _, y) => [
    () => g.apply('Div', [c, g.apply('Mul', [y, g.scalar(2)], {})], {}),
  ]),
  // d exp(a) = exp(a) da
  Exp: elementwise<'Exp'>(1, Math.exp, (g, c, _, y) => [() => g.apply('Mul', [c, y], {})]),
  // d log(a) = da / a
  Log: elementwise<'Log'>(1, Math.log, (g, c, [a]) => [() => g.apply('Div', [c, a], {})]),
  // d relu(a) = [a > 0] da
  Relu: elementwise<'Relu'>(
    1,
    (a) => Math.max(a, 0),
    (g, c, _, y) => [() => gate(g, g.apply('Greater', [y, g.scalar(0)], {}), c)],
  ),
  Greater: elementwise<'Greater'>(2, (a, b) => Number(a > b), 'none', 'bool'),
  GreaterOrEqual: elementwise<'GreaterOrEqual'>(2, (a, b) => Number(a >= b), 'none', 'bool'),
  Equal: elementwise<'Equal'>(2, (a, b) => Number(a === b), 'none', 'bool'),
  And: elementwise<'And'>(2, (a, b) => Number(a !== 0 && b !== 0), 'none', 'bool'),
  Not: elementwise<'Not'>(1, (a) => Number(a === 0), 'none', 'bool'),
  // d where(m, a, b) = where(m, da, db)
  Where: elementwise<'Where'>(
    3,
    (m, a, b) => (m !== 0 ? a : b),
    (g, c, [m]) => [null, () => gate(g, m as Value, c), () => g.apply('Where', [m, g.scalar(0), c], {})],
  ),
  Cast: {
    infer: (inputs, { to }) => ({ dtype: to, shape: required(inputs, 0).shape }),
    vjp: 'none',
    evaluate: (inputs, { to }) => {
      const convert = to === 'bool' ? (a: number) => Number(a !== 0) : to === 'int64' ? Math.trunc : (a: number) => a;
      return mapTensors([required(inputs, 0)], to, convert);
    },
  } satisfies Operator<'Cast'>,
  /** The identity, through which no gradient passes. */
  StopGradient: elementwise<'StopGradient'>(1, (a) => a, 'none'),
  // The value of the first input with the gradient of the second: a step function learned straight through.
  StraightThrough: {
    infer: (inputs) => inferBroadcast(inputs, 1),
    vjp: ({ cotangent }) => [null, () => cotangent],
    evaluate: (inputs) => required(inputs, 0),
  } satisfies Operator<'StraightThrough'>,
};

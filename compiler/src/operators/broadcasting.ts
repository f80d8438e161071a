import type { GraphBuilder } from '../builder.js';
import type { Value } from '../graph.js';
import type { DType, NumericArray, Shape, Tensor } from '../tensor.js';
import { broadcastShapes, formatShape, sizeOf, stridesOf } from '../tensor.js';
import type { OperatorAttributes, OperatorName } from './attributes.js';
import type { Inputs, Operator, ValueType, Vjp } from './operator.js';
import { required } from './operator.js';

type IndexMap = (index: number) => number;

/** Index of each output element in an operand that is broadcast to `shape`. */
function broadcastIndices(operand: Tensor, shape: readonly number[]): IndexMap {
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

/** What a computed number becomes when it is stored: integers are cut and wrapped, floats stay float64. */
export function storedAs(dtype: DType): (value: number) => number {
  switch (dtype) {
    case 'bool':
      return (value) => Number(value !== 0);
    case 'uint8':
      return (value) => value & 255;
    case 'int8':
      return (value) => (value << 24) >> 24;
    case 'int32':
      return (value) => value | 0;
    case 'int64':
      return Math.trunc;
    default:
      return (value) => value;
  }
}

/** Broadcasts up to three operands against each other and maps `f` over them. */
export function mapTensors(operands: readonly Tensor[], dtype: DType, f: (...x: number[]) => number): Tensor {
  let shape: Shape = [];
  for (const operand of operands) shape = broadcastShapes(shape, operand.shape) ?? [];
  const out = shape as readonly number[];
  const data = new Float64Array(sizeOf(out));
  const at = operands.map((operand) => broadcastIndices(operand, out));
  const stored = storedAs(dtype);
  // One loop per number of operands: a function such as Math.max must not be handed one that is not there.
  const [a, b, c] = operands.map((operand) => operand.data) as [NumericArray, NumericArray, NumericArray];
  const [ia, ib, ic] = at as [IndexMap, IndexMap, IndexMap];
  if (operands.length === 1) for (let i = 0; i < data.length; i++) data[i] = stored(f(a[ia(i)] as number));
  else if (operands.length === 2) {
    for (let i = 0; i < data.length; i++) data[i] = stored(f(a[ia(i)] as number, b[ib(i)] as number));
  } else {
    for (let i = 0; i < data.length; i++) {
      data[i] = stored(f(a[ia(i)] as number, b[ib(i)] as number, c[ic(i)] as number));
    }
  }
  return { dtype, shape: out, data };
}

/** Throws where operands that an operator computes with each other have different dtypes. */
export function expectOneDType(operands: Inputs): void {
  const first = operands.find((operand) => operand)?.dtype;
  if (operands.every((operand) => !operand || operand.dtype === first)) return;
  const dtypes = [...new Set(operands.flatMap((operand) => (operand ? [operand.dtype] : [])))];
  throw new Error(`expected operands of one dtype, got ${dtypes.join(' and ')}`);
}

export function inferBroadcast(inputs: Inputs, arity: number): Shape {
  let shape: Shape = required(inputs, 0).shape;
  for (let position = 1; position < arity; position++) {
    const next = required(inputs, position).shape;
    const joined = broadcastShapes(shape, next);
    if (!joined) throw new Error(`shapes ${formatShape(shape)} and ${formatShape(next)} do not broadcast`);
    shape = joined;
  }
  return shape;
}

/** What the gradient rule of an elementwise operator reads. `c` is the cotangent, `k` a constant of its dtype. */
export interface ElementwiseContext<K extends OperatorName> {
  readonly g: GraphBuilder;
  readonly c: Value;
  readonly x: readonly Value[];
  readonly y: Value;
  readonly k: (value: number) => Value;
  readonly attributes: OperatorAttributes[K];
}

type Gradients<K extends OperatorName> = (context: ElementwiseContext<K>) => readonly ((() => Value) | null)[];

const vjpOf =
  <K extends OperatorName>(gradients: Gradients<K>): Vjp<K> =>
  ({ g, cotangent, inputs, output, attributes }) =>
    gradients({
      g,
      c: cotangent,
      x: inputs as readonly Value[],
      y: output,
      k: (value) => g.scalar(value, cotangent.dtype),
      attributes,
    });

/** An operator of a fixed number of operands that broadcast; its dtype is theirs, or a fixed one. */
export function elementwise<K extends OperatorName>(
  arity: 1 | 2 | 3,
  f: (...x: number[]) => number,
  gradients: Gradients<K> | 'none',
  dtype?: DType,
): Operator<K> {
  return elementwiseOf<K>(arity, () => f, gradients, dtype);
}

/** As {@link elementwise}, for an operator whose function depends on its attributes. */
export function elementwiseOf<K extends OperatorName>(
  arity: 1 | 2 | 3,
  f: (attributes: OperatorAttributes[K]) => (...x: number[]) => number,
  gradients: Gradients<K> | 'none',
  dtype?: DType,
): Operator<K> {
  return {
    infer: (inputs): ValueType => {
      const shape = inferBroadcast(inputs, arity);
      expectOneDType(inputs);
      return { dtype: dtype ?? required(inputs, 0).dtype, shape };
    },
    vjp: gradients === 'none' ? 'none' : vjpOf(gradients),
    evaluate: (inputs, attributes) =>
      mapTensors(inputs as readonly Tensor[], dtype ?? required(inputs, 0).dtype, f(attributes)),
  };
}

/** An operator of one operand: `slope` builds the factor of the cotangent. */
export function scaled<K extends OperatorName>(
  f: (a: number) => number,
  slope: (context: ElementwiseContext<K>) => Value,
): Operator<K> {
  return elementwise<K>(1, f, (context) => [() => context.g.apply('Mul', [context.c, slope(context)], {})]);
}

/** An operator of any number of operands: `join` takes two values. */
export function variadic<K extends OperatorName>(
  join: (a: number, b: number) => number,
  gradients: Gradients<K>,
  finish: (joined: number, count: number) => number = (joined) => joined,
): Operator<K> {
  return {
    infer: (inputs) => {
      const shape = inferBroadcast(inputs, inputs.length);
      expectOneDType(inputs);
      return { dtype: required(inputs, 0).dtype, shape };
    },
    vjp: vjpOf(gradients),
    evaluate: (inputs) => {
      const [first, ...rest] = inputs as readonly [Tensor, ...Tensor[]];
      const joined = rest.reduce((a, b) => mapTensors([a, b], first.dtype, join), first);
      return mapTensors([joined], first.dtype, (value) => finish(value, inputs.length));
    },
  };
}

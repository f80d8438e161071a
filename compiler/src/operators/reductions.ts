import type { GraphBuilder } from '../builder.js';
import type { Value } from '../graph.js';
import type { Dim, Tensor } from '../tensor.js';
import { isStatic, normalizeAxis, sizeOf, stridesOf } from '../tensor.js';
import type { ArgAttributes, OperatorName, ReduceAttributes } from './attributes.js';
import { storedAs } from './broadcasting.js';
import { constantIntegers } from './integers.js';
import type { Inputs, Operator, Vjp } from './operator.js';
import { required } from './operator.js';
import { expandLike, reshape } from './shape-helpers.js';

export type Reduction = Extract<
  OperatorName,
  | 'ReduceSum'
  | 'ReduceMean'
  | 'ReduceMax'
  | 'ReduceMin'
  | 'ReduceProd'
  | 'ReduceL1'
  | 'ReduceL2'
  | 'ReduceSumSquare'
  | 'ReduceLogSumExp'
>;

/** Axes from the front; none given means all, or none with `noop_with_empty_axes`. */
function reducedAxes(axes: readonly number[] | undefined, rank: number, { noop_with_empty_axes }: ReduceAttributes) {
  if (axes && axes.length > 0) return axes.map((axis) => normalizeAxis(axis, rank));
  return noop_with_empty_axes ? [] : Array.from({ length: rank }, (_, axis) => axis);
}

export const axesOf = (inputs: Inputs, attributes: ReduceAttributes) =>
  reducedAxes(inputs[1] && constantIntegers(inputs, 1, 'axes'), required(inputs, 0).shape.length, attributes);

/** A reduced value with its axes of size 1 put back, so that it broadcasts against the input. */
function withAxes(g: GraphBuilder, reduced: Value, like: Value, axes: readonly number[]): Value {
  const set = new Set(axes);
  return reshape(
    g,
    reduced,
    like.shape.map((dim, axis) => (set.has(axis) ? 1 : dim)),
  );
}

/** Lines of `x` along `axes`: for each output element, the elements that are reduced into it. */
function reduceLines(
  x: Tensor,
  axes: readonly number[],
  keepdims: 0 | 1,
  f: (line: readonly number[]) => number,
): Tensor {
  const set = new Set(axes);
  const full = x.shape.map((dim, axis) => (set.has(axis) ? 1 : dim));
  const outStrides = stridesOf(full).map((stride, axis) => (set.has(axis) ? 0 : stride));
  const inStrides = stridesOf(x.shape);
  const lines = Array.from({ length: sizeOf(full) }, (): number[] => []);
  for (let i = 0; i < x.data.length; i++) {
    let rest = i;
    let at = 0;
    for (let axis = 0; axis < x.shape.length; axis++) {
      const coordinate = Math.floor(rest / (inStrides[axis] as number));
      rest -= coordinate * (inStrides[axis] as number);
      at += coordinate * (outStrides[axis] as number);
    }
    lines[at]?.push(x.data[i] as number);
  }
  const shape = keepdims ? full : full.filter((_, axis) => !set.has(axis));
  return { dtype: x.dtype, shape, data: Float64Array.from(lines, f) };
}

interface ReductionContext<K extends Reduction> {
  readonly g: GraphBuilder;
  readonly x: Value;
  readonly y: Value;
  /** The cotangent and the output with the reduced axes of size 1 put back. */
  readonly wideC: () => Value;
  readonly wideY: () => Value;
  readonly context: Parameters<Vjp<K>>[0];
}

function reduction<K extends Reduction>(
  f: (line: readonly number[]) => number,
  gradient: (context: ReductionContext<K>) => Value,
): Operator<K> {
  return {
    infer: (inputs, attributes) => {
      const { dtype, shape } = required(inputs, 0);
      if (dtype === 'bool') throw new Error('expected numbers, got bool');
      const axes = new Set(axesOf(inputs, attributes));
      const kept = shape.map((dim, axis): Dim | null => (!axes.has(axis) ? dim : attributes.keepdims ? 1 : null));
      return { dtype, shape: kept.filter((dim) => dim !== null) };
    },
    vjp: (context) => {
      const { g, inputs, output, cotangent, attributes } = context;
      const x = required(inputs, 0);
      const wide = (value: Value) => withAxes(g, value, x, axesOf(inputs, attributes));
      return [
        () => gradient({ g, x, y: output, wideC: () => wide(cotangent), wideY: () => wide(output), context }),
        null,
      ];
    },
    evaluate: (inputs, attributes) => {
      const x = required(inputs, 0);
      const axes = reducedAxes(inputs[1] && Array.from(inputs[1].data), x.shape.length, attributes);
      const stored = storedAs(x.dtype);
      return reduceLines(x, axes, attributes.keepdims, (line) => stored(f(line)));
    },
  };
}

/** How many elements were reduced into one, as a float scalar. */
function reducedCount(g: GraphBuilder, x: Value, y: Value): Value {
  if (isStatic(x.shape) && isStatic(y.shape)) return g.scalar(sizeOf(x.shape) / sizeOf(y.shape), x.dtype);
  const sizes = [x, y].map((value) => g.apply('Cast', [g.apply('Size', [value], {})], { to: x.dtype }));
  return g.apply('Div', sizes, {});
}

const sum = (line: readonly number[]) => line.reduce((total, v) => total + v, 0);
const largest = (line: readonly number[]) => line.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
const smallest = (line: readonly number[]) => line.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);

// d sum(x) = sum(dx)
export const ReduceSum = reduction<'ReduceSum'>(sum, ({ g, x, wideC }) => expandLike(g, wideC(), x));

// d mean(x) = sum(dx) / count
export const ReduceMean = reduction<'ReduceMean'>(
  (line) => sum(line) / line.length,
  ({ g, x, y, context }) => {
    const share = g.apply('Div', [context.cotangent, reducedCount(g, x, y)], {});
    return expandLike(g, withAxes(g, share, x, axesOf(context.inputs, context.attributes)), x);
  },
);

/** The cotangent goes to the elements that equal the extremum, shared evenly where several do. */
function sharedEvenly<K extends 'ReduceMax' | 'ReduceMin'>({
  g,
  x,
  wideC,
  wideY,
  context,
}: ReductionContext<K>): Value {
  const hit = g.apply('Equal', [x, wideY()], {});
  const weight = g.apply('Cast', [hit], { to: x.dtype });
  const count = g.apply('ReduceSum', [weight, context.inputs[1]], { ...context.attributes, keepdims: 1 });
  return g.apply('Mul', [weight, g.apply('Div', [wideC(), count], {})], {});
}

export const ReduceMax = reduction<'ReduceMax'>(largest, sharedEvenly);
export const ReduceMin = reduction<'ReduceMin'>(smallest, sharedEvenly);

// d prod(x) = prod(x) sum(dx / x), which is not a number where an element is 0
export const ReduceProd = reduction<'ReduceProd'>(
  (line) => line.reduce((product, v) => product * v, 1),
  ({ g, x, wideC, wideY }) => g.apply('Div', [g.apply('Mul', [wideC(), wideY()], {}), x], {}),
);

// d sum|x| = sum(sign(x) dx)
export const ReduceL1 = reduction<'ReduceL1'>(
  (line) => sum(line.map(Math.abs)),
  ({ g, x, wideC }) => g.apply('Mul', [g.apply('Sign', [x], {}), wideC()], {}),
);

// d |x| = sum(x dx) / |x|, 0 where |x| = 0
export const ReduceL2 = reduction<'ReduceL2'>(
  (line) => Math.sqrt(sum(line.map((v) => v * v))),
  ({ g, x, wideC, wideY }) => {
    const length = wideY();
    const zero = g.apply('Equal', [length, g.scalar(0, x.dtype)], {});
    const safe = g.apply('Where', [zero, g.scalar(1, x.dtype), length], {});
    return g.apply('Mul', [x, g.apply('Div', [wideC(), safe], {})], {});
  },
);

// d sum(x^2) = sum(2 x dx)
export const ReduceSumSquare = reduction<'ReduceSumSquare'>(
  (line) => sum(line.map((v) => v * v)),
  ({ g, x, wideC }) => g.apply('Mul', [x, g.apply('Mul', [wideC(), g.scalar(2, x.dtype)], {})], {}),
);

// d log(sum(exp(x))) = sum(exp(x - y) dx)
export const ReduceLogSumExp = reduction<'ReduceLogSumExp'>(
  (line) => {
    const top = largest(line);
    return top + Math.log(sum(line.map((v) => Math.exp(v - top))));
  },
  ({ g, x, wideC, wideY }) => g.apply('Mul', [g.apply('Exp', [g.apply('Sub', [x, wideY()], {})], {}), wideC()], {}),
);

/** The position of the extremum along an axis, the first of several unless the last is asked for. */
function argument<K extends 'ArgMax' | 'ArgMin'>(extremum: (line: readonly number[]) => number): Operator<K> {
  const shapeOf = (shape: readonly Dim[], { axis, keepdims }: ArgAttributes) => {
    const at = normalizeAxis(axis, shape.length);
    return keepdims ? shape.map((dim, i) => (i === at ? 1 : dim)) : shape.filter((_, i) => i !== at);
  };
  return {
    infer: (inputs, attributes) => ({ dtype: 'int64', shape: shapeOf(required(inputs, 0).shape, attributes) }),
    vjp: 'none',
    evaluate: (inputs, { axis, keepdims, select_last_index }) => {
      const x = required(inputs, 0);
      const found = reduceLines(x, [normalizeAxis(axis, x.shape.length)], keepdims, (line) =>
        select_last_index ? line.lastIndexOf(extremum(line)) : line.indexOf(extremum(line)),
      );
      return { ...found, dtype: 'int64' };
    },
  };
}

export const ArgMax = argument<'ArgMax'>(largest);
export const ArgMin = argument<'ArgMin'>(smallest);

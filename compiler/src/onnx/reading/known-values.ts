import { multiplyDims } from '../../operators/dims.js';
import type { Dim, DType } from '../../tensor.js';
import { broadcastShapes, sizeOf, stridesOf } from '../../tensor.js';
import { graphDType } from '../tensors.js';
import { divideDims, multiplyExactly } from './dims.js';
import type { Known, NodeContext } from './node-context.js';
import { knownOf } from './node-context.js';

/*
 * The arithmetic on shapes that exporters write into graphs (Shape, Gather, Concat, Cast, Mul, Reshape, ...), followed
 * element by element while a model is read. A dimension that is a symbol stays one: `[N, -1]` is known as that.
 */

type Item = Dim | undefined;
type Follow = (c: NodeContext, inputs: readonly Known[]) => Known | undefined;

/** Above this, a value is not followed. */
const LIMIT = 1024;

function known(dtype: DType, shape: readonly number[], items: readonly Item[]): Known | undefined {
  return items.length === sizeOf(shape) && items.length <= LIMIT ? { dtype, shape, items } : undefined;
}

/** Integers divide towards zero, floats are rounded to single precision, as a runtime would. */
function settle(value: number, dtype: DType): number {
  return dtype === 'float32' ? Math.fround(value) : dtype === 'int64' ? Math.trunc(value) : value;
}

function elementwise(f: (...x: Dim[]) => Item, dtype?: DType): Follow {
  return (_, inputs) => {
    let shape: readonly Dim[] | undefined = [];
    for (const input of inputs) shape = shape && broadcastShapes(shape, input.shape);
    if (!shape) return undefined;
    const out = shape as readonly number[];
    if (sizeOf(out) > LIMIT) return undefined;
    const strides = stridesOf(out);
    const type = dtype ?? (inputs.at(-1) as Known).dtype;
    const items = Array.from({ length: sizeOf(out) }, (_unused, index) => {
      const operands = inputs.map((input) => {
        const own = stridesOf(input.shape);
        const offset = out.length - input.shape.length;
        const at = own.reduce((sum, stride, axis) => {
          const coordinate = Math.floor(index / (strides[axis + offset] as number)) % (out[axis + offset] as number);
          return sum + (input.shape[axis] === 1 ? 0 : coordinate * stride);
        }, 0);
        return input.items[at];
      });
      if (operands.some((operand) => operand === undefined)) return undefined;
      const result = f(...(operands as Dim[]));
      return typeof result === 'number' ? settle(result, type) : result;
    });
    return known(type, out, items);
  };
}

/** On numbers only; a symbol makes the result unknown. */
const numeric = (f: (...x: number[]) => number, dtype?: DType) =>
  elementwise((...x) => (x.every((v) => typeof v === 'number') ? f(...(x as number[])) : undefined), dtype);

/** The remainder has the sign of the divisor, or with `fmod` that of the dividend. */
const flooredMod = numeric((a, b) => a - b * Math.floor(a / b));
const truncatedMod = numeric((a, b) => a % b);

/** Dimensions are positive, so a symbol is known to be neither 0 nor negative. */
const equal = (a: Dim, b: Dim): Item => {
  if (a === b) return 1;
  if (typeof a === 'number' && typeof b === 'number') return 0;
  const number = typeof a === 'number' ? a : b;
  return typeof number === 'number' && number <= 0 ? 0 : undefined;
};

const joined = (combine: (items: readonly Item[]) => Item): Follow => {
  return (c, [x, axes]) => {
    if (x?.shape.length !== 1 || axes?.items.some((axis) => axis !== 0 && axis !== -1)) return undefined;
    c.ignore('axes', 'noop_with_empty_axes');
    return known(x.dtype, c.flag('keepdims', 1) ? [1] : [], [combine(x.items)]);
  };
};

function cast(x: Known, dtype: DType | undefined): Known | undefined {
  if (!dtype) return undefined;
  const convert = (item: Item): Item => {
    if (typeof item !== 'number') return dtype === 'bool' ? undefined : item;
    return dtype === 'bool' ? Number(item !== 0) : settle(item, dtype);
  };
  return known(dtype, x.shape, x.items.map(convert));
}

function gather(c: NodeContext, x: Known, indices: Known): Known | undefined {
  if (x.shape.length !== 1) return undefined;
  c.int('axis', 0);
  const size = x.shape[0] as number;
  const items = indices.items.map((index) => {
    if (typeof index !== 'number' || index < -size || index >= size) return undefined;
    return x.items[index < 0 ? index + size : index];
  });
  return known(x.dtype, indices.shape, items);
}

function sliced(c: NodeContext, inputs: readonly Known[]): Known | undefined {
  const [x, ...lists] = inputs;
  if (x?.shape.length !== 1) return undefined;
  const one = (position: number, name: string): number | undefined => {
    const items = lists.length > 0 ? lists[position]?.items : (c.ints(name) ?? undefined);
    return items?.length === 1 && typeof items[0] === 'number' ? items[0] : undefined;
  };
  const [start, end, step] = [one(0, 'starts'), one(1, 'ends'), lists[3] ? one(3, 'steps') : 1];
  c.ignore('axes');
  if (start === undefined || end === undefined || step === undefined || step < 1) return undefined;
  const items = x.items.slice(start, end).filter((_, i) => i % step === 0);
  return known(x.dtype, [items.length], items);
}

/** Squeeze, Unsqueeze, Reshape, Flatten of followed values: the items stay, the shape is what the reading infers. */
function reshaped(c: NodeContext, x: Known, target: Known | undefined): Known | undefined {
  const axes = (target?.items ?? c.ints('axes')) as readonly number[] | undefined;
  c.ignore('allowzero');
  switch (c.node.op) {
    case 'Squeeze': {
      const dropped = axes ? c.axes(axes, x.shape.length) : x.shape.flatMap((dim, axis) => (dim === 1 ? [axis] : []));
      const shape = x.shape.filter((_, axis) => !dropped.includes(axis));
      return known(x.dtype, shape, x.items);
    }
    case 'Unsqueeze': {
      const added = c.axes(axes ?? [], x.shape.length + (axes?.length ?? 0));
      const shape: number[] = [...x.shape];
      for (const axis of [...added].sort((a, b) => a - b)) shape.splice(axis, 0, 1);
      return known(x.dtype, shape, x.items);
    }
    default: {
      if (!target?.items.every((dim) => typeof dim === 'number')) return undefined;
      const dims = (target.items as number[]).map((dim, axis) => (dim === 0 ? (x.shape[axis] ?? 0) : dim));
      const rest = sizeOf(dims.filter((dim) => dim !== -1));
      return known(
        x.dtype,
        dims.map((dim) => (dim === -1 ? x.items.length / rest : dim)),
        x.items,
      );
    }
  }
}

function concat(c: NodeContext, inputs: readonly Known[]): Known | undefined {
  if (inputs.some(({ shape }) => shape.length !== 1)) return undefined;
  c.int('axis', 0);
  const items = inputs.flatMap((input) => input.items);
  return known((inputs[0] as Known).dtype, [items.length], items);
}

function expanded(shape: readonly Item[], item: Item, dtype: DType): Known | undefined {
  if (!shape.every((dim) => typeof dim === 'number')) return undefined;
  const size = sizeOf(shape as number[]);
  return size <= LIMIT ? known(dtype, shape as number[], new Array(size).fill(item)) : undefined;
}

const followed: { readonly [op: string]: Follow } = {
  Identity: (_, [x]) => x,
  Cast: (c, [x]) => {
    c.ignore('saturate');
    return x && cast(x, graphDType(c.int('to', 0)));
  },
  Gather: (c, [x, indices]) => x && indices && gather(c, x, indices),
  Slice: sliced,
  Concat: concat,
  Squeeze: (c, [x, axes]) => x && reshaped(c, x, axes),
  Unsqueeze: (c, [x, axes]) => x && reshaped(c, x, axes),
  Reshape: (c, [x, target]) => x && reshaped(c, x, target),
  Add: elementwise((a, b) =>
    typeof a === 'number' && typeof b === 'number' ? a + b : b === 0 ? a : a === 0 ? b : undefined,
  ),
  Sub: elementwise((a, b) =>
    typeof a === 'number' && typeof b === 'number' ? a - b : b === 0 ? a : a === b ? 0 : undefined,
  ),
  Mul: elementwise((a, b) => (typeof a === 'number' && typeof b === 'number' ? a * b : multiplyExactly(a, b))),
  Div: elementwise((a, b) => (typeof a === 'number' && typeof b === 'number' ? a / b : divideDims(a, b))),
  Mod: (c, inputs) => (c.flag('fmod', 0) ? truncatedMod : flooredMod)(c, inputs),
  Max: numeric(Math.max),
  Min: numeric(Math.min),
  Neg: numeric((a) => -a),
  Abs: numeric(Math.abs),
  Floor: elementwise((a) => (typeof a === 'number' ? Math.floor(a) : a)),
  Ceil: elementwise((a) => (typeof a === 'number' ? Math.ceil(a) : a)),
  Sqrt: numeric(Math.sqrt),
  Pow: (c, inputs) => numeric((a, b) => a ** b, inputs[0]?.dtype)(c, inputs),
  Equal: elementwise(equal, 'bool'),
  Greater: numeric((a, b) => Number(a > b), 'bool'),
  GreaterOrEqual: numeric((a, b) => Number(a >= b), 'bool'),
  Less: numeric((a, b) => Number(a < b), 'bool'),
  LessOrEqual: numeric((a, b) => Number(a <= b), 'bool'),
  And: numeric((a, b) => Number(a !== 0 && b !== 0), 'bool'),
  Or: numeric((a, b) => Number(a !== 0 || b !== 0), 'bool'),
  Not: numeric((a) => Number(a === 0), 'bool'),
  Where: elementwise((m, a, b) => (typeof m === 'number' ? (m !== 0 ? a : b) : undefined)),
  Expand: (_, [x, shape]) => {
    if (!x || !shape || x.items.length !== 1) return undefined;
    const target = broadcastShapes(x.shape, shape.items as Dim[]);
    return target && expanded(target, x.items[0], x.dtype);
  },
  Range: (_, inputs) => {
    const [start, limit, delta] = inputs.map(({ items }) => items[0]);
    if (typeof start !== 'number' || typeof limit !== 'number' || typeof delta !== 'number') return undefined;
    const count = Math.max(0, Math.ceil((limit - start) / delta));
    if (!(count <= LIMIT)) return undefined;
    const items = Array.from({ length: count }, (_unused, i) => start + i * delta);
    return known((inputs[0] as Known).dtype, [count], items);
  },
  ReduceProd: joined((items) =>
    items.reduce<Item>((a, b) => (a === undefined || b === undefined ? undefined : multiplyExactly(a, b)), 1),
  ),
  ReduceSum: joined((items) =>
    items.every((item) => typeof item === 'number') ? (items as number[]).reduce((a, b) => a + b, 0) : undefined,
  ),
};

/** Whether an operator is only met in the arithmetic of shapes, so that it need not be in the operator table. */
export const isFollowed = (op: string): boolean => Object.hasOwn(followed, op) || isShape(op);

/** Whether an operator reads only the shape of its input. */
export const isShape = (op: string): boolean => op === 'Shape' || op === 'Size';

/** What a node's output is known to be from what is known of its inputs; undefined where that is nothing. */
export function followNode(c: NodeContext): Known | undefined {
  const { op } = c.node;
  if (isShape(op)) {
    const shape = c.slots[0]?.value?.shape ?? c.slots[0]?.known?.shape;
    if (!shape) return undefined;
    if (op === 'Size') return known('int64', [], [multiplyDims(shape)]);
    const dims = shape.slice(c.int('start', 0), c.int('end'));
    return known('int64', [dims.length], dims);
  }
  const follow = Object.hasOwn(followed, op) ? followed[op] : undefined;
  if (!follow || c.slots.length === 0) return undefined;
  const inputs = c.slots.map(knownOf);
  if (!inputs.every((input) => input !== undefined)) return undefined;
  return follow(c, inputs);
}

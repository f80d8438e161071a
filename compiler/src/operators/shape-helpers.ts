import type { GraphBuilder, Value } from '../graph.js';
import type { Shape } from '../tensor.js';
import { formatShape, int64s, isStatic, sameShape } from '../tensor.js';

/** Reshapes to a shape that may hold symbols: a symbol that stays in place is copied, one other may be computed. */
export function reshape(g: GraphBuilder, value: Value, shape: Shape): Value {
  if (sameShape(value.shape, shape)) return value;
  let computed = 0;
  const target = shape.map((dim, axis) => {
    if (typeof dim === 'number') return dim;
    if (value.shape[axis] === dim) return 0;
    computed++;
    return -1;
  });
  if (computed > 1) {
    throw new Error(`cannot reshape ${formatShape(value.shape)} to ${formatShape(shape)}: two symbols move`);
  }
  return g.apply('Reshape', [value, g.constant(int64s(target))], {});
}

/** `value[starts:ends:steps]` along `axes`. */
export function slice(
  g: GraphBuilder,
  value: Value,
  axes: readonly number[],
  starts: readonly number[],
  ends: readonly number[],
  steps: readonly number[] = axes.map(() => 1),
): Value {
  const inputs = [starts, ends, axes, steps].map((list) => g.constant(int64s(list)));
  return g.apply('Slice', [value, ...inputs], {});
}

/** Zero padding; `pads` holds the begin of each axis, then the end of each axis. */
export function pad(g: GraphBuilder, value: Value, pads: readonly number[]): Value {
  if (pads.every((count) => count === 0)) return value;
  return g.apply('Pad', [value, g.constant(int64s(pads))], { mode: 'constant' });
}

/** The shape of `value` as an int64 vector: a constant where it is known, computed when the graph runs elsewhere. */
export function shapeOf(g: GraphBuilder, value: Value): Value {
  return isStatic(value.shape) ? g.constant(int64s(value.shape)) : g.apply('Shape', [value], {});
}

/** Broadcasts `value` to the shape of `like`. */
export function expandLike(g: GraphBuilder, value: Value, like: Value): Value {
  if (sameShape(value.shape, like.shape)) return value;
  return g.apply('Expand', [value, shapeOf(g, like)], {});
}

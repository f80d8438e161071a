import type { GraphBuilder } from '../builder.js';
import type { Value } from '../graph.js';
import type { Shape } from '../tensor.js';
import { formatShape, int64s, isStatic, sameShape } from '../tensor.js';

/** The Reshape target for `to`: a symbol that stays in place is copied (0), one other is computed (-1). */
function reshapeTarget(from: Shape, to: Shape): number[] | undefined {
  let computed = 0;
  const target = to.map((dim, axis) => {
    if (typeof dim === 'number') return dim;
    if (from[axis] === dim) return 0;
    computed++;
    return -1;
  });
  return computed > 1 ? undefined : target;
}

/** Positions of the axes of size 1. */
const unitAxes = (shape: Shape) => shape.flatMap((dim, axis) => (dim === 1 ? [axis] : []));

/** Reshapes to a shape that may hold symbols, as long as one moves at most, or only axes of size 1 come and go. */
export function reshape(g: GraphBuilder, value: Value, shape: Shape): Value {
  if (sameShape(value.shape, shape)) return value;
  const target = reshapeTarget(value.shape, shape);
  if (target) return g.apply('Reshape', [value, g.constant(int64s(target))], {});
  const significant = (dims: Shape) => dims.filter((dim) => dim !== 1);
  if (!sameShape(significant(value.shape), significant(shape))) {
    throw new Error(`cannot reshape ${formatShape(value.shape)} to ${formatShape(shape)}: two symbols move`);
  }
  const [dropped, added] = [unitAxes(value.shape), unitAxes(shape)];
  const bare = dropped.length > 0 ? g.apply('Squeeze', [value, g.constant(int64s(dropped))], {}) : value;
  return added.length > 0 ? g.apply('Unsqueeze', [bare, g.constant(int64s(added))], {}) : bare;
}

/** Reshapes to the shape of `like`, which is read when the graph runs where its symbols do not say it. */
export function reshapeLike(g: GraphBuilder, value: Value, like: Value): Value {
  if (sameShape(value.shape, like.shape) || reshapeTarget(value.shape, like.shape)) {
    return reshape(g, value, like.shape);
  }
  return g.apply('Reshape', [value, shapeOf(g, like)], {});
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

/** Zeros of the shape and dtype of `like`. */
export function zerosLike(g: GraphBuilder, like: Value): Value {
  return expandLike(g, g.scalar(0, like.dtype), like);
}

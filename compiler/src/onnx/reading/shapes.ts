import type { Value } from '../../graph.js';
import { multiplyDims } from '../../operators/dims.js';
import type { Dim, Shape } from '../../tensor.js';
import { broadcastShapes, formatShape, isStatic, normalizeAxis, sameShape } from '../../tensor.js';
import { divideDims } from './dims.js';
import type { NodeContext, Reading } from './node-context.js';

/**
 * The shape that a Reshape makes. A dimension that is only known when the graph runs is worked out from the others,
 * like one that is -1, so that `[Shape(x)[0], -1]` of `[N, 8, 2, 2]` becomes `[N, 32]`.
 */
function reshapedShape(c: NodeContext, from: Shape): Dim[] {
  const target = c.dims(1, 'the new shape') ?? c.refuse('has no new shape');
  const allowZero = c.flag('allowzero', 0) === 1;
  const shape = target.map((dim, axis) => {
    if (dim !== 0) return dim === -1 ? undefined : dim;
    if (allowZero) return c.refuse('makes a value without elements');
    return from[axis] ?? c.refuse(`dimension ${axis} copies an axis that ${formatShape(from)} lacks`);
  });
  const fixed = shape.filter((dim) => dim !== undefined);
  const wanted = () => `[${shape.map((dim) => dim ?? -1).join(', ')}]`;
  const impossible = () => c.refuse(`cannot reshape ${formatShape(from)} to ${wanted()}`);
  if (shape.length - fixed.length > 1) c.refuse(`expected one dimension to be open at most, got ${wanted()}`);
  const rest = divideDims(multiplyDims(from), multiplyDims(fixed)) ?? impossible();
  if (shape.length === fixed.length && rest !== 1) impossible();
  return shape.map((dim) => dim ?? rest);
}

/** A reshape where one can say it; the operator itself where more than one symbol moves and the table has it. */
function reshapeOr(c: NodeContext, shape: Shape, inputs: () => readonly Value[], attributes: object): Value {
  const x = c.input(0);
  const moved = shape.filter((dim, axis) => typeof dim === 'string' && x.shape[axis] !== dim);
  return moved.length > 1 && c.has(c.node.op) ? c.emit(c.node.op, inputs(), attributes) : c.reshape(x, shape);
}

/** Axes are an attribute before operator set 13, an input from then on. */
const axesOf = (c: NodeContext) => (c.opset >= 13 ? c.numbers(1, 'axes') : c.ints('axes'));

function flatten(c: NodeContext): Value {
  const { shape } = c.input(0);
  const axis = c.int('axis', 1);
  const at = axis === shape.length ? axis : normalizeAxis(axis, shape.length);
  const matrix = [multiplyDims(shape.slice(0, at)), multiplyDims(shape.slice(at))];
  return reshapeOr(c, matrix, () => [c.input(0)], { axis: at });
}

function squeeze(c: NodeContext): Value {
  const { shape } = c.input(0);
  const given = axesOf(c);
  if (!given && shape.some((dim) => typeof dim === 'string')) {
    c.refuse(`drops whatever axes of ${formatShape(shape)} turn out to be 1; name the axes`);
  }
  const axes = given ? c.axes(given, shape.length) : shape.flatMap((dim, axis) => (dim === 1 ? [axis] : []));
  for (const axis of axes) if (shape[axis] !== 1) c.refuse(`axis ${axis} of ${formatShape(shape)} is not 1`);
  const kept = shape.filter((_, axis) => !axes.includes(axis));
  return reshapeOr(c, kept, () => [c.input(0), c.integers(axes, 'axes')], {});
}

function unsqueeze(c: NodeContext): Value {
  const { shape } = c.input(0);
  const given = axesOf(c) ?? c.refuse('names no axes');
  const axes = c.axes(given, shape.length + given.length);
  const result: Dim[] = [...shape];
  for (const axis of [...axes].sort((a, b) => a - b)) result.splice(axis, 0, 1);
  return reshapeOr(c, result, () => [c.input(0), c.integers(axes, 'axes')], {});
}

function expand(c: NodeContext): Value {
  const x = c.input(0);
  const target = c.dims(1, 'the new shape') ?? c.refuse('has no new shape');
  if (target.includes(undefined)) c.refuse('expands to a shape that is not known when the model is read');
  const shape = broadcastShapes(x.shape, target as Dim[]);
  if (!shape) return c.refuse(`${formatShape(x.shape)} does not expand to ${formatShape(target as Dim[])}`);
  if (sameShape(shape, x.shape)) return x;
  // The shape of another value stays that.
  const like = c.slots[1]?.value;
  return like?.producer?.op === 'Shape' && !isStatic(shape) ? c.emit('Expand', [x, like], {}) : c.expand(x, shape);
}

/** A 1 that is repeated as often as a symbol says is expanded to it. */
function tile(c: NodeContext): Value {
  const x = c.input(0);
  const given = c.dims(1, 'repeats') ?? c.refuse('names no repeats');
  const symbolic = given.flatMap((count, axis) => (typeof count === 'string' && x.shape[axis] === 1 ? [axis] : []));
  const repeats = given.map((count, axis) => (symbolic.includes(axis) ? 1 : count));
  if (!repeats.every((count) => typeof count === 'number')) {
    return c.refuse(`expected repeats to be numbers, got [${given.map((count) => count ?? '?').join(', ')}]`);
  }
  const once = repeats.every((count) => count === 1);
  if (once && symbolic.length === 0) return x;
  const part = symbolic.length > 0 ? 'repeated' : 0;
  const wide = once ? x : c.emit('Tile', [x, c.integers(repeats, 'repeats')], {}, part);
  if (symbolic.length === 0) return wide;
  const shape = wide.shape.map((dim, axis) => (symbolic.includes(axis) ? (given[axis] as Dim) : dim));
  return c.expand(wide, shape);
}

function concat(c: NodeContext): Value {
  const parts = c.slots.map((_, i) => c.input(i));
  const [first = c.refuse('takes at least one input')] = parts;
  const axis = normalizeAxis(c.int('axis') ?? c.refuse('names no axis'), first.shape.length);
  return parts.length === 1 ? first : c.emit('Concat', parts, { axis });
}

function transpose(c: NodeContext): Value {
  const x = c.input(0);
  const perm = c.ints('perm') ?? x.shape.map((_, axis) => x.shape.length - 1 - axis);
  return c.emit('Transpose', [x], { perm: [...perm] });
}

function shape(c: NodeContext): Value {
  const x = c.input(0);
  const rank = x.shape.length;
  const [start, end] = [c.int('start', 0), c.int('end', rank)];
  if (start === 0 && end >= rank) return c.emit('Shape', [x], {});
  return c.slice(c.emit('Shape', [x], {}, 'whole'), [0], [start], [end], [1]);
}

export const shapes = {
  Reshape: { read: (c) => c.reshape(c.input(0), reshapedShape(c, c.input(0).shape)) },
  Flatten: { needs: ['Reshape'], read: flatten },
  Squeeze: { needs: ['Reshape'], read: squeeze },
  Unsqueeze: { needs: ['Reshape'], read: unsqueeze },
  Expand: { read: expand },
  Tile: { read: tile },
  Concat: { read: concat },
  Transpose: { read: transpose },
  Shape: { read: shape },
  Size: { read: (c) => c.emit('Size', [c.input(0)], {}) },
  DepthToSpace: {
    read: (c) =>
      c.emit('DepthToSpace', [c.input(0)], { blocksize: c.int('blocksize', 1), mode: c.word('mode', ['DCR', 'CRD']) }),
  },
  SpaceToDepth: { read: (c) => c.emit('SpaceToDepth', [c.input(0)], { blocksize: c.int('blocksize', 1) }) },
} satisfies Record<string, Reading>;

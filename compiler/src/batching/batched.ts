import type { GraphBuilder } from '../builder.js';
import type { Value } from '../graph.js';
import { reshape } from '../operators/shape-helpers.js';
import { type Dim, int64s, type Shape } from '../tensor.js';

/** A value of the batched graph: one for all tasks, or with a task axis among its axes. */
export interface Batched {
  readonly value: Value;
  /** Position of the task axis; undefined where all tasks share the value. */
  readonly axis: number | undefined;
}

const without = (shape: Shape, at: number): Dim[] => shape.filter((_, axis) => axis !== at);

export function inserted<T>(list: readonly T[], at: number, item: T): T[] {
  return [...list.slice(0, at), item, ...list.slice(at)];
}

/** The shape one task sees. */
export function taskShape({ value, axis }: Batched): Shape {
  return axis === undefined ? value.shape : without(value.shape, axis);
}

/** Moves the task axis, by a Reshape where it passes axes of size 1 only. */
export function moveTaskAxis(g: GraphBuilder, { value, axis }: Batched, to: number): Value {
  if (axis === undefined || axis === to) return value;
  const tasks = value.shape[axis] as Dim;
  const rest = without(value.shape, axis);
  const passed = rest.slice(Math.min(axis, to), Math.max(axis, to));
  if (passed.every((dim) => dim === 1)) return reshape(g, value, inserted(rest, to, tasks));
  const others = value.shape.map((_, at) => at).filter((at) => at !== axis);
  return g.apply('Transpose', [value], { perm: inserted(others, to, axis) });
}

/** The value with axes of size 1 in front of a task's own, until it has `rank` of them, and the task axis at `at`. */
export function alignTo(g: GraphBuilder, batched: Batched, rank: number, at: number): Value {
  const shape = taskShape(batched);
  const missing = rank - shape.length;
  const padded: Dim[] = [...Array<Dim>(missing).fill(1), ...shape];
  if (batched.axis === undefined) {
    // Broadcasting supplies what is missing in front.
    return missing >= at ? batched.value : reshape(g, batched.value, inserted(padded, at, 1).slice(missing));
  }
  const tasks = batched.value.shape[batched.axis] as Dim;
  const axis = batched.axis + missing;
  const value = missing > 0 ? reshape(g, batched.value, inserted(padded, axis, tasks)) : batched.value;
  return moveTaskAxis(g, { value, axis }, at);
}

/** The value with a task axis at `at`, repeated where all tasks share it. */
export function repeated(g: GraphBuilder, batched: Batched, tasks: number, at: number): Value {
  if (batched.axis !== undefined) return moveTaskAxis(g, batched, at);
  const { shape } = batched.value;
  const lifted = reshape(g, batched.value, inserted(shape, at, 1));
  return g.apply('Expand', [lifted, g.constant(int64s(inserted(shape, at, tasks) as number[]))], {});
}

/** The task axis and the axis next to it as one: `axis` 0 joins [T, N], 1 joins [N, T] or [T, C]. */
export function joinAxes(g: GraphBuilder, value: Value, axis: number): Value {
  const [a, b] = value.shape.slice(axis, axis + 2) as [number, number];
  return reshape(g, value, [...value.shape.slice(0, axis), a * b, ...value.shape.slice(axis + 2)]);
}

/** Takes `[a, b]` apart again. */
export function splitAxis(g: GraphBuilder, value: Value, axis: number, [a, b]: readonly [number, number]): Value {
  return reshape(g, value, [...value.shape.slice(0, axis), a, b, ...value.shape.slice(axis + 1)]);
}

import type { GraphBuilder } from '../builder.js';
import type { Value } from '../graph.js';
import type { ConvAttributes } from '../operators/attributes.js';
import { knownDim, multiplyDims } from '../operators/dims.js';
import { pad, reshape, slice } from '../operators/shape-helpers.js';
import { type Dim, int64s } from '../tensor.js';

/** What of a convolution's attributes says where its windows lie. */
export type Windows = Pick<ConvAttributes, 'kernel_shape' | 'strides' | 'dilations' | 'pads'>;

/** Height and width, at the axes given. */
export function imageSizeAt(value: Value, axes: readonly [number, number]): [number, number] {
  return [knownDim(value.shape[axes[0]], 'the image height'), knownDim(value.shape[axes[1]], 'the image width')];
}

/** What each kernel position sees of padded images, `rows x columns` windows along the two image axes. */
export function windowsOf(
  g: GraphBuilder,
  padded: Value,
  axes: readonly [number, number],
  [rows, columns]: readonly [number, number],
  a: Windows,
): Value[] {
  const [kh, kw] = a.kernel_shape;
  // A kernel of one entry sees the images as they are.
  if (kh * kw * a.strides[0] * a.strides[1] === 1) return [padded];
  return Array.from({ length: kh * kw }, (_, position) => {
    const starts = [Math.floor(position / kw) * a.dilations[0], (position % kw) * a.dilations[1]] as const;
    const ends = [starts[0] + (rows - 1) * a.strides[0] + 1, starts[1] + (columns - 1) * a.strides[1] + 1];
    return slice(g, padded, axes, starts, ends, a.strides);
  });
}

/**
 * `[N, C, H, W]` unfolded, channels last: `[N, rows * columns, kh * kw * C]`. What each entry of each window sees is gathered, a row of channels
 * at a time, on all threads: slices side by side are copied twice, on one.
 */
export function windowRows(g: GraphBuilder, x: Value, [rows, columns]: readonly [number, number], a: Windows): Value {
  const [n, channels] = x.shape as [Dim, number];
  const [top, left, bottom, right] = a.pads;
  const last = pad(g, g.apply('Transpose', [x], { perm: [0, 2, 3, 1] }), [0, top, left, 0, 0, bottom, right, 0]);
  const [height, width] = imageSizeAt(last, [1, 2]);
  const [kh, kw] = a.kernel_shape;
  const flat = reshape(g, last, [n, height * width, channels]);
  if (kh * kw * a.strides[0] * a.strides[1] === 1) return flat;
  const places = (count: number, row: number, step: Windows['strides']) =>
    Array.from({ length: count }, (_, i) => Math.floor(i / row) * step[0] * width + (i % row) * step[1]);
  // Few numbers, which are added up when the graph is loaded: where windows begin, and how far their entries are from there.
  const begins = g.constant({ ...int64s(places(rows * columns, columns, a.strides)), shape: [rows * columns, 1] });
  const seen = g.apply('Add', [begins, g.constant(int64s(places(kh * kw, kw, a.dilations)))], {});
  const gathered = g.apply('Gather', [flat, seen], { axis: 1 });
  return reshape(g, gathered, [n, rows * columns, kh * kw * channels]);
}

/** Windows side by side along an axis. */
export const joinWindows = (g: GraphBuilder, parts: readonly Value[], axis: number): Value =>
  parts.length === 1 ? (parts[0] as Value) : g.apply('Concat', parts, { axis });

/** Kernels `[O, I, kh, kw]`, the last entry first. */
export const turnKernels = (g: GraphBuilder, kernels: Value, [kh, kw]: ConvAttributes['kernel_shape']): Value =>
  kh * kw === 1 ? kernels : slice(g, kernels, [2, 3], [kh - 1, kw - 1], [-kh - 1, -kw - 1], [-1, -1]);

/** `[N, C, H, W]` with the pads of a convolution around each image. */
export function padImages(g: GraphBuilder, x: Value, [top, left, bottom, right]: Windows['pads']): Value {
  return pad(g, x, [0, 0, top, left, 0, 0, bottom, right]);
}

/**
 * Images `[N, G * C, H, W]` unfolded per group: `[G, kh * kw * C, N * rows * columns]`, all windows of a group side by
 * side, so that a convolution of the group is one matrix product.
 */
export function unfoldGroups(
  g: GraphBuilder,
  x: Value,
  groups: number,
  [rows, columns]: readonly [number, number],
  a: Windows,
): Value {
  const [n, channels] = x.shape as [Dim, number];
  const perGroup = channels / groups;
  const parts = windowsOf(g, padImages(g, x, a.pads), [2, 3], [rows, columns], a).map((part) =>
    reshape(g, part, [n, groups, perGroup, rows * columns]),
  );
  const joined = joinWindows(g, parts, 2);
  const first = g.apply('Transpose', [joined], { perm: [1, 2, 0, 3] });
  return reshape(g, first, [groups, parts.length * perGroup, multiplyDims([n, rows * columns])]);
}

/** `[N, G * C, rows, columns]` as `[G, C, N * rows * columns]`. */
export function groupsFirst(g: GraphBuilder, x: Value, groups: number): Value {
  const [n, channels] = x.shape as [Dim, number];
  const positions = imageSizeAt(x, [2, 3]).reduce((a, b) => a * b);
  const split = reshape(g, x, [n, groups, channels / groups, positions]);
  const first = g.apply('Transpose', [split], { perm: [1, 2, 0, 3] });
  return reshape(g, first, [groups, channels / groups, multiplyDims([n, positions])]);
}

/** The way back: `[G, C, N * rows * columns]` as `[N, G * C, rows, columns]`. */
export function imagesFirst(g: GraphBuilder, value: Value, n: Dim, [rows, columns]: readonly [number, number]): Value {
  const [groups, channels] = value.shape as [number, number];
  const split = reshape(g, value, [groups, channels, n, rows * columns]);
  const first = g.apply('Transpose', [split], { perm: [2, 0, 1, 3] });
  return reshape(g, first, [n, groups * channels, rows, columns]);
}

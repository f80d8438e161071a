import type { Value } from '../../graph.js';
import type { Dim } from '../../tensor.js';
import { formatShape, normalizeAxis } from '../../tensor.js';
import type { NodeContext, Reading } from './node-context.js';

interface Cut {
  readonly axis: number;
  readonly start: number;
  readonly end: number;
  readonly step: number;
}

/** What a slice leaves of an axis, or undefined where it leaves all of it. */
function cutOf(c: NodeContext, size: Dim, axis: number, range: readonly (Dim | undefined)[]): Cut | undefined {
  const [start, end, step] = range;
  const far = 2 ** 31 - 1;
  if (start === 0 && step === 1 && (end === size || (typeof end === 'number' && end >= far))) return undefined;
  if (typeof size !== 'number') return c.refuse(`slices along the symbol ${size}`);
  if (typeof start !== 'number' || typeof end !== 'number' || typeof step !== 'number' || step === 0) {
    return c.refuse(`expected numbers along axis ${axis}, got [${range.map((item) => item ?? '?').join(', ')}]`);
  }
  const [low, high] = step > 0 ? [0, size] : [-1, size - 1];
  const clamp = (at: number) => Math.min(high, Math.max(low, at < 0 ? at + size : at));
  const cut = { axis, start: clamp(start), end: clamp(end), step };
  return cut.start === 0 && cut.end === size && step === 1 ? undefined : cut;
}

/** Ranges are attributes before operator set 10, inputs from then on. A backward slice becomes a Gather. */
function slice(c: NodeContext): Value {
  const x = c.input(0);
  const old = c.opset < 10;
  const starts = (old ? c.ints('starts') : c.dims(1, 'starts')) ?? c.refuse('has no starts');
  const ends = (old ? c.ints('ends') : c.dims(2, 'ends')) ?? c.refuse('has no ends');
  const axes = (old ? c.ints('axes') : c.numbers(3, 'axes')) ?? starts.map((_, axis) => axis);
  const steps = (old ? undefined : c.numbers(4, 'steps')) ?? starts.map(() => 1);
  if ([ends, axes, steps].some((list) => list.length !== starts.length)) c.refuse('its ranges differ in number');
  const cuts = c.axes(axes, x.shape.length).flatMap((axis, i) => {
    const cut = cutOf(c, x.shape[axis] as Dim, axis, [starts[i], ends[i], steps[i]]);
    return cut ? [cut] : [];
  });
  const forward = cuts.filter((cut) => cut.step > 0);
  const backward = cuts.filter((cut) => cut.step < 0);
  let value = x;
  if (forward.length > 0) {
    const list = (key: keyof Cut) => forward.map((cut) => cut[key]);
    const part = backward.length > 0 ? 'forward' : 0;
    value = c.slice(value, list('axis'), list('start'), list('end'), list('step'), part);
  }
  backward.forEach(({ axis, start, end, step }, i) => {
    const indices: number[] = [];
    for (let at = start; at > end; at += step) indices.push(at);
    const part = i + 1 < backward.length ? `backward/${axis}` : 0;
    value = c.emit('Gather', [value, c.integers(indices, `indices/${axis}`)], { axis }, part);
  });
  return value;
}

/** Sizes are an attribute before operator set 13, then an input, or `num_outputs` parts with a shorter last one. */
function split(c: NodeContext): Value[] {
  const x = c.input(0);
  const axis = normalizeAxis(c.int('axis', 0), x.shape.length);
  const total = x.shape[axis];
  if (typeof total !== 'number') return c.refuse(`splits along the symbol ${total}`);
  const count = c.int('num_outputs', c.node.outputs.length);
  const share = Math.ceil(total / count);
  const even = () => c.node.outputs.map((_, i) => Math.max(0, Math.min(share, total - i * share)));
  const sizes = (c.opset < 13 ? c.ints('split') : c.numbers(1, 'split')) ?? even();
  if (sizes.reduce((a, b) => a + b, 0) !== total || sizes.length !== c.node.outputs.length) {
    c.refuse(`splits ${total} elements into [${sizes.join(', ')}] for ${c.node.outputs.length} outputs`);
  }
  let start = 0;
  return sizes.map((size, i) => {
    const from = start;
    start += size;
    return size === total ? x : c.slice(x, [axis], [from], [start], [1], i);
  });
}

/** Pads are an attribute before operator set 11, inputs from then on; negative ones crop. */
function pad(c: NodeContext): Value {
  const x = c.input(0);
  const rank = x.shape.length;
  const old = c.opset < 11;
  const mode = c.word('mode', ['constant', 'reflect', 'edge']);
  const given = (old ? c.ints('pads') : c.numbers(1, 'pads')) ?? c.refuse('has no pads');
  const axes = (old ? undefined : c.numbers(3, 'axes')) ?? x.shape.map((_, axis) => axis);
  if (given.length !== 2 * axes.length) c.refuse(`expected ${2 * axes.length} pads, got ${given.length}`);
  const pads = new Array<number>(2 * rank).fill(0);
  c.axes(axes, rank).forEach((axis, i) => {
    pads[axis] = given[i] as number;
    pads[axis + rank] = given[i + axes.length] as number;
  });
  const cropped = x.shape.flatMap((_, axis) => ((pads[axis] ?? 0) < 0 || (pads[axis + rank] ?? 0) < 0 ? [axis] : []));
  const grows = pads.some((count) => count > 0);
  let value = x;
  if (cropped.length > 0) {
    const starts = cropped.map((axis) => Math.max(0, -(pads[axis] as number)));
    const ends = cropped.map((axis) => {
      const size = x.shape[axis];
      if (typeof size !== 'number') return c.refuse(`crops ${formatShape(x.shape)} along a symbol`);
      return size - Math.max(0, -(pads[axis + rank] as number));
    });
    const ones = cropped.map(() => 1);
    value = c.slice(value, cropped, starts, ends, ones, grows ? 'cropped' : 0);
  }
  const fill = old ? c.float('value', 0) : c.optional(2);
  if (!grows) return value;
  const around = c.integers(
    pads.map((count) => Math.max(0, count)),
    'pads',
  );
  const filling = typeof fill === 'number' ? (fill === 0 ? undefined : c.scalar(fill, 'value')) : fill;
  return c.emit('Pad', [value, around, ...(filling && mode === 'constant' ? [filling] : [])], { mode });
}

export const slicing = {
  Slice: { read: slice },
  Split: { needs: ['Slice'], read: split },
  Pad: { read: pad },
  Gather: { read: (c) => c.emit('Gather', [c.input(0), c.input(1)], { axis: c.int('axis', 0) }) },
  GatherElements: { read: (c) => c.emit('GatherElements', [c.input(0), c.input(1)], { axis: c.int('axis', 0) }) },
  ScatterElements: {
    read: (c) =>
      c.emit('ScatterElements', [c.input(0), c.input(1), c.input(2)], {
        axis: c.int('axis', 0),
        reduction: c.word('reduction', ['none', 'add']),
      }),
  },
  Trilu: {
    read: (c) => {
      const diagonal = c.optional(1);
      return c.emit('Trilu', [c.input(0), ...(diagonal ? [diagonal] : [])], { upper: c.flag('upper', 1) });
    },
  },
} satisfies Record<string, Reading>;

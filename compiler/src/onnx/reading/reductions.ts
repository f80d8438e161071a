import type { Value } from '../../graph.js';
import { normalizeAxis } from '../../tensor.js';
import type { NodeContext, Reading } from './node-context.js';

/** Operator set from which `axes` is an input: 13 for the sum, 18 for the others. */
const axesInputSince = (op: string): number => (op === 'ReduceSum' ? 13 : 18);

/** Without axes, each element is reduced by itself: what the operator does to one is left. */
function unreduced(c: NodeContext, x: Value): Value {
  switch (c.node.op) {
    case 'ReduceL1':
    case 'ReduceL2':
      return c.emit('Abs', [x], {});
    case 'ReduceSumSquare':
      return c.emit('Mul', [x, x], {});
    default:
      return x;
  }
}

function reduce(c: NodeContext): Value {
  const x = c.input(0);
  const given = c.opset >= axesInputSince(c.node.op) ? c.numbers(1, 'axes') : c.ints('axes');
  const keepdims = c.flag('keepdims', 1);
  const none = !given || given.length === 0;
  if (c.flag('noop_with_empty_axes', 0) && none) return unreduced(c, x);
  const axes = none ? [] : [c.integers(c.axes(given, x.shape.length), 'axes')];
  return c.emit(c.node.op, [x, ...axes], { keepdims });
}

/** log(sum(x)) */
function reduceLogSum(c: NodeContext): Value {
  const x = c.input(0);
  const given = c.opset >= 18 ? c.numbers(1, 'axes') : c.ints('axes');
  const keepdims = c.flag('keepdims', 1);
  const none = !given || given.length === 0;
  if (c.flag('noop_with_empty_axes', 0) && none) return c.emit('Log', [x], {});
  const axes = none ? [] : [c.integers(c.axes(given, x.shape.length), 'axes')];
  return c.emit('Log', [c.emit('ReduceSum', [x, ...axes], { keepdims }, 'sum')], {});
}

/** `value` moved along an axis of known size, zeros behind it: to later places by a positive number. */
function shifted(c: NodeContext, value: Value, axis: number, size: number, by: number, part: string): Value {
  const reach = Math.abs(by);
  if (reach >= size) return c.emit('Sub', [value, value], {}, part);
  const kept = by > 0 ? [0, size - reach] : [reach, size];
  const slice = c.slice(value, [axis], [kept[0] as number], [kept[1] as number], [1], `${part}/kept`);
  const pads = new Array<number>(2 * value.shape.length).fill(0);
  pads[by > 0 ? axis : axis + value.shape.length] = reach;
  return c.emit('Pad', [slice, c.integers(pads, `${part}/pads`)], { mode: 'constant' }, part);
}

/** Sums of all up to each place, by doubling (Hillis and Steele 1986): after k additions they reach 2^k places back. */
function cumulativeSum(c: NodeContext): Value {
  const x = c.input(0);
  const [wanted, ...others] = c.numbers(1, 'axis') ?? [];
  if (wanted === undefined || others.length > 0) return c.refuse('names no axis, or several');
  const axis = normalizeAxis(wanted, x.shape.length);
  const size = x.shape[axis];
  if (typeof size !== 'number') return c.refuse(`sums along the symbol ${size}`);
  const direction = c.flag('reverse', 0) ? -1 : 1;
  let value = c.flag('exclusive', 0) ? shifted(c, x, axis, size, direction, 'exclusive') : x;
  for (let reach = 1; reach < size; reach *= 2) {
    const moved = shifted(c, value, axis, size, direction * reach, `moved/${reach}`);
    value = c.emit('Add', [value, moved], {}, reach * 2 < size ? `sum/${reach}` : 0);
  }
  return value;
}

/** Position of the largest or smallest element along an axis. */
const position: Reading = {
  read: (c) =>
    c.emit(c.node.op, [c.input(0)], {
      axis: c.int('axis', 0),
      keepdims: c.flag('keepdims', 1),
      select_last_index: c.flag('select_last_index', 0),
    }),
};

export const reductions = {
  ReduceL1: { read: reduce },
  ReduceL2: { read: reduce },
  CumSum: { needs: ['Pad'], read: cumulativeSum },
  ReduceLogSum: { needs: ['ReduceSum'], read: reduceLogSum },
  ReduceLogSumExp: { read: reduce },
  ReduceMax: { read: reduce },
  ReduceMean: { read: reduce },
  ReduceMin: { read: reduce },
  ReduceProd: { read: reduce },
  ReduceSum: { read: reduce },
  ReduceSumSquare: { read: reduce },
  ArgMax: position,
  ArgMin: position,
} satisfies Record<string, Reading>;

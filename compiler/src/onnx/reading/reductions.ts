import type { Value } from '../../graph.js';
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

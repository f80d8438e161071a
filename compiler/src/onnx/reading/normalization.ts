import type { Value } from '../../graph.js';
import { multiplyDims } from '../../operators/dims.js';
import type { Dim } from '../../tensor.js';
import { normalizeAxis } from '../../tensor.js';
import { isOfConstants } from './fold-reading.js';
import type { NodeContext, Reading } from './node-context.js';

/** (x - mean) / sqrt(variance + epsilon) * scale + shift, by the moments of `x` over all axes but the second. */
function byOwnMoments(c: NodeContext, x: Value): Value {
  const axes = c.integers([0, ...x.shape.map((_, axis) => axis).slice(2)], 'axes');
  const meanOf = (value: Value, part: string) => c.emit('ReduceMean', [value, axes], { keepdims: 1 }, part);
  const centred = c.emit('Sub', [x, meanOf(x, 'mean')], {}, 'centred');
  const variance = meanOf(c.emit('Mul', [centred, centred], {}, 'squares'), 'variance');
  const sum = c.emit('Add', [variance, c.scalar(c.float('epsilon', 1e-5), 'epsilon')], {}, 'sum');
  const standard = c.emit('Div', [centred, c.emit('Sqrt', [sum], {}, 'deviation')], {}, 'standard');
  const column = x.shape.map((_, axis) => (axis === 1 ? (x.shape[1] as Dim) : 1));
  const [scale, shift] = [1, 2].map((at) => c.reshape(c.input(at), column, `${at}/column`)) as [Value, Value];
  return c.emit('Add', [c.emit('Mul', [standard, scale], {}, 'scaled'), shift], {});
}

/**
 * Inference only: stored moments. Before operator set 14 training shows in the outputs that are used. Of weights, which
 * networks standardize so, the moments are the weights' own.
 */
function batchNormalization(c: NodeContext): Value {
  c.ignore('momentum');
  if (c.flag('training_mode', 0)) {
    return isOfConstants(c.input(0)) ? byOwnMoments(c, c.input(0)) : c.refuse('is in training mode');
  }
  if (c.opset < 9 && c.flag('spatial', 1) === 0) c.refuse('spatial 0 is not supported');
  const inputs = Array.from({ length: 5 }, (_, i) => c.input(i));
  return c.emit('BatchNormalization', inputs, { epsilon: c.float('epsilon', 1e-5) });
}

function layerNormalization(c: NodeContext): Value {
  c.ignore('stash_type');
  const bias = c.optional(2);
  return c.emit('LayerNormalization', [c.input(0), c.input(1), ...(bias ? [bias] : [])], {
    axis: c.int('axis', -1),
    epsilon: c.float('epsilon', 1e-5),
  });
}

/** Before operator set 21 scale and bias have an entry a group, from then on one a channel. */
function groupNormalization(c: NodeContext): Value {
  c.ignore('stash_type');
  const x = c.input(0);
  const channels = x.shape[1];
  const num_groups = c.int('num_groups') ?? c.refuse('names no num_groups');
  if (typeof channels !== 'number') return c.refuse(`has the symbol ${channels} as its number of channels`);
  const [scale, bias] = [1, 2].map((position) => {
    const value = c.input(position);
    if (c.opset >= 21 || num_groups === channels) return value;
    const column = c.reshape(value, [num_groups, 1], `${position}/column`);
    const shape = c.integers([num_groups, channels / num_groups], `${position}/expanded`);
    const wide = c.emit('Expand', [column, shape], {}, `${position}/wide`);
    return c.reshape(wide, [channels], `${position}/channels`);
  });
  return c.emit('GroupNormalization', [x, scale, bias], { num_groups, epsilon: c.float('epsilon', 1e-5) });
}

/** `x / |x|` along an axis. */
function lpNormalization(c: NodeContext): Value {
  const x = c.input(0);
  const p = c.int('p', 2);
  if (p !== 1 && p !== 2) return c.refuse(`expected p of 1 or 2, got ${p}`);
  const axis = normalizeAxis(c.int('axis', -1), x.shape.length);
  const norm = c.emit(`ReduceL${p}`, [x, c.integers([axis], 'axes')], { keepdims: 1 }, 'norm');
  return c.emit('Div', [x, norm], {});
}

/** `x / sqrt(mean(x^2) + epsilon)` over the axes from `axis` on, scaled. */
function rmsNormalization(c: NodeContext): Value {
  c.ignore('stash_type');
  const x = c.input(0);
  const rank = x.shape.length;
  const from = normalizeAxis(c.int('axis', -1), rank);
  const axes = c.integers(
    x.shape.map((_, axis) => axis).filter((axis) => axis >= from),
    'axes',
  );
  const square = c.emit('Mul', [x, x], {}, 'square');
  const mean = c.emit('ReduceMean', [square, axes], { keepdims: 1 }, 'mean');
  const shifted = c.emit('Add', [mean, c.scalar(c.float('epsilon', 1e-5), 'epsilon')], {}, 'shifted');
  const root = c.emit('Sqrt', [shifted], {}, 'root');
  return c.emit('Mul', [c.emit('Div', [x, root], {}, 'normalized'), c.input(1)], {});
}

/** `x / (bias + alpha mean(x^2))^beta`, the mean over `size` neighbouring channels, of which those outside are 0. */
function localResponse(c: NodeContext): Value {
  const x = c.input(0);
  const [batch, channels, ...rest] = x.shape;
  const size = c.int('size') ?? c.refuse('names no size');
  if (batch === undefined || channels === undefined || size < 1)
    return c.refuse(`size ${size} of rank ${x.shape.length}`);
  const rows = c.reshape(x, [batch, 1, channels, rest.length > 0 ? multiplyDims(rest) : 1], 'rows');
  const square = c.emit('Mul', [rows, rows], {}, 'square');
  const below = Math.floor((size - 1) / 2);
  const window = { kernel_shape: [size, 1], strides: [1, 1], pads: [below, 0, size - 1 - below, 0] };
  const mean = c.emit('AveragePool', [square], { ...window, count_include_pad: 1 }, 'mean');
  const scaled = c.emit('Mul', [mean, c.scalar(c.float('alpha', 1e-4), 'alpha')], {}, 'scaled');
  const base = c.emit('Add', [scaled, c.scalar(c.float('bias', 1), 'bias')], {}, 'base');
  const divisor = c.emit('Pow', [base, c.scalar(c.float('beta', 0.75), 'beta')], {}, 'divisor');
  return c.reshape(c.emit('Div', [rows, divisor], {}, 'normalized'), x.shape);
}

/**
 * Before operator set 13 the axes from `axis` (default 1) on are one: the value is flattened to a matrix whose rows
 * sum to 1. Where only one of those axes is longer than 1, that is the same as along it.
 */
function softmax(c: NodeContext): Value {
  const x = c.input(0);
  const { op } = c.node;
  if (c.opset >= 13) return c.emit(op, [x], { axis: c.int('axis', -1) });
  const rank = x.shape.length;
  const axis = normalizeAxis(c.int('axis', 1), rank);
  const long = x.shape.flatMap((dim, at) => (at >= axis && dim !== 1 ? [at] : []));
  if (long.length <= 1) return c.emit(op, [x], { axis: long[0] ?? axis });
  const rows: Dim = axis === 1 ? (x.shape[0] as Dim) : multiplyDims(x.shape.slice(0, axis));
  const matrix = c.reshape(x, [rows, multiplyDims(x.shape.slice(axis))], 'matrix');
  return c.reshape(c.emit(op, [matrix], { axis: 1 }, 'rows'), x.shape);
}

export const normalization = {
  BatchNormalization: { read: batchNormalization },
  InstanceNormalization: {
    read: (c) =>
      c.emit('InstanceNormalization', [c.input(0), c.input(1), c.input(2)], { epsilon: c.float('epsilon', 1e-5) }),
  },
  GroupNormalization: { read: groupNormalization },
  LayerNormalization: { read: layerNormalization },
  LRN: { needs: ['AveragePool'], read: localResponse },
  RMSNormalization: { needs: ['ReduceMean'], read: rmsNormalization },
  LpNormalization: { needs: ['ReduceL2'], read: lpNormalization },
  Softmax: { read: softmax },
  LogSoftmax: { read: softmax },
} satisfies Record<string, Reading>;

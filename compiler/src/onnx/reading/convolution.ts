import type { Node, Value } from '../../graph.js';
import type { NodeContext, Part, Reading } from './node-context.js';
import { ceilPadding, expectImages, type ImageWindow, readWindow, splitPadding } from './windows.js';

const present = (c: NodeContext, position: number): Value[] => {
  const value = c.optional(position);
  return value ? [value] : [];
};

function conv(c: NodeContext): Value {
  const [x, w] = [c.input(0), c.input(1)];
  expectImages(c, x);
  const [image, window] = takePadding(x, readWindow(c, x, w.shape.slice(2)));
  return c.emit('Conv', [image, w, ...present(c, 2)], { ...window, group: c.int('group', 1) });
}

/**
 * Zeros that a node of its own lays around an image, as exporters of TensorFlow's padding do, become the window's: laying them costs as
 * much as a convolution of few channels, and cutting them off its gradient again.
 */
function takePadding(x: Value, window: ImageWindow): [Value, ImageWindow] {
  const { producer } = x;
  if (producer?.op !== 'Pad' || (producer as Node<'Pad'>).attributes.mode !== 'constant') return [x, window];
  const [image, around, filling] = producer.inputs;
  const padded = around?.constant && Array.from(around.constant.data, Number);
  const isZero = !filling || filling.constant?.data.every((value) => Number(value) === 0);
  if (!image || !padded || !isZero) return [x, window];
  const [n, c, top, left, lastN, lastC, bottom, right] = padded as [number, number, ...number[]] & number[];
  const pads = [top, left, bottom, right].map((count, side) => (count as number) + (window.pads[side] as number));
  const { kernel_shape, dilations } = window;
  const fits = pads.every(
    (count, side) => count <= ((kernel_shape[side % 2] as number) - 1) * (dilations[side % 2] as number),
  );
  if (!fits || [n, c, lastN, lastC].some((count) => count !== 0)) return [x, window];
  return [image, { ...window, pads: pads as unknown as ImageWindow['pads'] }];
}

/** `output_shape` and `auto_pad` are resolved to pads; ONNX ignores `pads` where there is an `output_shape`. */
function convTranspose(c: NodeContext): Value {
  const [x, w] = [c.input(0), c.input(1)];
  expectImages(c, x);
  const auto = c.string('auto_pad', 'NOTSET');
  const window = readWindow(c, x, w.shape.slice(2));
  const outputPadding = c.ints('output_padding') ?? [0, 0];
  const shape = c.ints('output_shape')?.slice(-2);
  let { pads } = window;
  if (auto === 'SAME_UPPER' || auto === 'SAME_LOWER' || shape?.length) {
    const [rows, columns] = [0, 1].map((axis) => {
      const size = x.shape[axis + 2];
      if (typeof size !== 'number') return c.refuse(`its output depends on an image size that is the symbol ${size}`);
      const [stride, kernel] = [window.strides[axis], window.kernel_shape[axis]] as [number, number];
      const span = (kernel - 1) * (window.dilations[axis] as number) + 1;
      const wanted = shape?.length ? (shape[axis] as number) : size * stride;
      const total = stride * (size - 1) + (outputPadding[axis] ?? 0) + span - wanted;
      if (total < 0) return c.refuse(`an output of ${wanted} takes padding of the output, which is not supported`);
      return splitPadding(total, auto !== 'SAME_UPPER');
    }) as [[number, number], [number, number]];
    pads = [rows[0], columns[0], rows[1], columns[1]];
  }
  const attributes = { ...window, pads, group: c.int('group', 1), output_padding: outputPadding };
  return c.emit('ConvTranspose', [x, w, ...present(c, 2)], attributes);
}

function maxPool(c: NodeContext): Value {
  const x = c.input(0);
  expectImages(c, x);
  c.ignore('storage_order');
  const { dilations, ...window } = readWindow(c, x);
  const [bottom, right] = c.flag('ceil_mode', 0) ? ceilPadding(c, x, { ...window, dilations }) : [0, 0];
  const [top, left, ...ends] = window.pads;
  const dilated = dilations.some((dilation) => dilation !== 1) ? { dilations } : {};
  return c.emit('MaxPool', [x], { ...window, ...dilated, pads: [top, left, ends[0] + bottom, ends[1] + right] });
}

/** What `ceil_mode` adds is never counted; where the padding itself is, that is made of zeros first. */
function averagePool(c: NodeContext): Value {
  let x = c.input(0);
  expectImages(c, x);
  const { dilations, pads, ...window } = readWindow(c, x);
  if (dilations.some((dilation) => dilation !== 1)) c.refuse(`dilations [${dilations}] are not supported`);
  const [bottom, right] = c.flag('ceil_mode', 0) ? ceilPadding(c, x, { ...window, dilations, pads }) : [0, 0];
  const [top, left, ...ends] = pads;
  const padded = pads.some((count) => count > 0);
  const counted = c.flag('count_include_pad', 0) === 1 && padded;
  if (counted && bottom + right > 0) {
    const around = c.integers([0, 0, top, left, 0, 0, ends[0], ends[1]], 'pads');
    x = c.emit('Pad', [x, around], { mode: 'constant' }, 'padded');
    return c.emit('AveragePool', [x], { ...window, pads: [0, 0, bottom, right], count_include_pad: 0 });
  }
  return c.emit('AveragePool', [x], {
    ...window,
    pads: [top, left, ends[0] + bottom, ends[1] + right],
    count_include_pad: counted ? 1 : 0,
  });
}

/** `x^(1/p)` of sums that are 0 or more; its slope at 0, which is infinite, is taken to be 0. */
function root(c: NodeContext, sum: Value, p: number): Value {
  const positive = c.emit('Greater', [sum, c.scalar(0, 'zero')], {}, 'positive');
  const safe = c.emit('Where', [positive, sum, c.scalar(1, 'one')], {}, 'safe');
  const power =
    p === 2 ? c.emit('Sqrt', [safe], {}, 'root') : c.emit('Pow', [safe, c.scalar(1 / p, '1/p')], {}, 'root');
  return c.emit('Where', [positive, power, c.scalar(0, 'nothing')], {});
}

/** `|x|^p` */
function power(c: NodeContext, x: Value, p: number): Value {
  if (p < 1) return c.refuse(`expected p of 1 or more, got ${p}`);
  if (p === 2) return c.emit('Mul', [x, x], {}, 'power');
  const size = c.emit('Abs', [x], {}, 'size');
  return p === 1 ? size : c.emit('Pow', [size, c.scalar(p, 'p')], {}, 'power');
}

/** Sums over windows that lie inside the image: the mean times the size, or, where they are dilated, slice by slice. */
function windowSums(c: NodeContext, x: Value, { dilations, ...window }: Omit<ImageWindow, 'pads'>, part: Part): Value {
  const { kernel_shape, strides } = window;
  const [height, width] = kernel_shape;
  if (dilations.every((dilation) => dilation === 1)) {
    const mean = c.emit('AveragePool', [x], { ...window, pads: [0, 0, 0, 0], count_include_pad: 0 }, 'mean');
    return c.emit('Mul', [mean, c.scalar(height * width, 'count')], {}, part);
  }
  const reach = [0, 1].map((axis) => {
    const size = x.shape[axis + 2];
    if (typeof size !== 'number') return c.refuse(`is dilated on an image whose size is the symbol ${size}`);
    const span = ((kernel_shape[axis] as number) - 1) * (dilations[axis] as number) + 1;
    return Math.floor((size - span) / (strides[axis] as number)) * (strides[axis] as number) + 1;
  });
  const parts = Array.from({ length: height * width }, (_, i) => {
    const starts = [Math.floor(i / width) * dilations[0], (i % width) * dilations[1]];
    const ends = starts.map((start, axis) => start + (reach[axis] as number));
    return c.slice(x, [2, 3], starts, ends, [...strides], `place/${i}`);
  });
  const last = parts.length - 1;
  return parts.slice(1).reduce((sum, value, i) => {
    return c.emit('Add', [sum, value], {}, i + 1 < last ? `sum/${i}` : part);
  }, parts[0] as Value);
}

/** `(sum |x|^p)^(1/p)` over a window, all padding made of zeros first. */
function lpPool(c: NodeContext): Value {
  const x = c.input(0);
  expectImages(c, x);
  const p = c.int('p', 2);
  const { dilations, pads, ...window } = readWindow(c, x);
  const [bottom, right] = c.flag('ceil_mode', 0) ? ceilPadding(c, x, { ...window, dilations, pads }) : [0, 0];
  const [top, left, ...ends] = pads;
  const around = [0, 0, top, left, 0, 0, ends[0] + bottom, ends[1] + right];
  let powers = power(c, x, p);
  if (around.some((count) => count > 0)) {
    powers = c.emit('Pad', [powers, c.integers(around, 'pads')], { mode: 'constant' }, 'padded');
  }
  const sum = windowSums(c, powers, { ...window, dilations }, p === 1 ? 0 : 'sum');
  return p === 1 ? sum : root(c, sum, p);
}

/** `(sum |x|^p)^(1/p)` of each channel. */
function globalLpPool(c: NodeContext): Value {
  const x = c.input(0);
  const p = c.int('p', 2);
  const axes = c.integers(x.shape.map((_, axis) => axis).slice(2), 'axes');
  const sum = c.emit('ReduceSum', [power(c, x, p), axes], { keepdims: 1 }, p === 1 ? 0 : 'sum');
  return p === 1 ? sum : root(c, sum, p);
}

/** The mean or the maximum of each channel: the operator of that name if the table has it, else a reduction. */
const globalPool = (reduction: 'ReduceMean' | 'ReduceMax'): Reading => ({
  needs: [reduction],
  read: (c) => {
    const x = c.input(0);
    if (c.has(c.node.op)) return c.emit(c.node.op, [x], {});
    const axes = x.shape.map((_, axis) => axis).slice(2);
    return c.emit(reduction, [x, c.integers(axes, 'axes')], { keepdims: 1 });
  },
});

export const convolution = {
  Conv: { read: conv },
  ConvTranspose: { read: convTranspose },
  MaxPool: { read: maxPool },
  AveragePool: { read: averagePool },
  LpPool: { needs: ['AveragePool'], read: lpPool },
  GlobalLpPool: { needs: ['ReduceSum'], read: globalLpPool },
  GlobalAveragePool: globalPool('ReduceMean'),
  GlobalMaxPool: globalPool('ReduceMax'),
} satisfies Record<string, Reading>;

import type { OperatorAttributes } from '@whet/compiler';
import {
  type Call,
  operand,
  padAxes,
  type RuleOf,
  reshapeTo,
  sliceOf,
  stridedSlice,
  type Tf,
  type TfTensor,
  transpose,
} from './rule.js';

type Attributes = OperatorAttributes['Conv'];
type Window = Omit<Attributes, 'group'>;
type Pair = readonly [number, number];

const span = ({ kernel_shape, dilations }: Window, axis: 0 | 1) => (kernel_shape[axis] - 1) * dilations[axis] + 1;

/** Padding of an image `[N, C, H, W]`; a negative number of rows is cut off. */
function padImage(tf: Tf, x: TfTensor, [top, left, bottom, right]: Attributes['pads']): TfTensor {
  if (top === 0 && left === 0 && bottom === 0 && right === 0) return x;
  const [n, c, h, w] = x.shape as [number, number, number, number];
  const cut = sliceOf(
    tf,
    x,
    [0, 0, Math.max(0, -top), Math.max(0, -left)],
    [n, c, h + Math.min(0, top) + Math.min(0, bottom), w + Math.min(0, left) + Math.min(0, right)],
  );
  const most = (count: number) => Math.max(0, count);
  return padAxes(tf, cut, [
    [0, 0],
    [0, 0],
    [most(top), most(bottom)],
    [most(left), most(right)],
  ]);
}

/**
 * y[:, :, i, j] is the product of the window at (i, j) with the whole weight. Where the kernel has more positions than
 * the output, as in gradients of weights, a few large matrix products are much faster than a convolution.
 */
function convByWindows(tf: Tf, x: TfTensor, w: TfTensor, a: Window, [height, width]: Pair): TfTensor {
  const [n, c] = x.shape as [number, number];
  const [out, , kh, kw] = w.shape as [number, number, number, number];
  const weights = reshapeTo(tf, w, [out, c * kh * kw]);
  const columns: TfTensor[] = [];
  for (let i = 0; i < height; i++) {
    for (let j = 0; j < width; j++) {
      const from = [0, 0, i * a.strides[0], j * a.strides[1]];
      const window = stridedSlice(tf, x, from, [n, c, kh, kw], [1, 1, ...a.dilations]);
      const product = tf.matMul(reshapeTo(tf, window, [n, c * kh * kw]), weights, false, true);
      columns.push(reshapeTo(tf, product, [n, out, 1]));
    }
  }
  return reshapeTo(tf, tf.concat(columns, 2), [n, out, height, width]);
}

/** As TensorFlow.js has it: channels last, and strides or dilations of 1. */
function convChannelsLast(tf: Tf, x: TfTensor, w: TfTensor, a: Window, pads: Attributes['pads']): TfTensor {
  const dilated = a.dilations.some((d) => d > 1) && a.strides.some((s) => s > 1);
  const strides = dilated ? ([1, 1] as const) : a.strides;
  const [top, left, bottom, right] = pads;
  // TensorFlow's own name for what keeps the image size, so that nothing has to be padded beforehand.
  const same =
    strides[0] === 1 &&
    strides[1] === 1 &&
    top === bottom &&
    left === right &&
    top + bottom === span(a, 0) - 1 &&
    left + right === span(a, 1) - 1;
  const images = transpose(tf, same ? x : padImage(tf, x, pads), [0, 2, 3, 1]) as Parameters<Tf['conv2d']>[0];
  const filter = transpose(tf, w, [2, 3, 1, 0]) as Parameters<Tf['conv2d']>[1];
  const y = tf.conv2d(images, filter, [...strides], same ? 'same' : 'valid', 'NHWC', [...a.dilations]);
  const kept = dilated ? tf.stridedSlice(y, [0, 0, 0, 0], y.shape, [1, a.strides[0], a.strides[1], 1]) : y;
  return transpose(tf, kept, [0, 3, 1, 2]);
}

function convolve(tf: Tf, x: TfTensor, w: TfTensor, a: Window): TfTensor {
  const [top, left, bottom, right] = a.pads;
  const [, , h, wide] = x.shape as [number, number, number, number];
  const size: Pair = [
    Math.floor((h + top + bottom - span(a, 0)) / a.strides[0]) + 1,
    Math.floor((wide + left + right - span(a, 1)) / a.strides[1]) + 1,
  ];
  const [kh, kw] = a.kernel_shape;
  if (size[0] * size[1] < kh * kw) return convByWindows(tf, padImage(tf, x, a.pads), w, a, size);
  return convChannelsLast(tf, x, w, a, a.pads);
}

/** Applies `f` to each group of channels of `x` and of the outermost axis of `w`. */
function byGroups(
  tf: Tf,
  x: TfTensor,
  w: TfTensor,
  group: number,
  f: (x: TfTensor, w: TfTensor) => TfTensor,
): TfTensor {
  if (group === 1) return f(x, w);
  const [images, weights] = [tf.split(x, group, 1), tf.split(w, group, 0)];
  return tf.concat(
    images.map((image, i) => f(image, weights[i] as TfTensor)),
    1,
  );
}

function addBias(call: Call, y: TfTensor): TfTensor {
  const bias = call.inputs[2];
  return bias ? call.tf.add(y, reshapeTo(call.tf, bias, [1, bias.size, 1, 1])) : y;
}

export const Conv: RuleOf<'Conv'> = {
  run: (call, a) => {
    const [x, w] = [operand(call, 0), operand(call, 1)];
    return addBias(
      call,
      byGroups(call.tf, x, w, a.group, (image, weight) => convolve(call.tf, image, weight, a)),
    );
  },
};

/** `x` with `steps - 1` rows and columns of zeros between its own. */
function spread(tf: Tf, x: TfTensor, [down, across]: Pair): TfTensor {
  const [n, c, h, w] = x.shape as [number, number, number, number];
  const rows = padAxes(tf, reshapeTo(tf, x, [n * c, h, 1, w, 1]), [
    [0, 0],
    [0, 0],
    [0, down - 1],
    [0, 0],
    [0, across - 1],
  ]);
  const wide = reshapeTo(tf, rows, [n, c, h * down, w * across]);
  return sliceOf(tf, wide, [0, 0, 0, 0], [n, c, (h - 1) * down + 1, (w - 1) * across + 1]);
}

/** A convolution of the spread image with the flipped weight; `w [C, O, kh, kw]`. */
function convolveTransposed(tf: Tf, x: TfTensor, w: TfTensor, a: OperatorAttributes['ConvTranspose']): TfTensor {
  const [top, left, bottom, right] = a.pads;
  const [below, beside] = a.output_padding;
  const [down, across] = [span(a, 0) - 1, span(a, 1) - 1];
  const image = a.strides.every((s) => s === 1) ? x : spread(tf, x, a.strides);
  const flipped = transpose(tf, tf.reverse(w, [2, 3]), [1, 0, 2, 3]);
  return convolve(tf, image, flipped, {
    kernel_shape: a.kernel_shape,
    dilations: a.dilations,
    strides: [1, 1],
    pads: [down - top, across - left, down - bottom + below, across - right + beside],
  });
}

export const ConvTranspose: RuleOf<'ConvTranspose'> = {
  run: (call, a) => {
    const [x, w] = [operand(call, 0), operand(call, 1)];
    const convolved = byGroups(call.tf, x, w, a.group, (image, weight) =>
      convolveTransposed(call.tf, image, weight, a),
    );
    return addBias(call, convolved);
  },
};

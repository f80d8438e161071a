import type { GraphBuilder, Value } from '../graph.js';
import type { Dim } from '../tensor.js';
import { int64s, sizeOf } from '../tensor.js';
import type { ConvAttributes } from './attributes.js';
import { expectOneDType } from './broadcasting.js';
import { knownDim, multiplyDims, offsetDim, scaleDim, windowCount } from './dims.js';
import type { Inputs, Operator } from './operator.js';
import { expectRank, required } from './operator.js';
import { reshape, slice } from './shape-helpers.js';

/** Extent of a dilated kernel. */
const span = (kernel: number, dilation: number) => (kernel - 1) * dilation + 1;

/** Padding at both ends of an image axis. */
export function padding([top, left, bottom, right]: ConvAttributes['pads'], axis: 0 | 1): number {
  return axis === 0 ? top + bottom : left + right;
}

function convOutput(size: Dim, axis: 0 | 1, a: Omit<ConvAttributes, 'group'>): Dim {
  const padded = offsetDim(size, padding(a.pads, axis));
  const extent = span(a.kernel_shape[axis], a.dilations[axis]);
  if (typeof padded === 'number' && padded < extent) {
    throw new Error(`kernel of ${a.kernel_shape[axis]} does not fit an image size of ${size}`);
  }
  return windowCount(padded, extent, a.strides[axis]);
}

/** Height and width; throws where they are symbols, which gradients of weights and strides cannot take. */
const imageSize = (value: Value): [number, number] => [
  knownDim(value.shape[2], 'the image height'),
  knownDim(value.shape[3], 'the image width'),
];

function checkBias(inputs: Inputs, channels: Dim): void {
  expectOneDType(inputs);
  const bias = inputs[2];
  if (bias && (bias.shape.length !== 1 || bias.shape[0] !== channels)) {
    throw new Error(`bias has shape [${bias.shape.join(', ')}], output has ${channels} channels`);
  }
}

/**
 * dL/dw of `y = conv(x, w)` as a convolution of x with the cotangent as its kernel, batch and channel axes exchanged:
 * dw[o, i] = sum_n conv(x[n, i], dy[n, o]), stride and dilation exchanged, groups kept as groups.
 */
function convWeightGradient(g: GraphBuilder, x: Value, dy: Value, kernel: readonly number[], a: ConvAttributes): Value {
  const [n, channels] = x.shape as [Dim, number];
  const [height, width] = imageSize(x);
  const perGroup = channels / a.group;
  let images: Value;
  if (a.group === 1) {
    images = g.apply('Transpose', [x], { perm: [1, 0, 2, 3] });
  } else {
    const split = reshape(g, x, [n, a.group, perGroup, height, width]);
    const swapped = g.apply('Transpose', [split], { perm: [2, 1, 0, 3, 4] });
    images = reshape(g, swapped, [perGroup, multiplyDims([a.group, n]), height, width]);
  }
  const kernels = g.apply('Transpose', [dy], { perm: [1, 0, 2, 3] });
  const gradient = g.apply('Conv', [images, kernels], {
    kernel_shape: imageSize(dy),
    strides: a.dilations,
    dilations: a.strides,
    pads: a.pads,
    group: a.group,
  });
  const [, , kh, kw] = kernel as [number, number, number, number];
  // Rows and columns that the stride skips at the far edge would add kernel positions that do not exist.
  const extra = gradient.shape[2] !== kh || gradient.shape[3] !== kw;
  const cropped = extra ? slice(g, gradient, [2, 3], [0, 0], [kh, kw]) : gradient;
  return g.apply('Transpose', [cropped], { perm: [1, 0, 2, 3] });
}

function biasGradient(g: GraphBuilder, cotangent: Value): Value {
  return g.apply('ReduceSum', [cotangent, g.constant(int64s([0, 2, 3]))], { keepdims: 0 });
}

/** `x [N, C, H, W]`, `w [O, C / group, kh, kw]`, optional `b [O]` to `[N, O, H', W']`. */
export const Conv: Operator<'Conv'> = {
  infer: (inputs, a) => {
    const x = required(inputs, 0);
    const w = required(inputs, 1);
    expectRank(x, 4, 'an image batch [N, C, H, W]');
    expectRank(w, 4, 'a weight [O, C, kh, kw]');
    const [out, perGroup, kh, kw] = w.shape as [Dim, Dim, Dim, Dim];
    const channels = multiplyDims([a.group, perGroup]);
    if (channels !== x.shape[1]) throw new Error(`weight has ${channels} input channels, input has ${x.shape[1]}`);
    if (typeof out === 'number' && out % a.group !== 0) {
      throw new Error(`${out} output channels are not divisible by ${a.group} groups`);
    }
    if (kh !== a.kernel_shape[0] || kw !== a.kernel_shape[1]) {
      throw new Error(`weight has kernel ${kh}x${kw}, attribute kernel_shape says ${a.kernel_shape.join('x')}`);
    }
    checkBias(inputs, out);
    return {
      dtype: x.dtype,
      shape: [x.shape[0] as Dim, out, convOutput(x.shape[2] as Dim, 0, a), convOutput(x.shape[3] as Dim, 1, a)],
    };
  },
  // dx = convTranspose(dy, w); dw = conv(x^T, dy^T); db = sum dy
  vjp: ({ g, inputs, output, cotangent, attributes: a }) => {
    const x = required(inputs, 0);
    const w = required(inputs, 1);
    const leftover = (axis: 0 | 1) =>
      (imageSize(x)[axis] as number) +
      padding(a.pads, axis) -
      ((imageSize(output)[axis] as number) - 1) * a.strides[axis] -
      span(a.kernel_shape[axis], a.dilations[axis]);
    return [
      () => g.apply('ConvTranspose', [cotangent, w], { ...a, output_padding: [leftover(0), leftover(1)] }),
      () => convWeightGradient(g, x, cotangent, w.shape as readonly number[], a),
      () => biasGradient(g, cotangent),
    ];
  },
  evaluate: (inputs, a) => {
    const x = required(inputs, 0);
    const w = required(inputs, 1);
    const bias = inputs[2];
    const [n, channels, height, width] = x.shape as [number, number, number, number];
    const [out, perGroup, kh, kw] = w.shape as [number, number, number, number];
    const oh = convOutput(height, 0, a) as number;
    const ow = convOutput(width, 1, a) as number;
    const data = new Float64Array(n * out * oh * ow);
    const outPerGroup = out / a.group;
    let at = 0;
    for (let b = 0; b < n; b++) {
      for (let o = 0; o < out; o++) {
        const firstChannel = Math.floor(o / outPerGroup) * perGroup;
        for (let y = 0; y < oh; y++) {
          for (let z = 0; z < ow; z++) {
            let sum = bias ? (bias.data[o] as number) : 0;
            for (let c = 0; c < perGroup; c++) {
              const plane = (b * channels + firstChannel + c) * height;
              for (let i = 0; i < kh; i++) {
                const row = y * a.strides[0] - a.pads[0] + i * a.dilations[0];
                if (row < 0 || row >= height) continue;
                for (let j = 0; j < kw; j++) {
                  const column = z * a.strides[1] - a.pads[1] + j * a.dilations[1];
                  if (column < 0 || column >= width) continue;
                  const weight = w.data[((o * perGroup + c) * kh + i) * kw + j] as number;
                  sum += weight * (x.data[(plane + row) * width + column] as number);
                }
              }
            }
            data[at++] = sum;
          }
        }
      }
    }
    return { dtype: x.dtype, shape: [n, out, oh, ow], data };
  },
};

/** The transpose of Conv in x: `x [N, C, H, W]`, `w [C, O / group, kh, kw]`, optional `b [O]`. */
export const ConvTranspose: Operator<'ConvTranspose'> = {
  infer: (inputs, a) => {
    const x = required(inputs, 0);
    const w = required(inputs, 1);
    expectRank(x, 4, 'an image batch [N, C, H, W]');
    expectRank(w, 4, 'a weight [C, O, kh, kw]');
    if (w.shape[0] !== x.shape[1]) {
      throw new Error(`weight has ${w.shape[0]} input channels, input has ${x.shape[1]}`);
    }
    const out = multiplyDims([a.group, w.shape[1] as Dim]);
    checkBias(inputs, out);
    const size = (axis: 0 | 1) => {
      const extent = span(a.kernel_shape[axis], a.dilations[axis]);
      const count = a.output_padding[axis] + extent - padding(a.pads, axis) - a.strides[axis];
      return scaleDim(x.shape[axis + 2] as Dim, a.strides[axis], count);
    };
    return { dtype: x.dtype, shape: [x.shape[0] as Dim, out, size(0), size(1)] };
  },
  // y = convTranspose(x, w) is linear in both: dx = conv(dy, w); dw is Conv's weight gradient with x and dy exchanged.
  vjp: ({ g, inputs, cotangent, attributes }) => {
    const x = required(inputs, 0);
    const w = required(inputs, 1);
    const { output_padding: _, ...a } = attributes;
    return [
      () => {
        const dx = g.apply('Conv', [cotangent, w], a);
        const same = dx.shape[2] === x.shape[2] && dx.shape[3] === x.shape[3];
        return same ? dx : slice(g, dx, [2, 3], [0, 0], imageSize(x));
      },
      () => convWeightGradient(g, cotangent, x, w.shape as readonly number[], a),
      () => biasGradient(g, cotangent),
    ];
  },
  evaluate: (inputs, a) => {
    const x = required(inputs, 0);
    const w = required(inputs, 1);
    const bias = inputs[2];
    const [n, channels, height, width] = x.shape as [number, number, number, number];
    const [, outPerGroup, kh, kw] = w.shape as [number, number, number, number];
    const type = ConvTranspose.infer(
      [
        { name: 'x', index: 0, dtype: x.dtype, shape: x.shape },
        { name: 'w', index: 1, dtype: w.dtype, shape: w.shape },
      ],
      a,
    );
    const shape = type.shape as readonly number[];
    const [, out, oh, ow] = shape as [number, number, number, number];
    const data = new Float64Array(sizeOf(shape));
    if (bias) for (let i = 0; i < data.length; i++) data[i] = bias.data[Math.floor(i / (oh * ow)) % out] as number;
    const perGroup = channels / a.group;
    for (let b = 0; b < n; b++) {
      for (let c = 0; c < channels; c++) {
        const firstOut = Math.floor(c / perGroup) * outPerGroup;
        for (let y = 0; y < height; y++) {
          for (let z = 0; z < width; z++) {
            const value = x.data[((b * channels + c) * height + y) * width + z] as number;
            for (let o = 0; o < outPerGroup; o++) {
              const plane = (b * out + firstOut + o) * oh;
              for (let i = 0; i < kh; i++) {
                const row = y * a.strides[0] - a.pads[0] + i * a.dilations[0];
                if (row < 0 || row >= oh) continue;
                for (let j = 0; j < kw; j++) {
                  const column = z * a.strides[1] - a.pads[1] + j * a.dilations[1];
                  if (column < 0 || column >= ow) continue;
                  const target = (plane + row) * ow + column;
                  const weight = w.data[((c * outPerGroup + o) * kh + i) * kw + j] as number;
                  data[target] = (data[target] as number) + value * weight;
                }
              }
            }
          }
        }
      }
    }
    return { dtype: x.dtype, shape, data };
  },
};

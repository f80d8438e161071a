import type { GraphBuilder } from '../builder.js';
import type { Value } from '../graph.js';
import type { Dim } from '../tensor.js';
import { int64s, sizeOf } from '../tensor.js';
import type { ConvAttributes } from './attributes.js';
import { expectOneDType } from './broadcasting.js';
import { knownDim, multiplyDims, offsetDim, scaleDim, windowCount } from './dims.js';
import type { Inputs, Operator } from './operator.js';
import { expectRank, required } from './operator.js';
import { slice } from './shape-helpers.js';

/** Extent of a dilated kernel. */
const span = (kernel: number, dilation: number) => (kernel - 1) * dilation + 1;

/** Padding at both ends of an image axis. */
function padding([top, left, bottom, right]: ConvAttributes['pads'], axis: 0 | 1): number {
  return axis === 0 ? top + bottom : left + right;
}

export function convOutput(size: Dim, axis: 0 | 1, a: Omit<ConvAttributes, 'group'>): Dim {
  const padded = offsetDim(size, padding(a.pads, axis));
  const extent = span(a.kernel_shape[axis], a.dilations[axis]);
  if (typeof padded === 'number' && padded < extent) {
    throw new Error(`kernel of ${a.kernel_shape[axis]} does not fit an image size of ${size}`);
  }
  return windowCount(padded, extent, a.strides[axis]);
}

/** Height and width; throws where they are symbols, which gradients of weights and strides cannot take. */
export const imageSize = (value: Value): [number, number] => [
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

/** What of the image lies beyond the last window: the transposed convolution adds it at the far edges. */
function leftovers(image: readonly Dim[], windows: readonly Dim[], a: ConvAttributes): [number, number] {
  const [size, count] = [image, windows].map((dims) => dims.map((dim) => knownDim(dim, 'the image size')));
  const left = (axis: 0 | 1) =>
    (size?.[axis] as number) +
    padding(a.pads, axis) -
    ((count?.[axis] as number) - 1) * a.strides[axis] -
    span(a.kernel_shape[axis], a.dilations[axis]);
  return [left(0), left(1)];
}

/** dL/dx of `y = conv(x, w)`, for x of the given height and width. */
export function convInputGradient(
  g: GraphBuilder,
  dy: Value,
  w: Value,
  image: readonly Dim[],
  a: ConvAttributes,
): Value {
  return g.apply('ConvTranspose', [dy, w], { ...a, output_padding: leftovers(image, dy.shape.slice(2), a) });
}

/** dL/dw of `y = conv(x, w)`; throws where the image is of unknown size. */
function convWeightGradient(g: GraphBuilder, x: Value, dy: Value, a: ConvAttributes): Value {
  imageSize(x);
  return g.apply('ConvWeightGradient', [x, dy], a);
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
  // dx = convTranspose(dy, w); dw[o, i] = sum_n conv(x[n, i], dy[n, o]); db = sum dy
  vjp: ({ g, inputs, cotangent, attributes: a }) => {
    const x = required(inputs, 0);
    const w = required(inputs, 1);
    return [
      () => convInputGradient(g, cotangent, w, x.shape.slice(2), a),
      () => convWeightGradient(g, x, cotangent, a),
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
      () => convWeightGradient(g, cotangent, x, a),
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

import type { Dim } from '../tensor.js';
import { convInputGradient, convOutput, imageSize } from './convolution.js';
import { knownDim } from './dims.js';
import type { Operator } from './operator.js';
import { expectRank, required } from './operator.js';

/**
 * dL/dw of `y = conv(x, w)` from `x [N, C, H, W]` and `dy [N, O, H', W']`: `[O, C / group, kh, kw]`. Whet's own, so
 * that each backend has it in the form that is fastest there; a lowering makes ONNX operators of it.
 */
export const ConvWeightGradient: Operator<'ConvWeightGradient'> = {
  infer: (inputs, a) => {
    const x = required(inputs, 0);
    const dy = required(inputs, 1);
    expectRank(x, 4, 'an image batch [N, C, H, W]');
    expectRank(dy, 4, 'a cotangent [N, O, H, W]');
    if (x.dtype !== dy.dtype) throw new Error(`expected one dtype, got ${x.dtype} and ${dy.dtype}`);
    if (x.shape[0] !== dy.shape[0]) throw new Error(`batches of ${x.shape[0]} and ${dy.shape[0]} differ`);
    const [channels, out] = [x, dy].map(({ shape }) => knownDim(shape[1], 'the number of channels')) as [
      number,
      number,
    ];
    if (channels % a.group !== 0 || out % a.group !== 0) {
      throw new Error(`${channels} and ${out} channels are not divisible by ${a.group} groups`);
    }
    imageSize(x);
    for (const axis of [0, 1] as const) {
      const expected = convOutput(x.shape[axis + 2] as Dim, axis, a);
      const got = dy.shape[axis + 2];
      if (got !== expected)
        throw new Error(`expected a cotangent of size ${expected} along axis ${axis + 2}, got ${got}`);
    }
    return { dtype: x.dtype, shape: [out, channels / a.group, ...a.kernel_shape] };
  },
  // Linear in both: with cotangent c [O, C / group, kh, kw], L = <conv(x, c), dy>.
  vjp: ({ g, inputs, cotangent, attributes: a }) => {
    const x = required(inputs, 0);
    const dy = required(inputs, 1);
    return [() => convInputGradient(g, dy, cotangent, x.shape.slice(2), a), () => g.apply('Conv', [x, cotangent], a)];
  },
  evaluate: (inputs, a) => {
    const x = required(inputs, 0);
    const dy = required(inputs, 1);
    const [n, channels, height, width] = x.shape as [number, number, number, number];
    const [, out, oh, ow] = dy.shape as [number, number, number, number];
    const [kh, kw] = a.kernel_shape;
    const [perGroup, outPerGroup] = [channels / a.group, out / a.group];
    const data = new Float64Array(out * perGroup * kh * kw);
    for (let at = 0; at < data.length; at++) {
      const j = at % kw;
      const i = Math.floor(at / kw) % kh;
      const o = Math.floor(at / (kw * kh * perGroup));
      const channel = Math.floor(o / outPerGroup) * perGroup + (Math.floor(at / (kw * kh)) % perGroup);
      let sum = 0;
      for (let b = 0; b < n; b++) {
        for (let y = 0; y < oh; y++) {
          const row = y * a.strides[0] - a.pads[0] + i * a.dilations[0];
          if (row < 0 || row >= height) continue;
          const from = ((b * channels + channel) * height + row) * width;
          const to = ((b * out + o) * oh + y) * ow;
          for (let z = 0; z < ow; z++) {
            const column = z * a.strides[1] - a.pads[1] + j * a.dilations[1];
            if (column < 0 || column >= width) continue;
            sum += (x.data[from + column] as number) * (dy.data[to + z] as number);
          }
        }
      }
      data[at] = sum;
    }
    return { dtype: x.dtype, shape: [out, perGroup, kh, kw], data };
  },
};

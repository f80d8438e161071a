import type { OperatorAttributes } from '@whet/compiler';
import { expand, operand, padAxes, type RuleOf, reshapeTo, stridedSlice, type Tf, type TfTensor } from './rule.js';

/** The lowest float32: a shader has no way to write infinity. */
const LOWEST = -3.4028234663852886e38;

type Window = OperatorAttributes['MaxPool'];

interface Windows {
  /** The image with its pads, and what the last windows reach beyond them. */
  readonly padded: TfTensor;
  /** Windows along each image axis. */
  readonly sizes: readonly [number, number];
}

function windowsOf(tf: Tf, x: TfTensor, a: Window, value: number): Windows {
  const { kernel_shape, strides, pads, dilations = [1, 1], ceil_mode = 0 } = a;
  const image = x.shape.slice(2) as [number, number];
  const reach = ([0, 1] as const).map((axis) => (kernel_shape[axis] - 1) * dilations[axis] + 1) as [number, number];
  const sizes = ([0, 1] as const).map((axis) => {
    const room = image[axis] + pads[axis] + pads[(axis + 2) as 2 | 3] - reach[axis];
    const count = (ceil_mode ? Math.ceil(room / strides[axis]) : Math.floor(room / strides[axis])) + 1;
    // A window that would start past the near padding and the image does not count.
    return ceil_mode && (count - 1) * strides[axis] >= image[axis] + pads[axis] ? count - 1 : count;
  }) as [number, number];
  const ends = ([0, 1] as const).map((axis) =>
    Math.max(0, (sizes[axis] - 1) * strides[axis] + reach[axis] - image[axis] - pads[axis]),
  ) as [number, number];
  if (pads[0] + pads[1] + ends[0] + ends[1] === 0) return { padded: x, sizes };
  const around = [
    [0, 0],
    [0, 0],
    [pads[0], ends[0]],
    [pads[1], ends[1]],
  ] as const;
  return { padded: padAxes(tf, x, around, value), sizes };
}

/** The slices that the positions of the window see, taken together two by two: no other channel order is needed. */
function pool(
  tf: Tf,
  { padded, sizes }: Windows,
  a: Window,
  join: (seen: TfTensor, more: TfTensor) => TfTensor,
): TfTensor {
  const { kernel_shape, strides, dilations = [1, 1] } = a;
  const [n, c] = padded.shape as [number, number];
  const seen = Array.from({ length: kernel_shape[0] * kernel_shape[1] }, (_, at) => {
    const row = Math.floor(at / kernel_shape[1]) * dilations[0];
    const column = (at % kernel_shape[1]) * dilations[1];
    return stridedSlice(tf, padded, [0, 0, row, column], [n, c, ...sizes], [1, 1, ...strides]);
  });
  return seen.reduce(join);
}

export const MaxPool: RuleOf<'MaxPool'> = {
  run: (call, a) => {
    const { tf } = call;
    return pool(tf, windowsOf(tf, operand(call, 0), a, LOWEST), a, (x, y) => tf.maximum(x, y));
  },
};

export const AveragePool: RuleOf<'AveragePool'> = {
  run: (call, a) => {
    const { tf } = call;
    const x = operand(call, 0);
    const sum = pool(tf, windowsOf(tf, x, a, 0), a, (p, q) => tf.add(p, q));
    const whole = a.kernel_shape[0] * a.kernel_shape[1];
    const padded = a.pads.some((count) => count > 0) || a.ceil_mode === 1;
    if (!padded) return tf.mul(sum, 1 / whole);
    // How many positions of each window count: those of an image of ones, with the pads that count too.
    const [top, left, bottom, right] = a.count_include_pad ? a.pads : [0, 0, 0, 0];
    const [, , height, width] = x.shape as [number, number, number, number];
    const ones = tf.ones([1, 1, height + top + bottom, width + left + right]);
    const pads = a.count_include_pad ? ([0, 0, 0, 0] as const) : a.pads;
    const counted = { ...a, pads };
    return tf.div(
      sum,
      pool(tf, windowsOf(tf, ones, counted, 0), counted, (p, q) => tf.add(p, q)),
    );
  },
};

/** Pixels repeated downward and across, which is all that training graphs resize by. */
export const Resize: RuleOf<'Resize'> = {
  host: [1, 2, 3],
  run: (call, a) => {
    const x = operand(call, 0);
    const [n, c, height, width] = x.shape as [number, number, number, number];
    const scales = call.numbers(2) ?? [];
    const [first, second, down = 0, across = 0] = scales;
    const repeats = scales.length === 4 && first === 1 && second === 1 && scales.every(Number.isInteger);
    const floors = a.coordinate_transformation_mode === 'asymmetric' && a.nearest_mode === 'floor';
    if (!repeats || !floors || (a.mode ?? 'nearest') !== 'nearest') {
      throw new Error(`Resize by ${scales.join(', ')}: expected pixels to be repeated (nearest, asymmetric, floor)`);
    }
    const lifted = reshapeTo(call.tf, x, [n * c, height, 1, width, 1]);
    const repeated = expand(call.tf, lifted, [n * c, height, down, width, across]);
    return reshapeTo(call.tf, repeated, [n, c, height * down, width * across]);
  },
};

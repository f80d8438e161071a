import type { GraphBuilder, Value } from '@whet/compiler';
import { int64s, reshape } from '@whet/compiler';
import type { Moments, NormalizeBy } from './backbone.js';

export const NORMALIZATION_EPSILON = 1e-5;

function momentsOver(g: GraphBuilder, x: Value, over: readonly number[]): Required<Moments> {
  const axes = g.constant(int64s(over));
  const mean = g.apply('ReduceMean', [x, axes], { keepdims: 1 });
  const centered = g.apply('Sub', [x, mean], {});
  const variance = g.apply('ReduceMean', [g.apply('Mul', [centered, centered], {}), axes], { keepdims: 1 });
  return { mean, variance, centered };
}

/** Moments of `x [N, C, H, W]` over batch and image: mean and biased variance, `[1, C, 1, 1]`. */
export const batchMoments = (g: GraphBuilder, x: Value) => momentsOver(g, x, [0, 2, 3]);

/** Moments of each image of `x [N, C, H, W]` by itself, over all its channels (Ba et al. 2016): `[N, 1, 1, 1]`. */
export const imageMoments = (g: GraphBuilder, x: Value) => momentsOver(g, x, [1, 2, 3]);

const perChannel = (g: GraphBuilder, value: Value): Value => reshape(g, value, [1, ...value.shape, 1, 1]);

/** The moments of the normalization `name`. */
export const momentsBy = (g: GraphBuilder, by: NormalizeBy, name: string, x: Value): Moments =>
  by === 'image' ? imageMoments(g, x) : by(name, x);

/** 1 for each channel that `scale [C]` leaves in order, -1 for each that it turns around. */
export function signsOf(g: GraphBuilder, scale: Value): Value {
  const turned = g.apply('Less', [scale, g.scalar(0)], {});
  return g.apply('Where', [turned, g.scalar(-1), g.scalar(1)], {});
}

/**
 * Max pooling of activations normalized by their image's own moments, as {@link normalize} after {@link imageMoments}
 * would, but with three quarters of the arithmetic after the pooling. `x [N, C, H, W]` holds the activations times
 * `signs [C]` of {@link signsOf}: with scales that are then all positive, the maximum before normalization is the
 * maximum after it.
 */
export function normalizePooled(
  g: GraphBuilder,
  x: Value,
  signs: Value,
  scale: Value,
  shift: Value,
  pool: (x: Value) => Value,
): Value {
  const [channels, height, width] = x.shape.slice(1) as [number, number, number];
  const over = (axes: readonly number[]) => g.constant(int64s(axes));
  const share = g.scalar(1 / (channels * height * width));
  const sums = g.apply('ReduceSum', [x, over([2, 3])], { keepdims: 1 });
  const sum = g.apply('ReduceSum', [g.apply('Mul', [sums, perChannel(g, signs)], {}), over([1])], { keepdims: 1 });
  const mean = g.apply('Mul', [sum, share], {});
  const squares = g.apply('ReduceSumSquare', [x, over([1, 2, 3])], { keepdims: 1 });
  const variance = g.apply('Sub', [g.apply('Mul', [squares, share], {}), g.apply('Mul', [mean, mean], {})], {});
  const deviation = g.apply('Sqrt', [g.apply('Add', [variance, g.scalar(NORMALIZATION_EPSILON)], {})], {});
  const factor = g.apply('Div', [perChannel(g, scale), deviation], {});
  const offset = g.apply('Sub', [perChannel(g, shift), g.apply('Mul', [mean, factor], {})], {});
  const positive = g.apply('Mul', [factor, perChannel(g, signs)], {});
  return g.apply('Add', [g.apply('Mul', [pool(x), positive], {}), offset], {});
}

/**
 * `(x - mean) / sqrt(variance + epsilon) * scale + shift` per channel, with `scale` and `shift` of shape `[C]`.
 * Moments that are given are folded with scale and shift into one multiplication and one addition, which ONNX Runtime
 * folds further into the convolution before, where all of it is constant.
 */
export function normalize(
  g: GraphBuilder,
  x: Value,
  moments: Moments,
  scale: Value,
  shift: Value,
  epsilon = NORMALIZATION_EPSILON,
): Value {
  const variance = g.apply('Add', [moments.variance, g.scalar(epsilon)], {});
  const factor = g.apply('Div', [perChannel(g, scale), g.apply('Sqrt', [variance], {})], {});
  if (moments.centered) {
    return g.apply('Add', [g.apply('Mul', [moments.centered, factor], {}), perChannel(g, shift)], {});
  }
  const offset = g.apply('Sub', [perChannel(g, shift), g.apply('Mul', [moments.mean, factor], {})], {});
  return g.apply('Add', [g.apply('Mul', [x, factor], {}), offset], {});
}

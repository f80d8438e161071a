import type { GraphBuilder, Value } from '@whet/compiler';
import { int64s, reshape } from '@whet/compiler';
import type { Moments } from './backbone.js';

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

/**
 * `(x - mean) / sqrt(variance + epsilon) * scale + shift` per channel, with `scale` and `shift` of shape `[C]`.
 * Moments that are given are folded with scale and shift into one multiplication and one addition, which ONNX Runtime
 * folds further into the convolution before, where all of it is constant.
 */
export function normalize(g: GraphBuilder, x: Value, moments: Moments, scale: Value, shift: Value): Value {
  const perChannel = (value: Value) => reshape(g, value, [1, ...value.shape, 1, 1]);
  const variance = g.apply('Add', [moments.variance, g.scalar(NORMALIZATION_EPSILON)], {});
  const factor = g.apply('Div', [perChannel(scale), g.apply('Sqrt', [variance], {})], {});
  if (moments.centered) {
    return g.apply('Add', [g.apply('Mul', [moments.centered, factor], {}), perChannel(shift)], {});
  }
  const offset = g.apply('Sub', [perChannel(shift), g.apply('Mul', [moments.mean, factor], {})], {});
  return g.apply('Add', [g.apply('Mul', [x, factor], {}), offset], {});
}

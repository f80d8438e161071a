import type { GraphBuilder, Value } from '@whet/compiler';
import { int64s, matrixTranspose, reshape, slice } from '@whet/compiler';
import type { ParameterSpec } from './backbone.js';

/**
 * Where the linear head of a task starts.
 * `fixed`: learned weights per class, for one number of classes (the papers' head).
 * `shared`: every class from one learned vector (UNICORN-MAML, Ye & Chao 2022), any number of classes.
 * `prototype`: each class from the mean feature of its examples (Proto-MAML, Triantafillou et al. 2020), any number.
 * `cosine`: each class from the mean direction of its examples' features; only directions count (Gidaris & Komodakis 2018).
 */
export type HeadKind = 'fixed' | 'shared' | 'prototype' | 'cosine';

export interface HeadWeights {
  /** `[W, F]` */
  readonly weight: Value;
  /** `[W]` */
  readonly bias: Value;
}

/** Where training starts the inverse temperature of cosines, which differ by a few tenths between classes. */
const COSINE_SCALE = 10;

/**
 * What a head of this kind learns in the outer loop. A prototype or cosine head learns `head.scale`, the inverse temperature of
 * its distances: without it, distances between prototypes saturate the support loss and leave nothing to adapt to.
 */
export function headParameters(kind: HeadKind, features: number, ways: number): ParameterSpec[] {
  if (kind === 'prototype' || kind === 'cosine') {
    const value = kind === 'cosine' ? COSINE_SCALE : 1;
    return [{ name: 'head.scale', shape: [1], layer: 'head', initializer: { kind: 'constant', value } }];
  }
  const rows = kind === 'fixed' ? ways : 1;
  const layer = 'head';
  const deviation = 1 / Math.sqrt(features);
  return [
    { name: 'head.weight', shape: [rows, features], layer, initializer: { kind: 'normal', deviation } },
    { name: 'head.bias', shape: [rows], layer, initializer: { kind: 'constant', value: 0 } },
  ];
}

/** Logits `[N, W]` of features `[N, F]`. */
export function headLogits(g: GraphBuilder, features: Value, { weight, bias }: HeadWeights): Value {
  return g.scope('head', () =>
    g.apply('Add', [g.apply('MatMul', [features, matrixTranspose(g, weight)], {}), bias], {}),
  );
}

/** What a head of this kind reads of features `[N, F]`: a cosine head their directions, each row over its length. */
export function headFeatures(g: GraphBuilder, kind: HeadKind, features: Value): Value {
  return kind === 'cosine' ? directions(g, features) : features;
}

/**
 * What a cosine head reads of features that are several side by side, `lengths` of `[N, F]`, the last layer's first and what blocks below
 * make behind: the direction of each, so that the cosine of two images is the mean of the cosines of their parts, in which those of the
 * features and of the first block weigh 1, of the next 1/2, 1/4 and so on. What is unlike the photographs that a network was trained on,
 * lower blocks tell apart better (Evci et al. 2022, Head2Toe).
 */
export function levelDirections(g: GraphBuilder, features: Value, lengths: readonly number[]): Value {
  const shares = lengths.map((_, place) => 0.5 ** Math.max(place - 1, 0));
  const sum = shares.reduce((a, b) => a + b, 0);
  let from = 0;
  const parts = lengths.map((length, place) => {
    const part = slice(g, features, [1], [from], [from + length]);
    from += length;
    return g.apply('Mul', [directions(g, part), g.scalar(Math.sqrt((shares[place] as number) / sum))], {});
  });
  return g.apply('Concat', parts, { axis: 1 });
}

/** Rows over their lengths; a row of zeros stays. */
function directions(g: GraphBuilder, rows: Value): Value {
  return g.scope('directions', () => {
    const squares = g.apply('ReduceSum', [g.apply('Mul', [rows, rows], {}), g.constant(int64s([1]))], { keepdims: 1 });
    const lengths = g.apply('Sqrt', [g.apply('Add', [squares, g.scalar(1e-12)], {})], {});
    return g.apply('Div', [rows, lengths], {});
  });
}

/** Mean of each class `[W, F]`. */
function classMeans(g: GraphBuilder, features: Value, labels: Value): Value {
  const perClass = matrixTranspose(g, labels);
  const counts = g.apply('ReduceSum', [perClass, g.constant(int64s([1]))], { keepdims: 1 });
  return g.apply('Div', [g.apply('MatMul', [perClass, features], {}), counts], {});
}

/** What rounding of float32 may make of a square of 0 that is a difference of squares of some tens: it must not come below 0. */
const ROUNDING = 1e-5;

/**
 * A linear head on directions `[N, F]` whose logits are `scale [1]` times the cosine to each class's mean direction: `weight_c = s
 * mean_c / |mean_c|`, `bias_c = 0` (Gidaris & Komodakis 2018, eq. 3, with class means). `labels [N, W]` is one-hot.
 */
export function cosineHead(g: GraphBuilder, features: Value, labels: Value, scale: Value): HeadWeights {
  return g.scope('cosine', () => {
    const counts = g.apply('ReduceSum', [labels, g.constant(int64s([0]))], { keepdims: 0 });
    return {
      weight: g.apply('Mul', [directions(g, classMeans(g, features, labels)), scale], {}),
      bias: g.apply('Mul', [counts, g.scalar(0)], {}),
    };
  });
}

/**
 * A linear head whose logits are minus the squared distance to each class's mean feature, up to a term all classes
 * share, times `scale [1]`: `weight_c = 2 s mean_c`, `bias_c = -s |mean_c|^2` (Snell et al. 2017, eq. 8). `labels
 * [N, W]` is one-hot; classes may have different numbers of examples.
 */
export function prototypeHead(g: GraphBuilder, features: Value, labels: Value, scale: Value): HeadWeights {
  return g.scope('prototypes', () => {
    const means = classMeans(g, features, labels);
    const squares = g.apply('Mul', [means, means], {});
    const norms = g.apply('ReduceSum', [squares, g.constant(int64s([1]))], { keepdims: 0 });
    return {
      weight: g.apply('Mul', [means, g.apply('Mul', [scale, g.scalar(2)], {})], {}),
      bias: g.apply('Mul', [norms, g.apply('Neg', [scale], {})], {}),
    };
  });
}

/**
 * Logits `[N, W]` of every example by prototypes that it is no part of itself (leave-one-out): its own class's is that of the class's
 * other examples. What the classes are made of is `support [N]`, 1 for each example that belongs to a prototype and 0 for one that only
 * asks. Heads of `cosine` read directions `z`, with prototypes `sum_c - z` over their length; those of `prototype` features, with means.
 * `scale` is that of the head. A row whose class has no other support has no meaning in its own column.
 */
export function leaveOneOutLogits(
  g: GraphBuilder,
  kind: 'cosine' | 'prototype',
  features: Value,
  { labels, support }: { readonly labels: Value; readonly support: Value },
  scale: Value,
): Value {
  const multiply = (a: Value, b: Value) => g.apply('Mul', [a, b], {});
  const sum = (value: Value, axis: number, keepdims: 0 | 1) =>
    g.apply('ReduceSum', [value, g.constant(int64s([axis]))], { keepdims });
  return g.scope('left-out', () => {
    const own = multiply(labels, reshape(g, support, [...support.shape, 1]));
    const sums = g.apply('MatMul', [matrixTranspose(g, own), features], {});
    const products = g.apply('MatMul', [features, matrixTranspose(g, sums)], {});
    const ownSquares = multiply(own, sum(multiply(features, features), 1, 1));
    const alone = g.apply('Sub', [products, ownSquares], {});
    // |sum - z|^2 = |sum|^2 - 2 z sum + |z|^2
    const twice = multiply(multiply(own, products), g.scalar(2));
    const squares = g.apply('Add', [g.apply('Sub', [sum(multiply(sums, sums), 1, 0), twice], {}), ownSquares], {});
    if (kind === 'cosine') {
      const lengths = g.apply('Sqrt', [g.apply('Add', [squares, g.scalar(ROUNDING)], {})], {});
      return multiply(g.apply('Div', [alone, lengths], {}), scale);
    }
    const counts = g.apply('Sub', [sum(own, 0, 1), own], {});
    const most = g.apply('Max', [counts, g.scalar(1)], {});
    const distances = g.apply('Sub', [multiply(alone, g.scalar(2)), g.apply('Div', [squares, most], {})], {});
    return multiply(g.apply('Div', [distances, most], {}), scale);
  });
}

/** Every class from one vector: `shared [1, F]` and `[1]` repeated for the columns of `labels [N, W]`. */
export function sharedHead(g: GraphBuilder, shared: HeadWeights, labels: Value): HeadWeights {
  return g.scope('shared', () => {
    const counts = g.apply('ReduceSum', [labels, g.constant(int64s([0]))], { keepdims: 0 });
    const zeros = g.apply('Mul', [counts, g.scalar(0)], {});
    const column = reshape(g, zeros, [...zeros.shape, 1]);
    return {
      weight: g.apply('Add', [column, shared.weight], {}),
      bias: g.apply('Add', [zeros, shared.bias], {}),
    };
  });
}

/**
 * Mean cross-entropy of logits `[N, W]` against one-hot labels `[N, W]`, a scalar. `weights [N]` say how much each row counts, one at
 * least more than 0; each alike when absent. `smoothing` of each label is shared by all classes (Szegedy et al. 2016).
 */
export function crossEntropy(
  g: GraphBuilder,
  logits: Value,
  labels: Value,
  { weights, smoothing = 0 }: { readonly weights?: Value; readonly smoothing?: number | Value } = {},
): Value {
  return g.scope('loss', () => {
    const logProbabilities = g.apply('LogSoftmax', [logits], { axis: -1 });
    const picked = g.apply('Mul', [logProbabilities, labels], {});
    const own = g.apply('ReduceSum', [picked, g.constant(int64s([1]))], { keepdims: 0 });
    const each = smoothing === 0 ? own : smoothed(g, own, logProbabilities, smoothing);
    if (!weights) return g.apply('Neg', [g.apply('ReduceMean', [each], { keepdims: 0 })], {});
    const total = (value: Value) => g.apply('ReduceSum', [value], { keepdims: 0 });
    return g.apply('Neg', [g.apply('Div', [total(g.apply('Mul', [each, weights], {})), total(weights)], {})], {});
  });
}

/** `(1 - s) own + s mean` of log-probabilities, `[N]`. */
function smoothed(g: GraphBuilder, own: Value, logProbabilities: Value, smoothing: number | Value): Value {
  const mean = g.apply('ReduceMean', [logProbabilities, g.constant(int64s([1]))], { keepdims: 0 });
  const part = (value: Value, share: Value) => g.apply('Mul', [value, share], {});
  const [most, rest] =
    typeof smoothing === 'number'
      ? [g.scalar(1 - smoothing), g.scalar(smoothing)]
      : [g.apply('Sub', [g.scalar(1), smoothing], {}), smoothing];
  return g.apply('Add', [part(own, most), part(mean, rest)], {});
}

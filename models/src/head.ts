import type { GraphBuilder, Value } from '@whet/compiler';
import { int64s, matrixTranspose, reshape } from '@whet/compiler';
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

/** Mean cross-entropy of logits `[N, W]` against one-hot labels `[N, W]`, a scalar. */
export function crossEntropy(g: GraphBuilder, logits: Value, labels: Value): Value {
  return g.scope('loss', () => {
    const logProbabilities = g.apply('LogSoftmax', [logits], { axis: -1 });
    const picked = g.apply('Mul', [logProbabilities, labels], {});
    const each = g.apply('ReduceSum', [picked, g.constant(int64s([1]))], { keepdims: 0 });
    return g.apply('Neg', [g.apply('ReduceMean', [each], { keepdims: 0 })], {});
  });
}

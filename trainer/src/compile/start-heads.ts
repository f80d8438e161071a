import { type GraphBuilder, int64s, reshape, type Value } from '@whet/compiler';
import { cosineHead, headFeatures, leaveOneOutLogits, prototypeHead, type RidgeHeads, ridgeHeads } from '@whet/models';
import type { PatternSource } from '../pattern/pattern-source.js';

// Where heads start in a network that was not meta-trained: nothing has learned their scale.

/** Spread of the starting logits: mean squared distances of features to their mean are scaled to this. */
const SPREAD = 10;

/**
 * The scale `[1]` of prototypes, of the examples: `SPREAD / mean_n |f_n - mean f|^2`, so that features of any magnitude start from
 * logits that neither saturate nor vanish.
 */
function spreadScale(g: GraphBuilder, features: Value): Value {
  const mean = g.apply('ReduceMean', [features, g.constant(int64s([0]))], { keepdims: 1 });
  const centred = g.apply('Sub', [features, mean], {});
  const squares = g.apply('Mul', [centred, centred], {});
  const distances = g.apply('ReduceSum', [squares, g.constant(int64s([1]))], { keepdims: 0 });
  const spread = g.apply('ReduceMean', [distances, g.constant(int64s([0]))], { keepdims: 1 });
  return g.apply('Div', [g.scalar(SPREAD), g.apply('Add', [spread, g.scalar(1e-6)], {})], {});
}

/** The scale of cosines to mean directions of very many examples, and the number of examples of which half of it is right. */
const [FULL_SCALE, HALF_AT] = [40, 5 / 3];

/**
 * The scale of cosines by the mean number k of examples a class, `40 k / (k + 5/3)`: the fewer a mean is of, the further it is from
 * the class's own, and the less its cosine says. Measured on an ImageNet network's features of photographs, hand signs and characters (none
 * of them test classes), 5 and 10 classes: 15 for one example and 30 for five leave a calibration error of 0.7 to 7.9 points.
 * `labels [N, W]` is one-hot, or 0 for what no class is made of.
 */
function shotScale(g: GraphBuilder, labels: Value): Value {
  const counts = g.apply('ReduceSum', [labels, g.constant(int64s([0]))], { keepdims: 1 });
  const shots = g.apply('ReduceMean', [counts, g.constant(int64s([0, 1]))], { keepdims: 0 });
  const share = g.apply('Div', [shots, g.apply('Add', [shots, g.scalar(HALF_AT)], {})], {});
  return g.apply('Mul', [share, g.scalar(FULL_SCALE)], {});
}

/**
 * What outputs of a ridge head, about 1 for a picture's class and 0 for the others, are multiplied by to be logits. Measured like
 * {@link shotScale}, with 2, 5 and 10 classes of 1 to 10 examples: the best is between 5 and 15, and examples that are held back tell which.
 */
const RIDGE_SCALE = 10;

/** {@link ridgeHeads} whose outputs are logits. */
function solve(g: GraphBuilder, features: Value, labels: Value, support: Value): RidgeHeads {
  const { weight, bias, outputs } = ridgeHeads(g, features, labels, support);
  const scaled = (value: Value) => g.apply('Mul', [value, g.scalar(RIDGE_SCALE)], {});
  return { weight: scaled(weight), bias: scaled(bias), outputs: scaled(outputs) };
}

type ExampleHead = Required<Pick<PatternSource, 'headFeatures' | 'startHead' | 'leaveOneOut' | 'solve'>>;

/** Heads that are made of the examples alone, by their kind. */
export const exampleHeads: Readonly<Record<'cosine' | 'prototype', ExampleHead>> = {
  prototype: {
    headFeatures: (_, features) => features,
    startHead: (g, features, labels) => prototypeHead(g, features, labels, spreadScale(g, features)),
    leaveOneOut: (g, features, labels, support) =>
      leaveOneOutLogits(g, 'prototype', features, { labels, support }, spreadScale(g, features)),
    solve,
  },
  cosine: {
    headFeatures: (g, features) => headFeatures(g, 'cosine', features),
    startHead: (g, directions, labels) => cosineHead(g, directions, labels, shotScale(g, labels)),
    leaveOneOut: (g, directions, labels, support) => {
      const own = g.apply('Mul', [labels, reshape(g, support, [...support.shape, 1])], {});
      return leaveOneOutLogits(g, 'cosine', directions, { labels, support }, shotScale(g, own));
    },
    solve,
  },
};

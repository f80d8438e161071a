import { type GraphBuilder, int64s, matrixTranspose, type Value } from '@whet/compiler';

/** Of the spread of the features, what the weights are held back by: more of it trusts the examples less. */
const RIDGE = 0.3;
/** Of their mean square, besides: examples that are all alike have no spread. */
const LEAST = 1e-3;
/** Besides that: features may all be 0, those of a blank picture. */
const NOTHING = 1e-6;
/**
 * Turns of Newton's iteration, each of which doubles the digits: enough for a condition of 10^6, far above that of 500 examples of which
 * one is alone in its class.
 */
const TURNS = 24;

export interface RidgeHeads {
  /** `[K, W, F]` */
  readonly weight: Value;
  /** `[K, 1, W]` */
  readonly bias: Value;
  /** Of every row by each head, `[K, N, W]`: 1 for its class and 0 for the others, as far as the ridge lets them. */
  readonly outputs: Value;
}

/**
 * Linear heads in closed form: ridge regression of one-hot `labels [N, W]` on `features [N, F]` with an intercept, in which each class
 * weighs the same however many examples it has (Bertinetto et al. 2019, R2-D2). Head k is made of the rows for which `support [K, N, 1]`
 * is 1, so that the others can be asked about examples that it has not seen. With `K` the rows' products, `R` their classes' sizes over
 * the mean size, `B = (K + a R)^-1` and `P = B - B 1 1' B / 1' B 1`: `weight = (P Y)' Z`, `bias = 1' B Y / 1' B 1`. `a` is a share of the
 * mean square distance of the features to their mean.
 */
export function ridgeHeads(g: GraphBuilder, features: Value, labels: Value, support: Value): RidgeHeads {
  const multiply = (a: Value, b: Value) => g.apply('Mul', [a, b], {});
  const divide = (a: Value, b: Value) => g.apply('Div', [a, b], {});
  const subtract = (a: Value, b: Value) => g.apply('Sub', [a, b], {});
  const add = (a: Value, b: Value) => g.apply('Add', [a, b], {});
  const matrix = (a: Value, b: Value) => g.apply('MatMul', [a, b], {});
  const turned = (value: Value) => matrixTranspose(g, value);
  const sum = (value: Value, axis: number) =>
    g.apply('ReduceSum', [value, g.constant(int64s([axis]))], { keepdims: 1 });
  return g.scope('ridge', () => {
    // Of each class the supported rows [K, 1, W], of how many classes there are any, and what a row weighs: each class 1 in all.
    const sizes = matrix(turned(support), labels);
    const classes = sum(g.apply('Min', [sizes, g.scalar(1)], {}), 2);
    const own = matrix(labels, turned(sizes));
    const weights = divide(support, g.apply('Max', [own, g.scalar(1)], {}));
    const share = divide(weights, classes);

    // The intercept takes up whatever all features have in common; without it differences between them keep their digits.
    const middle = g.apply('ReduceMean', [features, g.constant(int64s([0]))], { keepdims: 1 });
    const centred = subtract(features, middle);
    const products = matrix(centred, turned(centred));
    const meanSquare = (rows: Value) => sum(multiply(share, sum(multiply(rows, rows), 1)), 1);
    const ownMiddle = sum(multiply(share, matrix(products, share)), 1);
    const spread = multiply(subtract(meanSquare(centred), ownMiddle), g.scalar(RIDGE));
    const ridge = add(add(spread, multiply(meanSquare(features), g.scalar(LEAST))), g.scalar(NOTHING));

    const ones = add(multiply(support, g.scalar(0)), g.scalar(1));
    const identity = diagonal(g, matrix(ones, turned(ones)));
    const meanSize = divide(sum(support, 1), classes);
    const size = add(divide(multiply(support, own), meanSize), subtract(ones, support));
    const seen = multiply(multiply(products, support), turned(support));
    const inverse = inverseOf(g, add(seen, multiply(identity, multiply(size, ridge))), identity);

    const targets = multiply(labels, support);
    const leaning = matrix(inverse, support);
    const intercept = divide(sum(multiply(leaning, targets), 1), sum(multiply(leaning, support), 1));
    const parts = subtract(matrix(inverse, targets), multiply(leaning, intercept));
    const weight = matrix(turned(parts), centred);
    return {
      weight,
      bias: subtract(intercept, turned(matrix(weight, turned(middle)))),
      outputs: add(matrix(products, parts), intercept),
    };
  });
}

/** The diagonals of square matrices, and zeros beside them. */
const diagonal = (g: GraphBuilder, square: Value): Value =>
  g.apply('Trilu', [g.apply('Trilu', [square, undefined], { upper: 1 }), undefined], { upper: 0 });

/** Inverses of symmetric positive matrices `[K, N, N]`: `X <- 2 X - X A X` (Schulz 1933), from the identity over A's largest row sum. */
function inverseOf(g: GraphBuilder, matrices: Value, identity: Value): Value {
  const axes = (axis: number) => g.constant(int64s([axis]));
  const sums = g.apply('ReduceSum', [g.apply('Abs', [matrices], {}), axes(2)], { keepdims: 1 });
  let inverse = g.apply('Div', [identity, g.apply('ReduceMax', [sums, axes(1)], { keepdims: 1 })], {});
  for (let turn = 0; turn < TURNS; turn++) {
    const product = g.apply('MatMul', [g.apply('MatMul', [inverse, matrices], {}), inverse], {});
    inverse = g.apply('Sub', [g.apply('Add', [inverse, inverse], {}), product], {});
  }
  return inverse;
}

import { type GraphBuilder, int64s, matrixTranspose, type Value } from '@whet/compiler';
import { type HeadWeights, headLogits } from './head.js';

/** How far a new class's mean logit starts above what the kept classes say together: 73 % of its own examples' probability. */
const MARGIN = 1;
/** Takes examples out of a maximum. */
const FAR = 1e9;

/**
 * Rows for classes that a kept head `[C, F]`, `[C]` does not have, from the mean features of their examples. `labels
 * [N, W]` is one-hot over the W new classes; a row of zeros is an example of a kept class. Returns `[W, F]` and `[W]`.
 *
 * `weight_v = mean_c w_c + k (mean_v - o)`: the direction from `o`, the mean feature of the kept classes' examples (0
 * where there is none), as long on average as the kept rows are around their own mean, which softmax does not see.
 * With `g_n = weight_v . f_n - logsumexp_c(w_c . f_n + b_c)`, the bias puts the boundary half-way between the mean g of
 * the class's examples and the largest g of a kept class's, but never further than `MARGIN` past the former: a
 * new class takes from the kept ones no more than it needs.
 */
export function grownHead(g: GraphBuilder, kept: HeadWeights, features: Value, labels: Value): HeadWeights {
  return g.scope('grown', () => {
    const rows = g.constant(int64s([0]));
    const columns = g.constant(int64s([1]));
    const sum = (value: Value, axes: Value, keepdims: 0 | 1 = 1) => g.apply('ReduceSum', [value, axes], { keepdims });
    const mean = (value: Value, axes: Value) => g.apply('ReduceMean', [value, axes], { keepdims: 1 });
    const subtract = (a: Value, b: Value) => g.apply('Sub', [a, b], {});
    const multiply = (a: Value, b: Value) => g.apply('Mul', [a, b], {});
    const divide = (a: Value, b: Value) => g.apply('Div', [a, b], {});
    const lengths = (value: Value) => g.apply('Sqrt', [sum(multiply(value, value), columns)], {});

    const isNew = sum(labels, columns);
    const isKept = subtract(g.scalar(1), isNew);
    const keptCount = g.apply('Max', [sum(isKept, rows), g.scalar(1)], {});
    const origin = divide(sum(multiply(isKept, features), rows), keptCount);
    const perClass = matrixTranspose(g, labels);
    const counts = sum(perClass, columns);
    const directions = subtract(divide(g.apply('MatMul', [perClass, features], {}), counts), origin);
    const centre = mean(kept.weight, rows);
    const keptLength = mean(lengths(subtract(kept.weight, centre)), rows);
    const length = g.apply('Add', [mean(lengths(directions), rows), g.scalar(1e-6)], {});
    const weight = g.apply('Add', [multiply(directions, divide(keptLength, length)), centre], {});

    const total = g.apply('ReduceLogSumExp', [headLogits(g, features, kept), columns], { keepdims: 1 });
    const gaps = subtract(g.apply('MatMul', [features, matrixTranspose(g, weight)], {}), total);
    const own = divide(sum(multiply(gaps, labels), rows, 0), sum(labels, rows, 0));
    const others = subtract(gaps, multiply(isNew, g.scalar(FAR)));
    const nearest = g.apply('ReduceMax', [others, rows], { keepdims: 0 });
    const halfWay = multiply(g.apply('Add', [own, nearest], {}), g.scalar(-0.5));
    const atLeast = g.apply('Max', [halfWay, g.apply('Neg', [own], {})], {});
    const bias = g.apply('Min', [atLeast, subtract(g.scalar(MARGIN), own)], {});
    return { weight, bias };
  });
}

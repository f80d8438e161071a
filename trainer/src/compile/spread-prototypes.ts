import { type GraphBuilder, int64s, type Value } from '@whet/compiler';
import { type HeadWeights, prototypeHead } from '@whet/models';

/** Spread of the starting logits: mean squared distances of features to their mean are scaled to this. */
const SPREAD = 10;

/**
 * Prototypes whose scale comes of the examples, as nothing was meta-trained: `SPREAD / mean_n |f_n - mean f|^2`, so
 * that features of any magnitude start from logits that neither saturate nor vanish.
 */
export function spreadPrototypes(g: GraphBuilder, features: Value, labels: Value): HeadWeights {
  const mean = g.apply('ReduceMean', [features, g.constant(int64s([0]))], { keepdims: 1 });
  const centred = g.apply('Sub', [features, mean], {});
  const squares = g.apply('Mul', [centred, centred], {});
  const distances = g.apply('ReduceSum', [squares, g.constant(int64s([1]))], { keepdims: 0 });
  const spread = g.apply('ReduceMean', [distances, g.constant(int64s([0]))], { keepdims: 1 });
  const scale = g.apply('Div', [g.scalar(SPREAD), g.apply('Add', [spread, g.scalar(1e-6)], {})], {});
  return prototypeHead(g, features, labels, scale);
}

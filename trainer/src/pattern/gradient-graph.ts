import { type Graph, gradients, type Value } from '@whet/compiler';
import { crossEntropy } from '@whet/models';
import type { PatternSource } from './pattern-source.js';
import { type SplitPattern, splitPattern } from './split-pattern.js';

/** What multiplies the logits of heads that are made of examples: an input `[1]` of {@link gradientGraph}, and learned. */
export const HEAD_SCALE = 'head.scale';

/** The name under which {@link gradientGraph} gives the gradient of a value. */
export const gradientName = (name: string): string => `grad/${name}`;

export interface GradientGraph extends Pick<SplitPattern, 'encode'> {
  /**
   * From `features [N, ...]`, one-hot `labels [N, W]`, `support [N]` and `queries [N]` (1 for the rows that classes are made of, and for
   * those that are asked about), `head.scale [1]`, `smoothing []` (the share of each label that all classes have) and the moving values to `loss`, `logits [N, W]` and `grad/<value>` of each and of the scale.
   */
  readonly gradient: Graph;
  /** Shape of the features of one image. */
  readonly features: readonly number[];
  /** Values of the source at which the frozen part ends. */
  readonly boundary: readonly Value[];
}

/**
 * The loss of rows by prototypes that each is no part of, with its gradients. With all rows support and queries it is what an inner step of
 * the objective `prototypes` differentiates; with the rows of a support set and others that only ask, the query loss after such steps.
 * Throws an Error where the head is not made of examples, or the loss does not depend on a moving value.
 */
export function gradientGraph(source: PatternSource): GradientGraph {
  const { leaveOneOut } = source;
  if (!leaveOneOut) throw new Error('gradients by prototypes need a head that is made of the examples');
  const { split, encode, featureShape, part } = splitPattern(source);
  const gradient = part('gradient', 'batch', (g, { output, features, values }) => {
    const labels = g.input('labels', ['N', 'W']);
    const [support, queries] = [g.input('support', ['N']), g.input('queries', ['N'])];
    const scale = g.input(HEAD_SCALE, [1]);
    const smoothing = g.input('smoothing', []);
    const logits = g.apply('Mul', [leaveOneOut(g, output, labels, support), scale], {});
    const loss = crossEntropy(g, logits, labels, { weights: queries, smoothing });
    const wanted = new Map([...values, [HEAD_SCALE, scale]]);
    const found = gradients(g, loss, [...wanted.values()]);
    const outputs = new Map<string, Value>([
      ['loss', loss],
      ['logits', logits],
    ]);
    [...wanted.keys()].forEach((name, i) => {
      const each = found[i];
      if (!each) throw new Error(`the loss does not depend on "${name}"`);
      outputs.set(gradientName(name), each);
    });
    return {
      name: 'gradient',
      inputs: [features, labels, support, queries, scale, smoothing, ...values.values()],
      outputs,
    };
  });
  return { encode, gradient, features: featureShape.slice(1) as number[], boundary: split.cut };
}

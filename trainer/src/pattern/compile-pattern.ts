import type { Graph, GraphBuilder, Value } from '@whet/compiler';
import { headLogits } from '@whet/models';
import type { PatternSource } from './pattern-source.js';
import { encodeGraph, type RestOfNetwork } from './split-network.js';
import { splitPattern } from './split-pattern.js';
import { headInputs, stepGraph } from './step-graph.js';

export interface CompiledPattern {
  /** `images [N, C, H, W]` to `features`, and the moments of frozen normalizations; undefined where nothing is frozen. */
  readonly encode: Graph | undefined;
  /** The same of queries, with those moments as inputs; undefined where no normalization is frozen. */
  readonly encodeQuery: Graph | undefined;
  readonly start: Graph;
  readonly step: Graph;
  /** Moments of the other normalizations at given values; undefined where there are none. */
  readonly moments: Graph | undefined;
  readonly predict: Graph;
  /** Logits of examples by prototypes that each is no part of; undefined where a head is not made of the examples alone. */
  readonly leftOut: Graph | undefined;
  /** Heads in closed form, and the logits of all examples by each; undefined where a head does not end there. */
  readonly solve: Graph | undefined;
  /** Those that take the support set's moments, from the image upward; `frozen` where `encode` yields them. */
  readonly normalizations: readonly { readonly name: string; readonly channels: number; readonly frozen: boolean }[];
  /** Shape of the features of one image. */
  readonly features: readonly number[];
  /** Values of the source at which the frozen part ends; several are cached side by side in one row. */
  readonly boundary: readonly Value[];
}

/**
 * The graphs of a pattern: what no moving value reaches becomes `encode`, the rest is compiled with its gradients. N
 * images and W classes stay symbols. Throws where the loss does not depend on a moving value.
 */
export function compilePattern(source: PatternSource): CompiledPattern {
  const { split, encode, featureShape, part } = splitPattern(source);
  const { cut, frozen, moving } = split;

  const start = part('start', 'batch', (g, { output, features, values }) => {
    const labels = g.input('labels', ['N', 'W']);
    const kept = source.keptClasses && {
      weight: g.input('kept.weight', [source.keptClasses, source.featureLength]),
      bias: g.input('kept.bias', [source.keptClasses]),
    };
    const head = source.startHead(g, output, labels, kept || undefined);
    const outputs = new Map([
      ['head.weight', head.weight],
      ['head.bias', head.bias],
    ]);
    const inputs = [features, labels, ...(kept ? [kept.weight, kept.bias] : []), ...values.values()];
    return { name: 'start', inputs, outputs };
  });

  const step = part('step', 'batch', (g, rest) => stepGraph(g, source, rest));

  const momentsOf = (_: GraphBuilder, { features, values, moments }: RestOfNetwork): Graph => {
    return { name: 'moments', inputs: [features, ...values.values()], outputs: moments };
  };

  const predict = part('predict', 'stored', (g, { output, features, values, moments }) => {
    const head = headInputs(g, source.featureLength);
    const logits = headLogits(g, output, head);
    const probabilities = g.apply('Softmax', [logits], { axis: -1 });
    const inputs = [features, ...values.values(), head.weight, head.bias, ...moments.values()];
    const named = source.leaveOneOut ? [['logits', logits] as const] : [];
    return { name: 'predict', inputs, outputs: new Map([['probabilities', probabilities], ...named]) };
  });

  const { leaveOneOut } = source;
  const leftOut =
    leaveOneOut &&
    part('left-out', 'batch', (g, { output, features, values }) => {
      const labels = g.input('labels', ['N', 'W']);
      const support = g.input('support', ['N']);
      const logits = leaveOneOut(g, output, labels, support);
      return {
        name: 'left-out',
        inputs: [features, labels, support, ...values.values()],
        outputs: new Map([['logits', logits]]),
      };
    });

  const solve =
    source.solve &&
    part('solve', 'batch', (g, { output, features, values }) => {
      const labels = g.input('labels', ['N', 'W']);
      const support = g.input('support', ['K', 'N', 1]);
      const heads = (source.solve as NonNullable<PatternSource['solve']>)(g, output, labels, support);
      return {
        name: 'solve',
        inputs: [features, labels, support, ...values.values()],
        outputs: new Map([
          ['head.weight', heads.weight],
          ['head.bias', heads.bias],
          ['logits', heads.outputs],
        ]),
      };
    });

  return {
    encode,
    encodeQuery: frozen.length > 0 ? encodeGraph(split, true) : undefined,
    start,
    step,
    moments: moving.length > 0 ? part('moments', 'batch', momentsOf) : undefined,
    predict,
    leftOut,
    solve,
    normalizations: [...frozen, ...moving].map((normalization) => ({
      name: normalization.name,
      channels: normalization.channels,
      frozen: frozen.includes(normalization),
    })),
    features: featureShape.slice(1) as number[],
    boundary: cut,
  };
}

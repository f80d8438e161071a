import { type Graph, GraphBuilder, makeTensor, type Value } from '@whet/compiler';
import {
  type Backbone,
  batchMoments,
  cosineHead,
  type HeadKind,
  headFeatures,
  type MomentSource,
  prototypeHead,
  sharedHead,
} from '@whet/models';
import { type CompiledPattern, compilePattern } from '../pattern/compile-pattern.js';
import { bindWeight, compact, isMoving, type PatternWeight } from '../pattern/masked-weight.js';
import type { SupportNormalization } from '../pattern/support-moments.js';
import type { BundledNormalization } from '../task/normalizations.js';
import { meanOverViews, type View } from './views.js';

export interface PatternParts {
  readonly backbone: Backbone;
  readonly head: Exclude<HeadKind, 'fixed'>;
  /** Weights of the backbone. */
  readonly weights: readonly PatternWeight[];
  /** What the outer loop learned of the head: a shared vector, or the scale of prototypes or cosines. */
  readonly learnedHead: readonly PatternWeight[];
  /** 1 for each entry of `head.weight`'s row and of `head.bias` that moves, `[F]` and `[1]`. */
  readonly headMasks: { readonly weight: Uint8Array; readonly bias: Uint8Array };
  /** The same of their multiples of the common rate; all 1 when absent. */
  readonly headRates?: { readonly weight: Float32Array; readonly bias: Float32Array };
  /** Fixed moments for all tasks, or those of each task's support set. */
  readonly normalization: BundledNormalization;
  /** Features are means over each image and its shifts; only for a frozen network whose moments are not the examples'. */
  readonly views?: readonly View[];
  /** Leaves the frozen prefix in the step, which then runs it each time, instead of in `encode`. */
  readonly rerunsPrefix?: boolean;
  /** Read where the moments are fixed. */
  readonly moments: ReadonlyMap<string, { readonly mean: Float32Array; readonly variance: Float32Array }>;
}

export interface PatternGraphs extends CompiledPattern {
  /** Compact starts of the moving values below the head. */
  readonly values: ReadonlyMap<string, Float32Array>;
}

/** Multiples of the common rate by which moving values move, where they are not all 1, and 0 for what of the head stays. */
function movingRates({ weights, headMasks, headRates }: PatternParts): Map<string, Float32Array> {
  const rates = new Map<string, Float32Array>();
  for (const { name, mask, rates: own } of weights) if (own) rates.set(name, compact(own, mask));
  for (const part of ['weight', 'bias'] as const) {
    const multiples = Float32Array.from(headMasks[part], (open, i) => open * (headRates?.[part][i] ?? 1));
    rates.set(`head.${part}`, multiples);
  }
  return rates;
}

/** Constants for all tasks. Throws where a normalization has none. */
function populationMoments(g: GraphBuilder, { moments }: PatternParts): MomentSource {
  return (name) => {
    const moment = moments.get(name);
    if (!moment) throw new Error(`no population moments for "${name}"`);
    const constant = (data: Float32Array) => g.constant(makeTensor([1, data.length, 1, 1], data));
    return { mean: constant(moment.mean), variance: constant(moment.variance) };
  };
}

/** The network from images to head features, with the moving entries as inputs. */
function featureGraph(parts: PatternParts) {
  const { backbone, weights, normalization } = parts;
  const g = new GraphBuilder();
  const images = g.input('images', ['N', ...backbone.imageShape]);
  const bound = new Map(weights.map((weight) => [weight.name, bindWeight(g, weight)]));
  const normalizations: SupportNormalization[] = [];
  const supportMoments: MomentSource = (name, input) => {
    const moments = batchMoments(g, input);
    normalizations.push({ name, channels: input.shape[1] as number, input, ...moments });
    return moments;
  };
  const by = normalization.source({ population: populationMoments(g, parts), examples: supportMoments });
  const weightOf = (name: string): Value => {
    const weight = bound.get(name);
    if (!weight) throw new Error(`no weight "${name}"`);
    return weight.dense;
  };
  const features = meanOverViews(g, images, parts.views ?? [], (view) => backbone.build(g, view, weightOf, by));
  const inputs = [...bound.values()].flatMap(({ input }) => (input ? [input] : []));
  const graph: Graph = { name: 'features', inputs: [images, ...inputs], outputs: new Map([['features', features]]) };
  return { features: graph, normalizations };
}

/**
 * The graphs of a pattern. What no moving entry reaches is frozen and goes into `encode`; the rest is compiled
 * with its gradients. N images and W classes stay symbols.
 */
export function buildPatternGraphs(parts: PatternParts): PatternGraphs {
  const moving = parts.weights.filter(isMoving);
  const graphs = compilePattern({
    ...featureGraph(parts),
    featureLength: parts.backbone.features,
    rates: movingRates(parts),
    ...(parts.rerunsPrefix ? { unsplit: true } : {}),
    headFeatures: (g, features) => headFeatures(g, parts.head, features),
    startHead: (g, features, labels) => {
      const learned = (name: string) => learnedConstant(g, parts, name);
      if (parts.head === 'prototype') return prototypeHead(g, features, labels, learned('head.scale'));
      if (parts.head === 'cosine') return cosineHead(g, features, labels, learned('head.scale'));
      return sharedHead(g, { weight: learned('head.weight'), bias: learned('head.bias') }, labels);
    },
  });
  return { ...graphs, values: new Map(moving.map(({ name, start, mask }) => [name, compact(start, mask)])) };
}

function learnedConstant(g: GraphBuilder, { learnedHead }: PatternParts, name: string): Value {
  const learned = learnedHead.find((candidate) => candidate.name === name);
  if (!learned) throw new Error(`the head needs the learned "${name}"`);
  return g.constant(makeTensor(learned.shape, learned.start), name);
}

import {
  foldConstants,
  type Graph,
  GraphBuilder,
  gatherSlices,
  mergeCommonSubexpressions,
  narrow,
  removeUnusedInputs,
  runPasses,
  type Shape,
  simplify,
} from '@whet/compiler';
import type { PatternSource } from './pattern-source.js';
import { copyRest, encodeGraph, type RestOfNetwork, type SplitNetwork, splitNetwork } from './split-network.js';

/** A pattern's network split where its frozen part ends, and what makes graphs of the rest. */
export interface SplitPattern {
  readonly split: SplitNetwork;
  /** `images [N, C, H, W]` to `features`; undefined where nothing is frozen. */
  readonly encode: Graph | undefined;
  /** Of the features, N images. */
  readonly featureShape: Shape;
  /**
   * A graph that `build` makes of a copy of the rest, with normalization by the batch's moments or by stored ones; its passes are run.
   */
  readonly part: (
    name: string,
    moments: 'batch' | 'stored',
    build: (g: GraphBuilder, rest: RestOfNetwork) => Graph,
  ) => Graph;
}

/** Throws an Error where the features have no input `images`. */
export function splitPattern(source: PatternSource): SplitPattern {
  const whole = source.features;
  const images = whole.inputs.find(({ name }) => name === 'images');
  if (!images) throw new Error(`"${whole.name}" has no input "images"`);
  const split: SplitNetwork = source.unsplit
    ? { whole, images, cut: [], frozen: [], moving: source.normalizations ?? [] }
    : splitNetwork(whole, images, source.normalizations ?? []);
  const encode = split.cut.length > 0 ? encodeGraph(split, false) : undefined;
  const featureShape = encode?.outputs.get('features')?.shape ?? images.shape;
  return {
    split,
    encode,
    featureShape,
    part: (name, moments, build) => {
      const g = new GraphBuilder();
      const rest = copyRest(g, split, featureShape, moments === 'stored');
      const built = build(g, { ...rest, output: source.headFeatures?.(g, rest.output) ?? rest.output });
      const passes = { removeUnusedInputs, gatherSlices, foldConstants, mergeCommonSubexpressions, simplify, narrow };
      // What is gathered of constants is one.
      return runPasses({ ...built, name }, { ...passes, foldNarrowed: foldConstants }).graph;
    },
  };
}

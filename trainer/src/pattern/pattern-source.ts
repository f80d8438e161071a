import type { Graph, GraphBuilder, Value } from '@whet/compiler';
import type { HeadWeights, RidgeHeads } from '@whet/models';
import type { ObjectiveName, OptimizerName } from '@whet/runtime/format';
import type { SupportNormalization } from './support-moments.js';

export interface PatternSource {
  /** From `images [N, C, H, W]` and the moving values to `features [N, F]`. */
  readonly features: Graph;
  readonly featureLength: number;
  /**
   * Splits no frozen part off: where `images` is what one made of them already, or to measure what caching it saves.
   */
  readonly unsplit?: boolean;
  /**
   * Normalizations by the support set's moments, which `features` computes of its own batch; queries are normalized
   * with stored ones. None where all moments are constants of the graph (`population`).
   */
  readonly normalizations?: readonly SupportNormalization[];
  /** What the head reads of the features `[N, F]`, such as their directions; the features themselves when absent. */
  readonly headFeatures?: (g: GraphBuilder, features: Value) => Value;
  /**
   * The head a task starts from, out of features `[N, F]` and one-hot labels `[N, W]`; of a kept head, the rows of the W
   * classes that it does not have, with its own `kept.weight [C, F]` and `kept.bias [C]`.
   */
  readonly startHead: (g: GraphBuilder, features: Value, labels: Value, kept: HeadWeights | undefined) => HeadWeights;
  /** Classes of the model's own last layer, where the head starts from that. */
  readonly keptClasses?: number;
  /**
   * By what multiple of the common rate each entry of a value moves, by the value's name; of the head, each entry of the
   * row that all classes share, 0 where it stays. All move by the common rate when absent.
   */
  readonly rates?: ReadonlyMap<string, Float32Array>;
  /** How a gradient becomes a step; `sgd` when absent. */
  readonly optimizer?: OptimizerName;
  /** What the loss of a step is of; the head's own logits when absent. */
  readonly objective?: ObjectiveName;
  /**
   * Logits `[N, W]` of head features by prototypes that each example is no part of, with `support [N]`; for the objective
   * `prototypes`.
   */
  readonly leaveOneOut?: (g: GraphBuilder, features: Value, labels: Value, support: Value) => Value;
  /**
   * Heads in closed form, each of the rows that `support [K, N, 1]` names, out of head features `[N, F]` and one-hot labels `[N, W]`:
   * where the head ends, if there is such a one.
   */
  readonly solve?: (g: GraphBuilder, features: Value, labels: Value, support: Value) => RidgeHeads;
  /** The share of each label that all classes have; none when absent. */
  readonly smoothing?: number;
  /** What is taken off the distance to `starts` in a step, times the rate (decoupled weight decay); nothing when absent. */
  readonly decay?: { readonly by: number; readonly starts: ReadonlyMap<string, Float32Array> };
}

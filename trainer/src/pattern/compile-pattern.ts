import {
  foldConstants,
  type Graph,
  GraphBuilder,
  gatherSlices,
  gradients,
  isStatic,
  makeTensor,
  mergeCommonSubexpressions,
  narrow,
  removeUnusedInputs,
  runPasses,
  simplify,
  sizeOf,
  staticShape,
  type Value,
} from '@whet/compiler';
import { crossEntropy, type HeadWeights, headLogits } from '@whet/models';
import { nextName, stateName } from '@whet/runtime/format';
import { type OptimizerName, optimizers } from './optimizers.js';
import { copyRest, encodeGraph, type RestOfNetwork, splitNetwork } from './split-network.js';
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
}

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
  /** Those that take the support set's moments, from the image upward; `frozen` where `encode` yields them. */
  readonly normalizations: readonly { readonly name: string; readonly channels: number; readonly frozen: boolean }[];
  /** Shape of the features of one image. */
  readonly features: readonly number[];
  /** Values of the source at which the frozen part ends; several are cached side by side in one row. */
  readonly boundary: readonly Value[];
}

/** A direction times each entry's multiple of the rate. The head's frozen entries are the task's own, and stored all the same. */
function scaleByRates(g: GraphBuilder, direction: Value, rates: Float32Array | undefined): Value {
  if (!rates || rates.every((rate) => rate === 1)) return direction;
  const whole = isStatic(direction.shape) && sizeOf(direction.shape) === rates.length;
  const shape = whole ? staticShape(direction) : [rates.length];
  return g.apply('Mul', [direction, g.constant(makeTensor(shape, rates))], {});
}

/**
 * The graphs of a pattern: what no moving value reaches becomes `encode`, the rest is compiled with its gradients. N
 * images and W classes stay symbols. Throws where the loss does not depend on a moving value.
 */
export function compilePattern(source: PatternSource): CompiledPattern {
  const whole = source.features;
  const images = whole.inputs.find(({ name }) => name === 'images');
  if (!images) throw new Error(`"${whole.name}" has no input "images"`);
  const split = source.unsplit
    ? { whole, images, cut: [], frozen: [], moving: source.normalizations ?? [] }
    : splitNetwork(whole, images, source.normalizations ?? []);
  const { cut, frozen, moving } = split;
  const encode = cut.length > 0 ? encodeGraph(split, false) : undefined;
  const featureShape = encode?.outputs.get('features')?.shape ?? images.shape;

  const part = (name: string, moments: 'batch' | 'stored', build: (g: GraphBuilder, rest: RestOfNetwork) => Graph) => {
    const g = new GraphBuilder();
    const rest = copyRest(g, split, featureShape, moments === 'stored');
    const built = build(g, { ...rest, output: source.headFeatures?.(g, rest.output) ?? rest.output });
    const passes = { removeUnusedInputs, gatherSlices, foldConstants, mergeCommonSubexpressions, simplify, narrow };
    // What is gathered of constants is one.
    return runPasses({ ...built, name }, { ...passes, foldNarrowed: foldConstants }).graph;
  };

  const withHead = (g: GraphBuilder, values: ReadonlyMap<string, Value>) => {
    const weight = g.input('head.weight', ['W', source.featureLength]);
    const bias = g.input('head.bias', ['W']);
    return new Map(values).set('head.weight', weight).set('head.bias', bias);
  };
  const logitsOf = (g: GraphBuilder, output: Value, all: ReadonlyMap<string, Value>) =>
    headLogits(g, output, { weight: all.get('head.weight') as Value, bias: all.get('head.bias') as Value });

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

  const step = part('step', 'batch', (g, { output, features, values }) => {
    const labels = g.input('labels', ['N', 'W']);
    const rate = g.input('rate', []);
    const all = withHead(g, values);
    const loss = crossEntropy(g, logitsOf(g, output, all), labels);
    const stays = (name: string) => source.rates?.get(name)?.every((rate) => rate === 0) ?? false;
    const moving = [...all.keys()].filter((name) => !stays(name));
    const found = gradients(
      g,
      loss,
      moving.map((name) => all.get(name) as Value),
    );
    const outputs = new Map<string, Value>([['loss', loss]]);
    const optimizer = optimizers[source.optimizer ?? 'sgd'];
    const count = optimizer.counts ? [g.input('count', [])] : [];
    const inputs = [features, labels, rate, ...count, ...all.values()];
    const gradientOf = new Map(moving.map((name, i) => [name, found[i]]));
    for (const [name, value] of all) {
      const gradient = gradientOf.get(name);
      if (!gradient && !stays(name)) throw new Error(`the loss does not depend on "${name}"`);
      const states = optimizer.states.map((state) => g.input(stateName(name, state), value.shape));
      inputs.push(...states);
      // What stays has no gradient, but every step has the input `rate`, and every value its states.
      const { direction, next } = gradient
        ? optimizer.direct(g, gradient, states, count[0])
        : { direction: g.scalar(0), next: states.map((state) => g.apply('Mul', [state, g.scalar(1)], {})) };
      const scaled = gradient ? scaleByRates(g, direction, source.rates?.get(name)) : direction;
      outputs.set(nextName(name), g.apply('Sub', [value, g.apply('Mul', [rate, scaled], {})], {}));
      optimizer.states.forEach((state, i) => {
        outputs.set(nextName(stateName(name, state)), next[i] as Value);
      });
    }
    return { name: 'step', inputs, outputs };
  });

  const momentsOf = (_: GraphBuilder, { features, values, moments }: RestOfNetwork): Graph => {
    return { name: 'moments', inputs: [features, ...values.values()], outputs: moments };
  };

  const predict = part('predict', 'stored', (g, { output, features, values, moments }) => {
    const all = withHead(g, values);
    const probabilities = g.apply('Softmax', [logitsOf(g, output, all)], { axis: -1 });
    return {
      name: 'predict',
      inputs: [features, ...all.values(), ...moments.values()],
      outputs: new Map([['probabilities', probabilities]]),
    };
  });

  return {
    encode,
    encodeQuery: frozen.length > 0 ? encodeGraph(split, true) : undefined,
    start,
    step,
    moments: moving.length > 0 ? part('moments', 'batch', momentsOf) : undefined,
    predict,
    normalizations: [...frozen, ...moving].map((normalization) => ({
      name: normalization.name,
      channels: normalization.channels,
      frozen: frozen.includes(normalization),
    })),
    features: featureShape.slice(1) as number[],
    boundary: cut,
  };
}

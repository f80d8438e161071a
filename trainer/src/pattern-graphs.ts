import {
  foldConstants,
  type Graph,
  GraphBuilder,
  gradients,
  inline,
  makeTensor,
  removeUnusedInputs,
  reshape,
  splitAtFrozenPrefix,
  type Value,
} from '@whet/compiler';
import {
  type Backbone,
  crossEntropy,
  type HeadKind,
  headLogits,
  type Moments,
  prototypeHead,
  sharedHead,
} from '@whet/models';
import { nextName } from '@whet/runtime';

/** A weight of the network in a pattern: its trained start, and which of its entries move. */
export interface PatternWeight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly start: Float32Array;
  /** 1 for each entry that moves; absent where none moves. A weight that moves whole is stored dense. */
  readonly mask?: Uint8Array;
}

export interface PatternParts {
  readonly backbone: Backbone;
  readonly head: Exclude<HeadKind, 'fixed'>;
  /** Weights of the backbone. */
  readonly weights: readonly PatternWeight[];
  /** What the outer loop learned of the head: a shared vector, or the scale of prototypes. */
  readonly learnedHead: readonly PatternWeight[];
  /** 1 for each entry of `head.weight`'s row and of `head.bias` that moves, `[F]` and `[1]`. */
  readonly headMasks: { readonly weight: Uint8Array; readonly bias: Uint8Array };
  readonly moments: ReadonlyMap<string, { readonly mean: Float32Array; readonly variance: Float32Array }>;
}

export interface PatternGraphs {
  /** `images [N, C, H, W]` to `features`; undefined where no part of the network is frozen. */
  readonly encode: Graph | undefined;
  readonly start: Graph;
  readonly step: Graph;
  readonly predict: Graph;
  /** Shape of the features of one image. */
  readonly features: readonly number[];
  /** Compact starts of the moving values below the head. */
  readonly values: ReadonlyMap<string, Float32Array>;
}

const isMoving = ({ mask }: PatternWeight): boolean => mask?.includes(1) ?? false;

function openEntries(mask: Uint8Array): number[] {
  return Array.from(mask.keys()).filter((i) => mask[i] === 1);
}

/** The dense weight a graph computes with, and the input that holds its moving entries, if any move. */
function bindWeight(g: GraphBuilder, weight: PatternWeight): { dense: Value; input?: Value } {
  const { name, shape, start, mask } = weight;
  if (!mask || !isMoving(weight)) return { dense: g.constant(makeTensor(shape, start), name) };
  const open = openEntries(mask);
  if (open.length === start.length) {
    const input = g.input(name, shape);
    return { dense: input, input };
  }
  const input = g.input(name, [open.length]);
  const frozen = g.constant(makeTensor([start.length], start), `${name}.start`);
  const indices = g.constant(makeTensor([open.length], Float64Array.from(open), 'int64'), `${name}.indices`);
  const scattered = g.apply(
    'ScatterElements',
    [frozen, indices, input],
    { axis: 0, reduction: 'none' },
    `${name}.dense`,
  );
  return { dense: reshape(g, scattered, shape), input };
}

function compactStart({ start, mask }: PatternWeight): Float32Array {
  return mask ? Float32Array.from(openEntries(mask), (i) => start[i] as number) : start;
}

/** The network from images to head features, with the moving entries as inputs. */
function featureGraph({ backbone, weights, moments }: PatternParts): Graph {
  const g = new GraphBuilder();
  const images = g.input('images', ['N', ...backbone.imageShape]);
  const bound = new Map(weights.map((weight) => [weight.name, bindWeight(g, weight)]));
  const stored = new Map<string, Moments>();
  for (const { name, channels } of backbone.normalizations) {
    const moment = moments.get(name);
    if (!moment) throw new Error(`no population moments for "${name}"`);
    const constant = (data: Float32Array) => g.constant(makeTensor([1, channels, 1, 1], data));
    stored.set(name, { mean: constant(moment.mean), variance: constant(moment.variance) });
  }
  const features = backbone.build(
    g,
    images,
    (name) => {
      const weight = bound.get(name);
      if (!weight) throw new Error(`no weight "${name}"`);
      return weight.dense;
    },
    (name) => stored.get(name) as Moments,
  );
  const inputs = [...bound.values()].flatMap(({ input }) => (input ? [input] : []));
  return { name: 'features', inputs: [images, ...inputs], outputs: new Map([['features', features]]) };
}

/** Masks the gradient of a head value whose frozen entries are the task's own and are stored all the same. */
function maskHead(g: GraphBuilder, gradient: Value, mask: Uint8Array): Value {
  if (!mask.includes(0)) return gradient;
  return g.apply('Mul', [gradient, g.constant(makeTensor([mask.length], Float32Array.from(mask)))], {});
}

/**
 * The four graphs of a pattern. What no moving entry reaches is frozen and goes into `encode`; the rest is compiled
 * with its gradients. N images and W classes stay symbols.
 */
export function buildPatternGraphs(parts: PatternParts): PatternGraphs {
  const whole = featureGraph(parts);
  const moving = parts.weights.filter(isMoving);
  const names = new Set(moving.map(({ name }) => name));
  const { prefix, rest } = splitAtFrozenPrefix(whole, names);
  const boundary = [...prefix.outputs.values()];
  if (boundary.length > 1) {
    throw new Error(`the frozen prefix ends at ${boundary.length} values; expected one`);
  }
  const cut = boundary[0];
  const encode: Graph | undefined =
    cut && foldConstants({ ...prefix, name: 'encode', outputs: new Map([['features', cut]]) }).graph;
  const featureShape = (cut ?? (whole.inputs[0] as Value)).shape;

  const part = (
    name: string,
    build: (g: GraphBuilder, head: Value, features: Value, values: Map<string, Value>) => Graph,
  ) => {
    const g = new GraphBuilder();
    const features = g.input('features', featureShape);
    const values = new Map<string, Value>();
    const bindings = new Map<Value, Value>();
    for (const input of rest.inputs) {
      const isFeatures = input.name === 'images' || input.name === 'boundary/0';
      const value = isFeatures ? features : g.input(input.name, input.shape);
      if (!isFeatures) values.set(input.name, value);
      bindings.set(input, value);
    }
    const output = inline(g, rest, bindings).get('features') as Value;
    const { graph } = removeUnusedInputs(build(g, output, features, values));
    return foldConstants({ ...graph, name }).graph;
  };

  const withHead = (g: GraphBuilder, values: Map<string, Value>) => {
    const weight = g.input('head.weight', ['W', parts.backbone.features]);
    const bias = g.input('head.bias', ['W']);
    return new Map(values).set('head.weight', weight).set('head.bias', bias);
  };
  const logitsOf = (g: GraphBuilder, output: Value, all: ReadonlyMap<string, Value>) =>
    headLogits(g, output, { weight: all.get('head.weight') as Value, bias: all.get('head.bias') as Value });

  const start = part('start', (g, output, features, values) => {
    const labels = g.input('labels', ['N', 'W']);
    const head =
      parts.head === 'prototype'
        ? prototypeHead(g, output, labels, learnedConstant(g, parts, 'head.scale'))
        : sharedHead(
            g,
            { weight: learnedConstant(g, parts, 'head.weight'), bias: learnedConstant(g, parts, 'head.bias') },
            labels,
          );
    const outputs = new Map([
      ['head.weight', head.weight],
      ['head.bias', head.bias],
    ]);
    return { name: 'start', inputs: [features, labels, ...values.values()], outputs };
  });

  const step = part('step', (g, output, features, values) => {
    const labels = g.input('labels', ['N', 'W']);
    const rate = g.input('rate', []);
    const all = withHead(g, values);
    const loss = crossEntropy(g, logitsOf(g, output, all), labels);
    const found = gradients(g, loss, [...all.values()]);
    const outputs = new Map<string, Value>([['loss', loss]]);
    [...all].forEach(([name, value], i) => {
      const gradient = found[i];
      if (!gradient) throw new Error(`the loss does not depend on "${name}"`);
      const masks: Record<string, Uint8Array> = {
        'head.weight': parts.headMasks.weight,
        'head.bias': parts.headMasks.bias,
      };
      const mask = masks[name];
      const direction = mask ? maskHead(g, gradient, mask) : gradient;
      outputs.set(nextName(name), g.apply('Sub', [value, g.apply('Mul', [rate, direction], {})], {}));
    });
    return { name: 'step', inputs: [features, labels, rate, ...all.values()], outputs };
  });

  const predict = part('predict', (g, output, features, values) => {
    const all = withHead(g, values);
    const probabilities = g.apply('Softmax', [logitsOf(g, output, all)], { axis: -1 });
    return {
      name: 'predict',
      inputs: [features, ...all.values()],
      outputs: new Map([['probabilities', probabilities]]),
    };
  });

  return {
    encode,
    start,
    step,
    predict,
    features: featureShape.slice(1) as number[],
    values: new Map(moving.map((weight) => [weight.name, compactStart(weight)])),
  };
}

function learnedConstant(g: GraphBuilder, { learnedHead }: PatternParts, name: string): Value {
  const learned = learnedHead.find((candidate) => candidate.name === name);
  if (!learned) throw new Error(`the head needs the learned "${name}"`);
  return g.constant(makeTensor(learned.shape, learned.start), name);
}

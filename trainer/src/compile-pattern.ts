import {
  foldConstants,
  foldScales,
  type Graph,
  GraphBuilder,
  gradients,
  inline,
  makeTensor,
  removeUnusedInputs,
  reshape,
  slice,
  splitAtFrozenPrefix,
  type Value,
} from '@whet/compiler';
import { crossEntropy, type HeadWeights, headLogits } from '@whet/models';
import { nextName } from '@whet/runtime';

export interface PatternSource {
  /** From `images [N, C, H, W]` and the moving values to `features [N, F]`. */
  readonly features: Graph;
  readonly featureLength: number;
  /** Whether `images` is what a frozen part made of them, so that no more of the network is split off. */
  readonly cached?: boolean;
  /**
   * The head a task starts from, out of features `[N, F]` and one-hot labels `[N, W]`; of a kept head, the rows of the W
   * classes that it does not have, with its own `kept.weight [C, F]` and `kept.bias [C]`.
   */
  readonly startHead: (g: GraphBuilder, features: Value, labels: Value, kept: HeadWeights | undefined) => HeadWeights;
  /** Classes of the model's own last layer, where the head starts from that. */
  readonly keptClasses?: number;
  /** 1 for each entry of `head.weight`'s row and of `head.bias` that moves; all move when absent. */
  readonly headMasks?: { readonly weight: Uint8Array; readonly bias: Uint8Array };
}

export interface CompiledPattern {
  /** `images [N, C, H, W]` to `features`; undefined where no part of the network is frozen. */
  readonly encode: Graph | undefined;
  readonly start: Graph;
  readonly step: Graph;
  readonly predict: Graph;
  /** Shape of the features of one image. */
  readonly features: readonly number[];
  /** Values of the source at which the frozen part ends; several are cached side by side in one row. */
  readonly boundary: readonly Value[];
}

/** Values that cannot be kept per image: another axis first than the batch, or a size that is not known. */
const isPerImage = ({ dtype, shape }: Value, batch: Value): boolean =>
  dtype === 'float32' && shape[0] === batch.shape[0] && shape.slice(1).every((dim) => typeof dim === 'number');

const perImage = ({ shape }: Value): number[] => shape.slice(1) as number[];
const lengthOf = (value: Value): number => perImage(value).reduce((product, dim) => product * dim, 1);

/** The frozen part, as one output `features`. */
function encodeGraph(prefix: Graph, cut: readonly Value[], images: Value): Graph {
  const only = cut[0] as Value;
  if (cut.length === 1) return { ...prefix, name: 'encode', outputs: new Map([['features', only]]) };
  const g = new GraphBuilder();
  const input = g.input('images', images.shape);
  const copies = inline(
    g,
    { ...prefix, outputs: new Map(cut.map((value, i) => [String(i), value])) },
    new Map([[images, input]]),
  );
  const rows = [...copies.values()].map((value) => reshape(g, value, [value.shape[0] as string, lengthOf(value)]));
  const features = g.apply('Concat', rows, { axis: 1 }, 'features');
  return { name: 'encode', inputs: [input], outputs: new Map([['features', features]]) };
}

/** The values of the boundary, out of the `features` that {@link encodeGraph} makes of them. */
function unpack(g: GraphBuilder, features: Value, cut: readonly Value[]): Value[] {
  if (cut.length <= 1) return [features];
  let from = 0;
  return cut.map((value) => {
    const end = from + lengthOf(value);
    const row = slice(g, features, [1], [from], [end]);
    from = end;
    return reshape(g, row, [features.shape[0] as string, ...perImage(value)]);
  });
}

/** Masks the gradient of a head value whose frozen entries are the task's own and are stored all the same. */
function maskHead(g: GraphBuilder, gradient: Value, mask: Uint8Array | undefined): Value {
  if (!mask?.includes(0)) return gradient;
  return g.apply('Mul', [gradient, g.constant(makeTensor([mask.length], Float32Array.from(mask)))], {});
}

/** Where the network is cut, and what is left of it. */
function splitNetwork(whole: Graph, images: Value): { prefix: Graph; rest: Graph; cut: readonly Value[] } {
  const moving = new Set(whole.inputs.filter((input) => input !== images).map(({ name }) => name));
  const { prefix, rest: above } = splitAtFrozenPrefix(whole, moving);
  const rest = foldScales(moving)(above).graph;
  const boundary = [...prefix.outputs.values()];
  if (boundary.length === 0) return { prefix, rest, cut: [] };
  // What reads the image above the cut too, or caches something that no image has by itself, is left whole.
  const readsImages = rest.inputs.some(({ name }) => name === images.name);
  if (!boundary.every((value) => isPerImage(value, images))) return { prefix, rest: whole, cut: [] };
  return { prefix, rest, cut: readsImages ? [images, ...boundary] : boundary };
}

/**
 * The graphs of a pattern: what no moving value reaches becomes `encode`, the rest is compiled with its gradients. N
 * images and W classes stay symbols. Throws where the loss does not depend on a moving value.
 */
export function compilePattern(source: PatternSource): CompiledPattern {
  const whole = source.features;
  const images = whole.inputs.find(({ name }) => name === 'images');
  if (!images) throw new Error(`"${whole.name}" has no input "images"`);
  const { prefix, rest, cut } = source.cached ? { prefix: whole, rest: whole, cut: [] } : splitNetwork(whole, images);
  const encode = cut.length > 0 ? foldConstants(encodeGraph(prefix, cut, images)).graph : undefined;
  const featureShape = encode?.outputs.get('features')?.shape ?? images.shape;

  const part = (
    name: string,
    build: (g: GraphBuilder, head: Value, features: Value, values: Map<string, Value>) => Graph,
  ) => {
    const g = new GraphBuilder();
    const features = g.input('features', featureShape);
    const unpacked = unpack(g, features, cut);
    const boundary = cut.filter((value) => value !== images);
    const cached = new Map<string, Value | undefined>([['images', unpacked[0]]]);
    boundary.forEach((value, i) => {
      cached.set(`boundary/${i}`, unpacked[cut.indexOf(value)]);
    });
    const values = new Map<string, Value>();
    const bindings = new Map<Value, Value>();
    for (const input of rest.inputs) {
      const known = cached.get(input.name);
      const value = known ?? g.input(input.name, input.shape);
      if (!known) values.set(input.name, value);
      bindings.set(input, value);
    }
    const output = inline(g, rest, bindings).get('features') as Value;
    const { graph } = removeUnusedInputs(build(g, output, features, values));
    return foldConstants({ ...graph, name }).graph;
  };

  const withHead = (g: GraphBuilder, values: Map<string, Value>) => {
    const weight = g.input('head.weight', ['W', source.featureLength]);
    const bias = g.input('head.bias', ['W']);
    return new Map(values).set('head.weight', weight).set('head.bias', bias);
  };
  const logitsOf = (g: GraphBuilder, output: Value, all: ReadonlyMap<string, Value>) =>
    headLogits(g, output, { weight: all.get('head.weight') as Value, bias: all.get('head.bias') as Value });

  const start = part('start', (g, output, features, values) => {
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

  const step = part('step', (g, output, features, values) => {
    const labels = g.input('labels', ['N', 'W']);
    const rate = g.input('rate', []);
    const all = withHead(g, values);
    const loss = crossEntropy(g, logitsOf(g, output, all), labels);
    const found = gradients(g, loss, [...all.values()]);
    const outputs = new Map<string, Value>([['loss', loss]]);
    const masks = new Map([
      ['head.weight', source.headMasks?.weight],
      ['head.bias', source.headMasks?.bias],
    ]);
    [...all].forEach(([name, value], i) => {
      const gradient = found[i];
      if (!gradient) throw new Error(`the loss does not depend on "${name}"`);
      const direction = maskHead(g, gradient, masks.get(name));
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

  return { encode, start, step, predict, features: featureShape.slice(1) as number[], boundary: cut };
}

import {
  copyInputs,
  foldConstants,
  foldScales,
  frozenBoundary,
  type Graph,
  GraphBuilder,
  inline,
  mergeCommonSubexpressions,
  type Node,
  nodesOf,
  removeUnusedInputs,
  reshape,
  runPasses,
  type Shape,
  slice,
  type Value,
} from '@whet/compiler';
import { momentNames } from '@whet/runtime/format';
import type { SupportNormalization } from './support-moments.js';

/** Values that cannot be kept per image: another axis first than the batch, or a size that is not known. */
const isPerImage = ({ dtype, shape }: Value, batch: Value): boolean =>
  dtype === 'float32' && shape[0] === batch.shape[0] && shape.slice(1).every((dim) => typeof dim === 'number');

const perImage = ({ shape }: Value): number[] => shape.slice(1) as number[];
const lengthOf = (value: Value): number => perImage(value).reduce((product, dim) => product * dim, 1);

/** How many numbers of one image the values of a cut have together. */
export const lengthPerImage = (cut: readonly Value[]): number => cut.reduce((sum, value) => sum + lengthOf(value), 0);

/** A network and where its frozen part ends. */
export interface SplitNetwork {
  readonly whole: Graph;
  readonly images: Value;
  /** Values that are cached, the images among them where the rest reads those too; none where nothing is frozen. */
  readonly cut: readonly Value[];
  /** Normalizations by support moments, below and above the cut. */
  readonly frozen: readonly SupportNormalization[];
  readonly moving: readonly SupportNormalization[];
}

export function splitNetwork(
  whole: Graph,
  images: Value,
  normalizations: readonly SupportNormalization[],
): SplitNetwork {
  const features = whole.outputs.get('features') as Value;
  const boundary = frozenBoundary(whole, new Set(whole.inputs.filter((input) => input !== images).map(nameOf)), {
    mayCross: (value) => isPerImage(value, images),
    // What is centred with a mean, queries have to be centred with the same.
    together: normalizations.map(({ input, mean, variance }) => nodesOf([mean, variance], [input]).map(outputOf)),
  });
  const above = nodesOf([features], boundary);
  const computed = new Set(above.map(outputOf));
  const readsImages = boundary.length > 0 && above.some(({ inputs }) => inputs.includes(images));
  return {
    whole,
    images,
    cut: readsImages ? [images, ...boundary] : boundary,
    frozen: normalizations.filter(({ mean }) => !computed.has(mean)),
    moving: normalizations.filter(({ mean }) => computed.has(mean)),
  };
}

const nameOf = ({ name }: Value): string => name;
const outputOf = ({ output }: Node): Value => output;

/** Outputs `<normalization>.mean [C]` and `.variance [C]`, out of the graph's own values as `copies` has them. */
function momentOutputs(
  g: GraphBuilder,
  normalizations: readonly SupportNormalization[],
  copies: ReadonlyMap<string, Value>,
): Map<string, Value> {
  const outputs = new Map<string, Value>();
  for (const { name, channels } of normalizations) {
    for (const moment of Object.values(momentNames(name))) {
      outputs.set(moment, reshape(g, copies.get(moment) as Value, [channels]));
    }
  }
  return outputs;
}

/** What {@link momentOutputs} needs of the copied graph. */
const momentsWanted = (normalizations: readonly SupportNormalization[]): [string, Value][] =>
  normalizations.flatMap(({ name, mean, variance }) => {
    const names = momentNames(name);
    return [[names.mean, mean] as [string, Value], [names.variance, variance] as [string, Value]];
  });

/** Inputs `<normalization>.mean [C]` and `.variance [C]`, bound in place of the batch's own moments. */
function momentInputs(
  g: GraphBuilder,
  normalizations: readonly SupportNormalization[],
  bindings: Map<Value, Value>,
): Value[] {
  return momentsWanted(normalizations).map(([name, value]) => {
    const input = g.input(name, [value.shape[1] as number]);
    bindings.set(value, reshape(g, input, value.shape));
    return input;
  });
}

/** The frozen part, as one output `features`; with `stored` moments as inputs, or else with the batch's as outputs. */
export function encodeGraph({ whole, images, cut, frozen }: SplitNetwork, stored: boolean): Graph {
  const g = new GraphBuilder();
  const input = g.input('images', images.shape);
  const bindings = new Map([[images, input]]);
  const moments = stored ? momentInputs(g, frozen, bindings) : [];
  const wanted = cut.map((value, i): [string, Value] => [`boundary/${i}`, value]);
  const outputs = new Map([...wanted, ...(stored ? [] : momentsWanted(frozen))]);
  const copies = inline(g, { ...whole, outputs }, bindings);
  const values = wanted.map(([name]) => copies.get(name) as Value);
  const rows = () => values.map((value) => reshape(g, value, [value.shape[0] as string, lengthOf(value)]));
  const features = values.length === 1 ? (values[0] as Value) : g.apply('Concat', rows(), { axis: 1 }, 'features');
  const graph = {
    name: stored ? 'encode-query' : 'encode',
    inputs: [input, ...moments],
    outputs: new Map([['features', features], ...(stored ? [] : momentOutputs(g, frozen, copies))]),
  };
  // Views of an image go through one network: what it is made of stands in the file once.
  return runPasses(graph, { foldConstants, mergeCommonSubexpressions }).graph;
}

/** The values of a cut out of `features`, where they lie side by side in rows `[N, length]` if there are several. */
export function unpack(g: GraphBuilder, features: Value, cut: readonly Value[]): Value[] {
  if (cut.length <= 1) return [features];
  let from = 0;
  return cut.map((value) => {
    const end = from + lengthOf(value);
    const row = slice(g, features, [1], [from], [end]);
    from = end;
    return reshape(g, row, [features.shape[0] as string, ...perImage(value)]);
  });
}

/** The part above the cut, in a graph that is being built. */
export interface RestOfNetwork {
  /** The graph's input `features`. */
  readonly features: Value;
  /** `[N, F]`, what the head reads. */
  readonly output: Value;
  /** The moving values, by name. */
  readonly values: ReadonlyMap<string, Value>;
  /** Moments of the moving normalizations: inputs where they are stored, or else those of the batch. */
  readonly moments: ReadonlyMap<string, Value>;
}

/** The part above the cut as a graph of its own; scales and shifts that allow it are folded into convolutions. */
function restGraph({ whole, images, cut, moving }: SplitNetwork, featureShape: Shape, stored: boolean): Graph {
  const g = new GraphBuilder();
  const features = g.input('features', featureShape);
  const bindings = new Map<Value, Value>();
  const cached = cut.length === 0 ? [images] : cut;
  unpack(g, features, cut).forEach((value, i) => {
    bindings.set(cached[i] as Value, value);
  });
  const values: Value[] = [];
  for (const input of removeUnusedInputs(whole).graph.inputs) {
    if (input === images) continue;
    const value = g.input(input.name, input.shape, input.dtype);
    values.push(value);
    bindings.set(input, value);
  }
  const moments = stored ? momentInputs(g, moving, bindings) : [];
  const wanted = new Map([...whole.outputs, ...(stored ? [] : momentsWanted(moving))]);
  const copies = inline(g, { ...whole, outputs: wanted }, bindings);
  const outputs = new Map([['features', copies.get('features') as Value]]);
  if (!stored) for (const [name, value] of momentOutputs(g, moving, copies)) outputs.set(name, value);
  const graph = { name: 'rest', inputs: [features, ...values, ...moments], outputs };
  return runPasses(graph, { foldScales: foldScales(new Set(values.map(nameOf))) }).graph;
}

export function copyRest(g: GraphBuilder, split: SplitNetwork, featureShape: Shape, stored: boolean): RestOfNetwork {
  const graph = restGraph(split, featureShape, stored);
  const inputs = copyInputs(g, graph);
  const copies = inline(g, graph, inputs);
  const names = new Set(momentsWanted(split.moving).map(([name]) => name));
  const [features, ...rest] = [...inputs.values()] as [Value, ...Value[]];
  const moments = stored ? rest.map((input) => [input.name, input] as const) : [...copies];
  return {
    features,
    output: copies.get('features') as Value,
    values: new Map(rest.filter(({ name }) => !names.has(name)).map((value) => [value.name, value])),
    moments: new Map(moments.filter(([name]) => names.has(name))),
  };
}

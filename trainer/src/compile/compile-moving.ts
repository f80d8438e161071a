import {
  type ExternalReader,
  encodeOnnx,
  type Graph,
  GraphBuilder,
  inline,
  lowerForCpu,
  nodesOf,
  type Value,
} from '@whet/compiler';
import { grownHead, type HeadWeights, levelDirections } from '@whet/models';
import { type CompiledPattern, compilePattern } from '../pattern/compile-pattern.js';
import { bindWeight } from '../pattern/masked-weight.js';
import type { PatternSource } from '../pattern/pattern-source.js';
import { takeSupportMoments } from '../pattern/support-moments.js';
import { bundledNormalizations } from '../task/normalizations.js';
import type { CompileOptions, StepOptions } from './compile-options.js';
import { exportedPrefix } from './exported-prefix.js';
import { checkMovingPart, frozenPart, isImage, type MovingPart, movingPart } from './frozen-part.js';
import { CompileError } from './read/compile-error.js';
import type { ModelParameter } from './read/model-parameters.js';
import type { SourceHead } from './read/read-head.js';
import type { SourceModel } from './read/read-model.js';
import { exampleHeads } from './start-heads.js';
import { stepOptions } from './step-defaults.js';

export interface Compiled extends CompiledPattern {
  /** What moves, where the frozen part has to be the file's own: there is no `encode` then, but perhaps a boundary. */
  readonly exactly: MovingPart | undefined;
}

/** Lengths of the features `[N, F]`, the model's own first. */
const featureLengths = ({ layout, levels }: SourceModel): number[] => [
  layout.length,
  ...levels.map(({ length }) => length),
];

/** How long the features `[N, F]` are, with those of levels. */
export const featureLength = (model: SourceModel): number =>
  featureLengths(model).reduce((sum, length) => sum + length, 0);

/** What meta-training learned of a model, where a pattern is to have it. */
export interface LearnedMoving {
  /** Which entries of what moves are open, and by what multiple of the common rate each tensor moves, by name. */
  readonly tensors?: ReadonlyMap<string, { readonly open: Uint8Array; readonly rate: number }>;
  /** What the logits of a head made of examples are multiplied by. */
  readonly headScale: number;
}

/** A head made of examples whose logits are multiplied by `scale`. */
function scaledHead(kind: 'cosine' | 'prototype', scale: number): (typeof exampleHeads)['cosine'] {
  const head = exampleHeads[kind];
  const times = (g: GraphBuilder, value: Value) => g.apply('Mul', [value, g.scalar(scale)], {});
  return {
    ...head,
    startHead: (g, features, labels, kept) => {
      const { weight, bias } = head.startHead(g, features, labels, kept);
      return { weight: times(g, weight), bias: times(g, bias) };
    },
    leaveOneOut: (g, ...of) => times(g, head.leaveOneOut(g, ...of)),
  };
}

/** The head that tasks start from: the model's own, or one that is made of the examples. */
function headSource(
  model: SourceModel,
  head: SourceHead | undefined,
  kind: CompileOptions['head'] = 'cosine',
  scale = 1,
) {
  if (head) {
    return {
      keptClasses: head.classes,
      startHead: (g: GraphBuilder, features: Value, labels: Value, kept: HeadWeights | undefined) =>
        grownHead(g, kept as HeadWeights, features, labels),
    };
  }
  const name = kind === 'prototype' ? 'prototype' : 'cosine';
  const made = scale === 1 ? exampleHeads[name] : scaledHead(name, scale);
  if (model.levels.length === 0) return made;
  const lengths = featureLengths(model);
  return { ...made, headFeatures: (g: GraphBuilder, features: Value) => levelDirections(g, features, lengths) };
}

/** Nodes that a step differentiates at most; the largest classifiers have about half of it when all of them moves. */
const MOST_MOVING = 6000;

function expectFewMoving(features: Graph, names: ReadonlySet<string>): void {
  const moved = new Set(features.inputs.filter(({ name }) => names.has(name)));
  let count = 0;
  for (const { inputs, output } of nodesOf(features.outputs.values())) {
    if (!inputs.some((input) => input && moved.has(input))) continue;
    moved.add(output);
    count++;
  }
  if (count <= MOST_MOVING) return;
  throw new CompileError(
    `expected at most ${MOST_MOVING} nodes above what moves, got ${count}: choose later layers, as last:1`,
  );
}

/** Where a parameter starts. */
export const startingEntries = ({ value }: ModelParameter): Float32Array =>
  Float32Array.from(value.constant?.data ?? []);

/** What a pattern of a model is compiled from, and what moves, where the frozen part has to be the file's own. */
export interface MovingSource {
  readonly source: PatternSource;
  readonly exactly: MovingPart | undefined;
}

/** What the graphs of a model are compiled from of which `moving` moves. Throws {@link CompileError} where too much would. */
export function movingSource(
  model: SourceModel,
  head: SourceHead | undefined,
  moving: readonly ModelParameter[],
  options: Pick<CompileOptions, 'head' | 'normalization'> & StepOptions,
  learned?: LearnedMoving,
): MovingSource {
  const { normalization = 'population', optimizer, objective, smoothing, decay } = options;
  const starts = new Map(moving.map((parameter) => [parameter.name, startingEntries(parameter)]));
  const rest: Omit<PatternSource, 'features'> = {
    featureLength: featureLength(model),
    ...headSource(model, head, options.head, learned?.headScale),
    ...(learned?.tensors ? { rates: ratesOf(learned.tensors) } : {}),
    ...(optimizer ? { optimizer } : {}),
    ...(objective ? { objective } : {}),
    ...(smoothing ? { smoothing } : {}),
    ...(decay ? { decay: { by: decay, starts } } : {}),
  };
  const names = new Set(moving.map(({ name }) => name));
  const features = model.featureGraph(moving);
  expectFewMoving(features, names);
  const masked = (graph: Graph) => (learned?.tensors ? maskedFeatures(graph, moving, learned.tensors) : graph);
  if (!model.opaque) {
    const whole = masked(features);
    const of = bundledNormalizations[normalization].storesMoments ? takeSupportMoments(whole) : { features: whole };
    return { source: { ...of, ...rest }, exactly: undefined };
  }
  const exactly = movingPart(model, features, names);
  return { source: { features: masked(exactly.graph), unsplit: true, ...rest }, exactly };
}

const ratesOf = (tensors: NonNullable<LearnedMoving['tensors']>): Map<string, Float32Array> =>
  new Map([...tensors].map(([name, { rate }]) => [name, Float32Array.of(rate)]));

/** The same graph with the open entries of what moves as inputs, in place of all of them. */
function maskedFeatures(
  graph: Graph,
  moving: readonly ModelParameter[],
  tensors: NonNullable<LearnedMoving['tensors']>,
): Graph {
  const g = new GraphBuilder();
  const weights = new Map(moving.map((parameter) => [parameter.name, parameter]));
  const inputs: Value[] = [];
  const bindings = new Map<Value, Value>();
  for (const input of graph.inputs) {
    const parameter = weights.get(input.name);
    const open = tensors.get(input.name)?.open;
    if (!parameter || !open) {
      const copy = g.input(input.name, input.shape, input.dtype);
      inputs.push(copy);
      bindings.set(input, copy);
      continue;
    }
    const { name, shape } = parameter;
    const bound = bindWeight(g, { name, shape, start: startingEntries(parameter), mask: open });
    if (bound.input) inputs.push(bound.input);
    bindings.set(input, bound.dense);
  }
  return { name: graph.name, inputs, outputs: inline(g, graph, bindings) };
}

/** Values of the model at which its frozen part ends; none where all of it moves. */
export const boundaryOf = (
  model: SourceModel,
  exactly: MovingPart | undefined,
  cut: readonly Value[],
): readonly Value[] => (exactly ? (isImage(model, exactly.frozen) ? [] : exactly.frozen) : cut);

/** The graphs of a model of which `moving` moves. Throws {@link CompileError} naming the pattern. */
export function compileMoving(
  model: SourceModel,
  head: SourceHead | undefined,
  moving: readonly ModelParameter[],
  pattern: string,
  options: CompileOptions,
  learned?: LearnedMoving,
): Compiled {
  try {
    const steps = { ...options, ...stepOptions(options, moving) };
    const { source, exactly } = movingSource(model, head, moving, steps, learned);
    const compiled = compilePattern(source);
    return { ...compiled, boundary: boundaryOf(model, exactly, compiled.boundary), exactly };
  } catch (cause) {
    throw new CompileError(`pattern "${pattern}": ${(cause as Error).message}`, { cause });
  }
}

/** The graph of the frozen part, if anything is frozen: the file's own where it can be. */
export async function prefixOf(
  model: SourceModel,
  {
    exactly,
    encode,
    encodeQuery,
    boundary,
    features,
  }: Pick<Compiled, 'exactly' | 'encode' | 'encodeQuery' | 'boundary' | 'features'>,
  moving: readonly ModelParameter[],
  external: ExternalReader | undefined,
): Promise<{ bytes: Uint8Array; encoded: 'as exported' | 'anew' } | undefined> {
  if (exactly) {
    const bytes = isImage(model, exactly.frozen) ? undefined : await frozenPart(model, boundary, features, external);
    await checkMovingPart(model, exactly, bytes, moving, external);
    return bytes && { bytes, encoded: 'as exported' };
  }
  if (!encode) return undefined;
  // As exported it would normalize with the file's own moments, or have the file's own weights.
  const names = new Set(moving.map(({ name }) => name));
  const isOther = encodeQuery !== undefined || [...(model.restarted ?? [])].some((name) => !names.has(name));
  const exported = isOther ? undefined : await exportedPrefix(model, encode, boundary, external);
  return exported
    ? { bytes: exported, encoded: 'as exported' }
    : { bytes: encodeOnnx(lowerForCpu(encode)), encoded: 'anew' };
}

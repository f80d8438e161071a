import {
  decodeModel,
  type ExternalReader,
  encodeOnnx,
  expandOnnx,
  firstOutput,
  foldConstants,
  type Graph,
  GraphBuilder,
  inline,
  lowerForCpu,
  nodesOf,
  OnnxError,
  type OnnxModel,
  type OnnxProblem,
  readOnnx,
  type Tensor,
  type Value,
} from '@whet/compiler';
import { blockedParameters } from './blocked-parameters.js';
import { BatchError, CompileError } from './compile-error.js';
import { applyLayout, type FeatureLayout, layoutOf } from './feature-layout.js';
import { besideLevels, type FeatureLevel, levelsOf } from './feature-levels.js';
import { findFeaturesTensor, findFeaturesValue, isRow, noLayer } from './find-features.js';
import { expectFiniteTensors } from './finite-tensors.js';
import { expectFiniteParameters } from './finite-weights.js';
import { isOverLimit } from './guarded-run.js';
import { headAbove } from './head-above.js';
import { withKnownBranches } from './known-branches.js';
import { type MainOutput, mainOutput } from './main-output.js';
import { type InputOptions, type ModelInput, withImageInput } from './model-input.js';
import { type ModelParameter, parametersOf } from './model-parameters.js';
import { type Section, sectionsOf } from './network-sections.js';
import { NodeGraph, tensorsOf } from './node-graph.js';
import { checkLayer, measureTensors } from './probe-tensors.js';
import { MOST_ROUNDS, problemOf, readAbove } from './read-above.js';
import { readHead, type SourceHead } from './read-head.js';
import { rewriteBatch } from './rewrite-batch.js';
import { withSafeNames } from './safe-names.js';
import { expectSeparateImages } from './separate-images.js';
import { expectHoldableValues } from './value-sizes.js';

export interface ReadModelOptions extends InputOptions {
  readonly external?: ExternalReader;
  /** Tensor whose value is the features; what the layer that makes the classes reads when absent. */
  readonly features?: string;
  /** Blocks, counted from the last, the means of whose results stand beside the features; of what is read as a whole. None when absent. */
  readonly levels?: number;
}

/** A classifier from a file, up to its features. */
export interface SourceModel {
  /**
   * The file, for any number of images `[N, C, H, W]`, without functions of its own and branches that are never taken; with a node more where its
   * features are integers that first have to be dequantized.
   */
  readonly file: Uint8Array;
  readonly input: ModelInput;
  /** Name of the features tensor. */
  readonly features: string;
  readonly layout: FeatureLayout;
  /** What stands beside it, of blocks below. */
  readonly levels: readonly FeatureLevel[];
  readonly opset: number;
  /** Names of all values that the file's nodes make. */
  readonly tensors: ReadonlySet<string>;
  /** Those of them that a DequantizeLinear makes. */
  readonly dequantized: ReadonlySet<string>;
  /** Outputs of other last layers than the one that is taken. */
  readonly otherOutputs: readonly string[];
  /** What several last layers make whose results are added up; the features are what one of them reads. */
  readonly joinedLayers: readonly string[];
  /** From the image upward, those that cannot move among them. */
  readonly parameters: readonly ModelParameter[];
  /** Its blocks and what stands beside them, from the image upward; of what is not read, nothing but the parameters. */
  readonly sections: readonly Section[];
  /**
   * Whether a frozen part can only be what the file has: some of it is not read, or is quantized, so that encoding it
   * anew would compute something else.
   */
  readonly opaque: boolean;
  /** Parameters that start at other values than the file has, by name; none when absent. */
  readonly restarted?: ReadonlySet<string>;
  /** Nodes above a parameter that cannot be differentiated. */
  blockersOf(parameters: readonly ModelParameter[]): readonly OnnxProblem[];
  /**
   * From `images [N, C, H, W]` and the given parameters to `features [N, F]`, those of levels behind its own; of an opaque model, from the input and
   * what unread nodes make, under their names in the file.
   */
  featureGraph(moving: readonly ModelParameter[]): Graph;
  /** The model's own last layer. Throws {@link CompileError} where what follows the features is not just that. */
  head(): SourceHead;
}

/**
 * The part of a model below its features, and what its values are bound to. `image` is the input that becomes `images`;
 * where there is none, inputs are what the file calls so.
 */
function featureGraphOf(
  graph: Graph,
  features: Value,
  layout: FeatureLayout,
  { levels = [], image }: { readonly levels?: readonly FeatureLevel[]; readonly image?: string } = {},
): SourceModel['featureGraph'] {
  const wanted = new Map(levels.map(({ value }, i) => [`level/${i}`, value] as const));
  const below: Graph = {
    name: 'features',
    inputs: graph.inputs,
    outputs: new Map([['features', features], ...wanted]),
  };
  return (moving) => {
    const g = new GraphBuilder();
    const inputs = graph.inputs.map(({ name, shape }) => g.input(name === image ? 'images' : name, shape));
    const moved = moving.map(({ name, shape }) => g.input(name, shape));
    const bindings = new Map(graph.inputs.map((input, i) => [input, inputs[i] as Value]));
    for (const [i, { value }] of moving.entries()) bindings.set(value, moved[i] as Value);
    const outputs = inline(g, below, bindings);
    const own = applyLayout(g, outputs.get('features') as Value, layout);
    const made = besideLevels(
      g,
      own,
      [...wanted.keys()].map((name) => outputs.get(name) as Value),
    );
    return { name: 'features', inputs: [...inputs, ...moved], outputs: new Map([['features', made]]) };
  };
}

/** A model of which everything is read, so that any of its parameters may move. */
function readableModel(
  file: Uint8Array,
  model: OnnxModel,
  input: ModelInput,
  main: MainOutput,
  read: Graph,
  options: ReadModelOptions,
): SourceModel {
  expectHoldableValues(read);
  const { graph } = foldConstants(read);
  const features = findFeaturesValue(graph, options.features);
  const readers = nodesOf(graph.outputs.values()).filter(({ inputs }) => inputs.includes(features));
  const byMatMul = readers.some(({ op }) => op === 'MatMul');
  const layout = layoutOf(features.name, features.dtype, features.shape, byMatMul);
  const below: Graph = { name: 'features', inputs: graph.inputs, outputs: new Map([['features', features]]) };
  const parameters = withSafeNames(parametersOf(below, input.name), model);
  const sections = sectionsOf(below, parameters);
  const levels = levelsOf(sections, options.levels ?? 0);
  return {
    file,
    input,
    features: features.name,
    layout,
    levels,
    opset: model.opset,
    ...tensorsOf(model),
    otherOutputs: main.others,
    joinedLayers: main.joined,
    parameters,
    sections,
    opaque: false,
    blockersOf: () => [],
    head: () => readHead(graph, features),
    featureGraph: featureGraphOf(graph, features, layout, { levels, image: input.name }),
  };
}

/** A model of which a part is for the runtime alone: what stands above that may move. */
async function partlyReadModel(
  bytes: Uint8Array,
  input: ModelInput,
  main: MainOutput,
  options: ReadModelOptions,
): Promise<SourceModel> {
  const whole = new NodeGraph(decodeModel(bytes), [main.name]);
  const { name, file, layer, convolved } = findFeaturesTensor(bytes, whole, input.name, options.features);
  const model = decodeModel(file);
  const nodes = new NodeGraph(model, [name]);
  const part = await readAbove(file, nodes, input, name, options.external);
  if (layer !== undefined) await checkLayer(file, input, layer, options.external);
  if (convolved) {
    const made = await measureTensors(file, model, input, [main.name], new Set(), options.external);
    const output = made.get(main.name);
    if (output?.kind !== 'batch' || !isRow(output)) throw noLayer(whole);
  }
  const { graph } = foldConstants(part.graph);
  const features = graph.outputs.get(name) as Value;
  const byMatMul = whole.nodes.some(({ op, inputs }) => op === 'MatMul' && inputs.includes(name));
  const layout = layoutOf(name, features.dtype, features.shape, byMatMul);
  const readable = parametersOf(graph, input.name);
  const moving = new Set(readable.map(({ tensor }) => tensor));
  const blocked = blockedParameters(nodes, part.opaque).filter(({ tensor }) => !moving.has(tensor));
  const parameters = withSafeNames([...blocked, ...readable], model);
  const unread = new Map(part.problems.map((problem) => [problem.output, problem]));
  const blockersOf = (parameters: readonly ModelParameter[]) => {
    const above = nodes.above(parameters.flatMap((parameter) => (parameter.blocked ? [parameter.tensor] : [])));
    const found = [...above].flatMap((node) => unread.get(firstOutput(node)) ?? []);
    const isRoot = (problem: OnnxProblem) => !part.consequences.has(problem);
    const roots = found.filter(isRoot);
    if (roots.length > 0) return roots;
    const causes = [...nodes.below(found.map(({ output }) => output))].flatMap(
      (node) => unread.get(firstOutput(node)) ?? [],
    );
    if (found.length > 0) return causes.some(isRoot) ? causes.filter(isRoot) : found;
    const left = [...above].filter((node) => part.opaque.has(node));
    return left.map((node) => problemOf(node, 'stays as exported'));
  };
  return {
    file,
    input,
    features: name,
    layout,
    levels: [],
    opset: model.opset,
    ...tensorsOf(model),
    otherOutputs: main.others,
    joinedLayers: main.joined,
    parameters,
    sections: sectionsOf(graph, parameters),
    opaque: true,
    blockersOf,
    head: () => headAbove(file, name, features.shape, main.name, options.external),
    featureGraph: featureGraphOf(graph, features, layout),
  };
}

/**
 * The graph of a model; what it makes of constants by operators that are not read, onnxruntime computes. Undefined where
 * others are not read.
 */
async function readWhole(
  bytes: Uint8Array,
  model: OnnxModel,
  input: ModelInput,
  output: string,
  external: ExternalReader | undefined,
): Promise<Graph | undefined> {
  const given = new Map<string, Tensor>();
  for (let round = 0; round < MOST_ROUNDS; round++) {
    try {
      const inputShapes = { [input.name]: ['N', ...input.shape] };
      return readOnnx(bytes, { inputShapes, given, outputs: [output], ...(external ? { external } : {}) });
    } catch (error) {
      if (!(error instanceof OnnxError)) throw error;
      if (error.problems.length === 0 && error.opset === undefined) throw error;
      const nodes = new NodeGraph(model);
      const ofImages = nodes.above([input.name]);
      const unread = error.problems.flatMap(({ output }) => nodes.maker(output) ?? []);
      if (unread.length === 0 || unread.some((node) => ofImages.has(node))) return undefined;
      const wanted = unread.flatMap(({ outputs }) => outputs.filter((name) => name !== '' && !given.has(name)));
      const found = await measureTensors(bytes, model, input, wanted, new Set(wanted), external).catch((error) => {
        if (isOverLimit(error)) throw error;
        return undefined;
      });
      const before = given.size;
      for (const [name, { kind, ...rest }] of found ?? []) if ('value' in rest) given.set(name, rest.value);
      if (given.size === before) return undefined;
    }
  }
  return undefined;
}

/**
 * Reads a classifier and finds its image input, features and parameters. A model with operators that are not read, or
 * with quantized activations, is read as far as nothing of that stands above. Throws {@link CompileError} where it has
 * not got these, `OnnxError` where the file is malformed.
 */
export async function readModel(given: Uint8Array, options: ReadModelOptions): Promise<SourceModel> {
  const { external } = options;
  const { file, input } = withImageInput(given, decodeModel(given), options);
  const inputShapes = { [input.name]: ['N', ...input.shape] };
  const expanded = expandOnnx(file, { inputShapes, ...(external ? { external } : {}) });
  const bytes = await withKnownBranches(expanded, input, external);
  try {
    return await readAnyBatch(bytes, input, options);
  } catch (cause) {
    if (!(cause instanceof BatchError) || (input.batch ?? 1) > 1) throw cause;
    return readAnyBatch(await rewriteBatch(bytes, input, cause, external), input, options);
  }
}

/** {@link readModel} of a model that takes any number of images. */
async function readAnyBatch(bytes: Uint8Array, input: ModelInput, options: ReadModelOptions): Promise<SourceModel> {
  const { external } = options;
  const model = decodeModel(bytes);
  const main = mainOutput(new NodeGraph(model), input.name, options.features);
  const read = await readWhole(bytes, model, input, main.name, external);
  const found = read
    ? readableModel(bytes, model, input, main, read, options)
    : await partlyReadModel(bytes, input, main, options);
  const nodes = new NodeGraph(model, [main.name]);
  const below = nodes.below([found.features]);
  const checked = expectFiniteParameters(found.parameters);
  expectFiniteTensors(nodes, below, input.name, checked, external);
  const asExported = () => ({
    bytes: found.file,
    input,
    inputName: input.name,
    tensor: found.features,
    external,
  });
  const asRead = () => ({
    bytes: encodeOnnx(lowerForCpu(found.featureGraph([]))),
    input,
    inputName: 'images',
    tensor: 'features',
  });
  await expectSeparateImages(read ? [asExported, asRead] : [asExported]);
  const head = () => {
    const last = new Set(nodes.nodes.filter((node) => !below.has(node)));
    expectFiniteTensors(nodes, last, input.name, checked, external);
    return found.head();
  };
  return { ...found, head };
}

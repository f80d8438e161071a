import {
  decodeModel,
  type ExternalReader,
  foldConstants,
  type Graph,
  GraphBuilder,
  inline,
  nodesOf,
  OnnxError,
  type OnnxModel,
  type OnnxProblem,
  readOnnx,
  type Shape,
  type Tensor,
  type Value,
} from '@whet/compiler';
import { blockedParameters } from './blocked-parameters.js';
import { CompileError } from './compile-error.js';
import { applyLayout, type FeatureLayout, layoutOf } from './feature-layout.js';
import { findFeaturesTensor, findFeaturesValue } from './find-features.js';
import { type InputOptions, type ModelInput, withImageInput } from './model-input.js';
import { type ModelParameter, parametersOf } from './model-parameters.js';
import { NodeGraph } from './node-graph.js';
import { checkLayer, measureTensors } from './probe-tensors.js';
import { readAbove } from './read-above.js';
import { readHead, type SourceHead } from './read-head.js';
import { withSafeNames } from './safe-names.js';
import { expectHoldableValues } from './value-sizes.js';

export interface ReadModelOptions extends InputOptions {
  readonly external?: ExternalReader;
  /** Tensor whose value is the features; what the layer that makes the classes reads when absent. */
  readonly features?: string;
}

/** A classifier from a file, up to its features. */
export interface SourceModel {
  /** The file; with nodes more where it takes other images than `[N, C, H, W]`, or its features are integers. */
  readonly file: Uint8Array;
  readonly input: ModelInput;
  /** Name of the features tensor. */
  readonly features: string;
  readonly layout: FeatureLayout;
  readonly opset: number;
  /** Names of all values that the file's nodes make. */
  readonly tensors: ReadonlySet<string>;
  /** Those of them that a DequantizeLinear makes. */
  readonly dequantized: ReadonlySet<string>;
  /** From the image upward, those that cannot move among them. */
  readonly parameters: readonly ModelParameter[];
  /**
   * Whether a frozen part can only be what the file has: some of it is not read, or is quantized, so that encoding it
   * anew would compute something else.
   */
  readonly opaque: boolean;
  /** Nodes above a parameter that cannot be differentiated. */
  blockersOf(parameters: readonly ModelParameter[]): readonly OnnxProblem[];
  /**
   * From `images [N, C, H, W]` and the given parameters to `features [N, F]`; of an opaque model, from the input and
   * what unread nodes make, under their names in the file.
   */
  featureGraph(moving: readonly ModelParameter[]): Graph;
  /** The model's own last layer. Throws {@link CompileError} where what follows the features is not just that. */
  head(): SourceHead;
}

function tensorsOf({ nodes }: OnnxModel) {
  const outputsOf = (chosen: OnnxModel['nodes']) => new Set(chosen.flatMap(({ outputs }) => outputs));
  return {
    tensors: outputsOf(nodes),
    dequantized: outputsOf(nodes.filter(({ op }) => op === 'DequantizeLinear')),
  };
}

/**
 * The part of a model below its features, and what its values are bound to. `image` is the input that becomes `images`;
 * where there is none, inputs are what the file calls so.
 */
function featureGraphOf(
  graph: Graph,
  features: Value,
  layout: FeatureLayout,
  image?: string,
): SourceModel['featureGraph'] {
  const below: Graph = { name: 'features', inputs: graph.inputs, outputs: new Map([['features', features]]) };
  return (moving) => {
    const g = new GraphBuilder();
    const inputs = graph.inputs.map(({ name, shape }) => g.input(name === image ? 'images' : name, shape));
    const moved = moving.map(({ name, shape }) => g.input(name, shape));
    const bindings = new Map(graph.inputs.map((input, i) => [input, inputs[i] as Value]));
    for (const [i, { value }] of moving.entries()) bindings.set(value, moved[i] as Value);
    const output = inline(g, below, bindings).get('features') as Value;
    return {
      name: 'features',
      inputs: [...inputs, ...moved],
      outputs: new Map([['features', applyLayout(g, output, layout)]]),
    };
  };
}

/** A model of which everything is read, so that any of its parameters may move. */
function readableModel(
  file: Uint8Array,
  model: OnnxModel,
  input: ModelInput,
  read: Graph,
  wanted: string | undefined,
): SourceModel {
  expectHoldableValues(read);
  const { graph } = foldConstants(read);
  const features = findFeaturesValue(graph, wanted);
  const readers = nodesOf(graph.outputs.values()).filter(({ inputs }) => inputs.includes(features));
  const byMatMul = readers.some(({ op }) => op === 'MatMul');
  const layout = layoutOf(features.name, features.dtype, features.shape, byMatMul);
  const below: Graph = { name: 'features', inputs: graph.inputs, outputs: new Map([['features', features]]) };
  return {
    file,
    input,
    features: features.name,
    layout,
    opset: model.opset,
    ...tensorsOf(model),
    parameters: withSafeNames(parametersOf(below), model),
    opaque: false,
    blockersOf: () => [],
    head: () => readHead(graph, features),
    featureGraph: featureGraphOf(graph, features, layout, input.name),
  };
}

/** The last layer of a model whose features are made by nodes that are not all read. */
function headAbove(file: Uint8Array, features: string, shape: Shape, external: ExternalReader | undefined): SourceHead {
  const given = new Map([[features, shape]]);
  const read = readOnnx(file, { given, quantization: 'straight-through', ...(external ? { external } : {}) });
  const { graph } = foldConstants(read);
  const input = graph.inputs.find(({ name }) => name === features);
  if (!input) throw new CompileError(`head "keep": nothing reads the features "${features}"`);
  return readHead(graph, input);
}

/** A model of which a part is for the runtime alone: what stands above that may move. */
async function partlyReadModel(bytes: Uint8Array, input: ModelInput, options: ReadModelOptions): Promise<SourceModel> {
  const whole = new NodeGraph(decodeModel(bytes));
  const { name, file, layer } = findFeaturesTensor(bytes, whole, input.name, options.features);
  const model = decodeModel(file);
  const nodes = new NodeGraph(model, [name]);
  const part = await readAbove(file, nodes, input, name, options.external);
  if (layer !== undefined) await checkLayer(file, input, layer, options.external);
  const { graph } = foldConstants(part.graph);
  const features = graph.outputs.get(name) as Value;
  const byMatMul = whole.nodes.some(({ op, inputs }) => op === 'MatMul' && inputs.includes(name));
  const layout = layoutOf(name, features.dtype, features.shape, byMatMul);
  const readable = parametersOf(graph);
  const moving = new Set(readable.map(({ tensor }) => tensor));
  const blocked = blockedParameters(nodes, part.opaque).filter(({ tensor }) => !moving.has(tensor));
  const unread = new Map(part.problems.map((problem) => [problem.output, problem]));
  const blockersOf = (parameters: readonly ModelParameter[]) => {
    const above = nodes.above(parameters.flatMap((parameter) => (parameter.blocked ? [parameter.tensor] : [])));
    const found = [...above].flatMap(({ outputs }) => unread.get(outputs[0] ?? '') ?? []);
    const isRoot = (problem: OnnxProblem) => !part.consequences.has(problem);
    const roots = found.filter(isRoot);
    if (roots.length > 0) return roots;
    const causes = [...nodes.below(found.map(({ output }) => output))].flatMap(
      ({ outputs }) => unread.get(outputs[0] ?? '') ?? [],
    );
    return causes.some(isRoot) ? causes.filter(isRoot) : found;
  };
  return {
    file,
    input,
    features: name,
    layout,
    opset: model.opset,
    ...tensorsOf(model),
    parameters: withSafeNames([...blocked, ...readable], model),
    opaque: true,
    blockersOf,
    head: () => headAbove(file, name, features.shape, options.external),
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
  external: ExternalReader | undefined,
): Promise<Graph | undefined> {
  const given = new Map<string, Tensor>();
  for (;;) {
    try {
      const inputShapes = { [input.name]: ['N', ...input.shape] };
      return readOnnx(bytes, { inputShapes, given, ...(external ? { external } : {}) });
    } catch (error) {
      if (!(error instanceof OnnxError)) throw error;
      if (error.problems.length === 0 && error.opset === undefined) throw error;
      const nodes = new NodeGraph(model);
      const ofImages = nodes.above([input.name]);
      const unread = error.problems.flatMap(({ output }) => nodes.maker(output) ?? []);
      if (unread.length === 0 || unread.some((node) => ofImages.has(node))) return undefined;
      const wanted = unread.flatMap(({ outputs }) => outputs.filter((name) => name !== '' && !given.has(name)));
      const found = await measureTensors(bytes, model, input, wanted, new Set(wanted), external).catch(() => undefined);
      const before = given.size;
      for (const [name, { kind, ...rest }] of found ?? []) if ('value' in rest) given.set(name, rest.value);
      if (given.size === before) return undefined;
    }
  }
}

/**
 * Reads a classifier and finds its image input, features and parameters. A model with operators that are not read, or
 * with quantized activations, is read as far as nothing of that stands above. Throws {@link CompileError} where it has
 * not got these, `OnnxError` where the file is malformed.
 */
export async function readModel(bytes: Uint8Array, options: ReadModelOptions): Promise<SourceModel> {
  const given = decodeModel(bytes);
  const { file, input } = withImageInput(bytes, given, options);
  const model = file === bytes ? given : decodeModel(file);
  const read = await readWhole(file, model, input, options.external);
  if (!read) return partlyReadModel(file, input, options);
  return readableModel(file, model, input, read, options.features);
}

import {
  decodeModel,
  type ExternalReader,
  foldConstants,
  type Graph,
  GraphBuilder,
  inline,
  nodesOf,
  OnnxError,
  readOnnx,
  reshape,
  type Value,
} from '@whet/compiler';
import { CompileError } from './compile-error.js';
import { type ModelParameter, parametersOf } from './model-parameters.js';
import { nearestNames } from './nearest-names.js';
import { readHead, type SourceHead } from './read-head.js';

export interface ReadModelOptions {
  readonly external?: ExternalReader;
  /** Tensor whose value is the features; what the last matrix product with a constant reads when absent. */
  readonly features?: string;
  /** Height and width, for a model that takes images of any size. */
  readonly imageSize?: readonly [height: number, width: number];
}

/** A classifier from a file, up to its features. */
export interface SourceModel {
  /** Name of the image input in the file. */
  readonly image: string;
  /** `[C, H, W]` */
  readonly imageShape: readonly [channels: number, height: number, width: number];
  /** Name of the features tensor. */
  readonly features: string;
  readonly featureLength: number;
  readonly opset: number;
  readonly parameters: readonly ModelParameter[];
  /** From `images [N, C, H, W]` and the given parameters to `features [N, F]`. */
  featureGraph(moving: readonly ModelParameter[]): Graph;
  /** The model's own last layer. Throws {@link CompileError} where what follows the features is not just that. */
  head(): SourceHead;
}

const formatDims = (dims: readonly (number | string | undefined)[]): string =>
  `[${dims.map((dim) => dim ?? '?').join(', ')}]`;

/** The one input that is a batch of images, with the batch as the symbol N. */
function imageInput(bytes: Uint8Array, size: ReadModelOptions['imageSize']) {
  const model = decodeModel(bytes);
  const initialized = new Set(model.initializers.map(({ name }) => name));
  const inputs = model.inputs.filter(({ name }) => !initialized.has(name));
  const listed = inputs.map(({ name, shape }) => `"${name}" ${shape ? formatDims(shape) : ''}`).join(', ');
  const images = inputs.filter(({ shape }) => shape?.length === 4);
  const [image] = images;
  if (!image?.shape || images.length > 1 || inputs.length > 1) {
    throw new CompileError(`expected one input, images [N, C, H, W]; the model's inputs are ${listed || 'none'}`);
  }
  const [, channels, ...declared] = image.shape;
  if (channels !== 1 && channels !== 3) {
    throw new CompileError(`input ${listed}: expected images [N, C, H, W] of 1 or 3 channels`);
  }
  const [height, width] = declared.map((dim, axis) => {
    const given = size?.[axis];
    if (typeof dim !== 'number') return given;
    if (given === undefined || given === dim) return dim;
    throw new CompileError(`input ${listed} takes images of ${declared.join(' x ')}, not ${size?.join(' x ')}`);
  });
  if (height === undefined || width === undefined) {
    throw new CompileError(`input ${listed} takes images of any size; give the height and width to compile for`);
  }
  return { name: image.name, opset: model.opset, shape: [channels, height, width] as const };
}

/** The value that is to be the features: what `wanted` names, or what the last matrix product with a constant reads. */
function findFeatures(graph: Graph, wanted: string | undefined): Value {
  const nodes = nodesOf(graph.outputs.values());
  if (wanted !== undefined) {
    const values = new Map(nodes.map(({ output }) => [output.name, output]));
    const value = values.get(wanted);
    if (value) return value;
    const nearest = nearestNames(wanted, values.keys());
    throw new CompileError(`the model has no tensor "${wanted}"; nearest: ${nearest.join(', ') || 'none'}`);
  }
  const head = nodes.findLast(({ op, inputs }) => (op === 'Gemm' || op === 'MatMul') && inputs[1]?.constant);
  const features = head?.inputs[0];
  if (!features) {
    throw new CompileError('the model ends in no Gemm or MatMul with constant weights; name the features tensor');
  }
  return features;
}

function featureLengthOf({ name, dtype, shape }: Value): number {
  const [batch, length, ...rest] = shape;
  if (dtype === 'float32' && batch === 'N' && typeof length === 'number' && rest.every((dim) => dim === 1)) {
    return length;
  }
  const got = `${dtype} ${formatDims(shape)}`;
  throw new CompileError(`features "${name}": expected one vector an image, float32 [N, F], got ${got}`);
}

/**
 * Reads a classifier and finds its image input, features and parameters. Throws {@link CompileError} where it has not
 * got these, `OnnxError` where the file cannot be read.
 */
export function readModel(bytes: Uint8Array, options: ReadModelOptions): SourceModel {
  const image = imageInput(bytes, options.imageSize);
  const read = readOnnx(bytes, {
    inputShapes: { [image.name]: ['N', ...image.shape] },
    ...(options.external ? { external: options.external } : {}),
  });
  const { graph } = foldConstants(read);
  const features = findFeatures(graph, options.features);
  const featureLength = featureLengthOf(features);
  const below: Graph = { name: 'features', inputs: graph.inputs, outputs: new Map([['features', features]]) };
  const images = graph.inputs.find(({ name }) => name === image.name);
  if (images?.dtype !== 'float32') throw new OnnxError(`input "${image.name}" is not floating point`);
  const parameters = parametersOf(below);
  return {
    image: image.name,
    imageShape: image.shape,
    features: features.name,
    featureLength,
    opset: image.opset,
    parameters,
    head: () => readHead(graph, features),
    featureGraph: (moving) => {
      const g = new GraphBuilder();
      const input = g.input('images', images.shape);
      const moved = moving.map(({ name, shape }) => g.input(name, shape));
      const bindings = new Map([[images, input]]);
      for (const [i, { value }] of moving.entries()) bindings.set(value, moved[i] as Value);
      const output = inline(g, below, bindings).get('features') as Value;
      const flat = reshape(g, output, ['N', featureLength]);
      return { name: 'features', inputs: [input, ...moved], outputs: new Map([['features', flat]]) };
    },
  };
}

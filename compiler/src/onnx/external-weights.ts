import { halvesOf } from '../half.js';
import { OnnxError } from './errors.js';
import { innerTensors } from './inner-graphs.js';
import type { GraphMessage, ModelMessage, NodeMessage, TensorMessage } from './messages.js';
import { attributeTypes, onnxMessage, PRODUCER } from './schema.js';
import { graphDType } from './tensors.js';

/** Values of a model that are kept in a file beside it: raw, little endian, as ONNX stores them. */
export interface ExternalWeight {
  /** Of the initializer. */
  readonly name: string;
  /** TensorProto.DataType. */
  readonly dataType: number;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** Where a weight stands: in a file named relative to the model, from `offset`, in bytes. */
export interface WeightPlace {
  readonly location: string;
  readonly offset: number;
}

/** A model whose larger values are to be kept in files beside it. */
export interface SplitModel {
  readonly weights: readonly ExternalWeight[];
  /** The model with its weights at these places, one for each of `weights`. */
  readonly encode: (places: readonly WeightPlace[]) => Uint8Array;
}

/** Bytes from which a value is kept outside: below, naming its place takes about as much. */
const LEAST_BYTES = 256;
const FLOAT = 1;
const UINT8 = 2;
const FLOAT16 = 10;
const INT64 = 7;

const sizeOf = (dims: readonly number[]): number => dims.reduce((product, dim) => product * dim, 1);
const int64Bytes = (values: readonly number[]): Uint8Array => new Uint8Array(BigInt64Array.from(values, BigInt).buffer);

const int64Tensor = (name: string, values: readonly number[]) => ({
  name,
  dims: [values.length],
  dataType: INT64,
  rawData: int64Bytes(values),
});

/** The mask whose open entries are at `places`, which ascend; undefined where a mask would not be smaller, or they do not. */
function maskOfPlaces(places: readonly number[]): Uint8Array | undefined {
  const last = places.at(-1) ?? 0;
  if (last + 1 >= 8 * places.length || (places[0] ?? -1) < 0) return undefined;
  for (let i = 1; i < places.length; i++) if ((places[i] as number) <= (places[i - 1] as number)) return undefined;
  return placesMask(places);
}

/** A byte for each entry up to the last that is open: 1 where it is, 0 where not. `places` ascend. */
export function placesMask(places: readonly number[]): Uint8Array {
  const mask = new Uint8Array((places.at(-1) ?? -1) + 1);
  for (const place of places) mask[place] = 1;
  return mask;
}

/** The first of each run of `run` numbers; undefined where those of a run differ. */
function repeated(numbers: readonly number[], run: number): number[] | undefined {
  if (run <= 1) return undefined;
  const firsts = numbers.filter((_, i) => i % run === 0);
  return numbers.every((number, i) => number === firsts[Math.floor(i / run)]) ? firsts : undefined;
}

/**
 * Takes the place of a large constant of indices by what it is made of, for eight bytes each: rows that are repeated along the other
 * axes are expanded, and places that ascend are those that are open in a mask. onnxruntime computes both when it loads the model.
 */
function compactIndices(graph: GraphMessage, nodes: object[]): void {
  const added: TensorMessage[] = [];
  const taken = new Set([...graph.input, ...graph.initializer].map(({ name }) => name));
  for (const { output } of graph.node) for (const name of output) taken.add(name);
  for (const tensor of [...graph.initializer]) {
    if (tensor.dataType !== INT64 || tensor.rawData.length < LEAST_BYTES) continue;
    const dims = tensor.dims.map(Number);
    const all = Array.from(new BigInt64Array(Uint8Array.from(tensor.rawData).buffer), Number);
    const { name } = tensor;
    const run = sizeOf(dims.slice(1));
    const rows = repeated(all, run);
    const places = rows ?? all;
    const mask = rows || dims.length === 1 ? maskOfPlaces(places) : undefined;
    if (!rows && !mask) continue;
    // Only a graph of odd names has one of these already.
    const made = (suffix: string) => `${name}/${suffix}`;
    if (['mask', 'shape', 'places', 'rows', 'whole'].some((suffix) => taken.has(made(suffix)))) continue;
    const shape = rows ? [places.length, ...dims.slice(1).map(() => 1)] : dims;
    const shaped = rows ? made('rows') : name;
    if (mask && mask.length < 8 * places.length) {
      tensor.name = made('mask');
      tensor.dims = [mask.length];
      tensor.dataType = UINT8;
      tensor.rawData = mask;
      added.push(int64Tensor(made('shape'), shape) as unknown as TensorMessage);
      nodes.push(
        { opType: 'NonZero', input: [tensor.name], output: [made('places')], name: made('places') },
        { opType: 'Reshape', input: [made('places'), made('shape')], output: [shaped], name: shaped },
      );
    } else {
      tensor.name = shaped;
      tensor.dims = shape;
      tensor.rawData = int64Bytes(places);
    }
    if (!rows) continue;
    added.push(int64Tensor(made('whole'), dims) as unknown as TensorMessage);
    nodes.push({ opType: 'Expand', input: [shaped, made('whole')], output: [name], name });
  }
  graph.initializer.push(...added);
}

/**
 * Stores the weights of two axes and more, where they are large and halves are fine enough for them, as float16; a Cast, which onnxruntime
 * computes when it loads the model, makes float32 of them again. Vectors stay: they are small, and scales among them need all of their digits.
 */
function halveWeights(graph: GraphMessage): void {
  const taken = new Set(graph.input.map(({ name }) => name));
  const casts: object[] = [];
  for (const tensor of graph.initializer) {
    const { name, dataType, dims, rawData } = tensor;
    if (dataType !== FLOAT || dims.length < 2 || rawData.length < 2 * LEAST_BYTES || taken.has(name)) continue;
    const halves = halvesOf(new Float32Array(Uint8Array.from(rawData).buffer));
    if (!halves) continue;
    tensor.name = `${name}/half`;
    tensor.dataType = FLOAT16;
    tensor.rawData = new Uint8Array(halves.buffer);
    const to = { name: 'to', type: attributeTypes.int, i: FLOAT };
    casts.push({ opType: 'Cast', input: [tensor.name], output: [name], name: `${name}/cast`, attribute: [to] });
  }
  graph.node.unshift(...(casts as NodeMessage[]));
}

/**
 * Takes the larger values out of a model. What stands inside nodes stays there; with `half`, weights are stored as float16. Throws {@link OnnxError} where the model keeps
 * values in other files already.
 */
export function splitWeights(model: Uint8Array, { half = false } = {}): SplitModel {
  const message = onnxMessage('ModelProto');
  const decoded = message.decode(model);
  const { graph, functions, producerName } = decoded as unknown as ModelMessage;
  if (!graph) throw new OnnxError('not an ONNX model: the file holds no graph');
  const nodes: readonly NodeMessage[] = [...graph.node, ...functions.flatMap(({ node }) => node)];
  for (const tensor of [...graph.initializer, ...nodes.flatMap((node) => innerTensors(node))]) {
    if (tensor.dataLocation === 1)
      throw new OnnxError(`tensor "${tensor.name}": expected its values in the model, got a file`);
  }
  // Nodes of somebody else's file stay as they are.
  if (producerName === PRODUCER) {
    const made: object[] = [];
    compactIndices(graph, made);
    graph.node.unshift(...(made as NodeMessage[]));
  }
  for (const tensor of graph.initializer) {
    if (tensor.dataType !== FLOAT || tensor.floatData.length === 0) continue;
    tensor.rawData = new Uint8Array(Float32Array.from(tensor.floatData).buffer);
    tensor.floatData = [];
  }
  if (half) halveWeights(graph);
  const outside = graph.initializer.filter(
    ({ rawData, dataType }) => rawData.length >= LEAST_BYTES && graphDType(dataType) !== undefined,
  );
  const weights = outside.map(({ name, dataType, dims, rawData }) => ({
    name,
    dataType,
    shape: dims.map(Number),
    bytes: rawData,
  }));
  return {
    weights,
    encode: (places) => {
      for (const [i, tensor] of outside.entries()) {
        const { location, offset } = places[i] as WeightPlace;
        const { bytes } = weights[i] as ExternalWeight;
        tensor.rawData = new Uint8Array();
        tensor.dataLocation = 1;
        tensor.externalData = [
          { key: 'location', value: location },
          { key: 'offset', value: String(offset) },
          { key: 'length', value: String(bytes.length) },
        ];
      }
      return message.encode(decoded).finish();
    },
  };
}

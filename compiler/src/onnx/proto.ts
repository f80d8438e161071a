import { countNodes } from './budget.js';
import { OnnxError } from './errors.js';
import { capturedNames } from './inner-graphs.js';
import type { NodeMessage } from './messages.js';
import { attributeTypes, onnxMessage } from './schema.js';

/** A tensor as the file holds it; its values are checked and read by `tensors.ts`. */
export interface OnnxTensor {
  readonly name: string;
  readonly dataType: number;
  readonly dims: readonly number[];
  readonly rawData?: Uint8Array;
  readonly floatData: readonly number[];
  readonly int32Data: readonly number[];
  readonly int64Data: readonly number[];
  readonly doubleData: readonly number[];
  readonly uint64Data: readonly number[];
  readonly external?: ExternalLocation;
}

export interface ExternalLocation {
  readonly location: string;
  /** Bytes. */
  readonly offset: number;
  /** Bytes; absent where the file leaves it to the tensor's dims. */
  readonly length?: number;
}

export type OnnxAttribute =
  | { readonly kind: 'float' | 'int'; readonly value: number }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'floats' | 'ints'; readonly value: readonly number[] }
  | { readonly kind: 'strings'; readonly value: readonly string[] }
  | { readonly kind: 'tensor'; readonly value: OnnxTensor }
  | { readonly kind: 'graph'; readonly value: Uint8Array }
  | { readonly kind: 'other'; readonly value: null };

export interface OnnxNode {
  readonly op: string;
  /** `ai.onnx` for ONNX's own operators. */
  readonly domain: string;
  /** The node's name, or its first output's where it has none. */
  readonly name: string;
  /** Value names; the empty string is an absent optional input. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Names of values around the node that the graphs inside it read: it reads them too. */
  readonly captured: ReadonlySet<string>;
  readonly attributes: ReadonlyMap<string, OnnxAttribute>;
}

/** The first output that has a name, which tells a node from all others. */
export const firstOutput = ({ outputs }: OnnxNode): string => outputs.find((name) => name !== '') ?? '';

export interface OnnxValueInfo {
  readonly name: string;
  /** TensorProto.DataType; 0 where it is not said. */
  readonly dataType: number;
  /** Absent where not even the rank is known; a dimension is `undefined` where it has neither number nor name. */
  readonly shape?: readonly (number | string | undefined)[];
  /** What the value is where it is not a tensor: a sequence, a map, ... */
  readonly other?: string;
}

export interface OnnxModel {
  readonly irVersion: number;
  readonly opset: number;
  /** Operators the model defines itself, as `domain:name`, and the version of the operator set ai.onnx that each imports. */
  readonly functions: ReadonlyMap<string, number | undefined>;
  readonly name: string;
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxTensor[];
  readonly inputs: readonly OnnxValueInfo[];
  readonly outputs: readonly OnnxValueInfo[];
  readonly valueInfo: readonly OnnxValueInfo[];
}

type Raw<T> = { readonly [K in keyof T]?: T[K] };
export type RawTensor = Raw<{
  dims: number[];
  dataType: number;
  segment: Uint8Array;
  floatData: number[];
  int32Data: number[];
  stringData: Uint8Array[];
  int64Data: number[];
  name: string;
  rawData: Uint8Array;
  doubleData: number[];
  uint64Data: number[];
  externalData: { key?: string; value?: string }[];
  dataLocation: number;
}>;
type RawAttribute = Raw<{
  name: string;
  f: number;
  i: number;
  s: Uint8Array;
  t: RawTensor;
  g: Uint8Array;
  floats: number[];
  ints: number[];
  strings: Uint8Array[];
  tensors: RawTensor[];
  graphs: Uint8Array[];
  type: number;
  refAttrName: string;
}>;
export type RawNode = Raw<{
  input: string[];
  output: string[];
  name: string;
  opType: string;
  attribute: RawAttribute[];
  domain: string;
}>;
type RawType = Raw<{
  tensorType: { elemType?: number; shape?: { dim?: { dimValue?: number; dimParam?: string }[] } };
  sequenceType: Uint8Array;
  mapType: Uint8Array;
  sparseTensorType: Uint8Array;
  optionalType: Uint8Array;
}>;
type RawValueInfo = Raw<{ name: string; type: RawType }>;
type RawOpset = { domain?: string; version?: number };
type RawModel = Raw<{
  irVersion: number;
  opsetImport: RawOpset[];
  functions: { name?: string; domain?: string; opsetImport?: RawOpset[] }[];
  graph: Raw<{
    node: RawNode[];
    name: string;
    initializer: RawTensor[];
    input: RawValueInfo[];
    output: RawValueInfo[];
    valueInfo: RawValueInfo[];
    sparseInitializer: Uint8Array[];
  }>;
}>;

const formatDomain = (domain: string | undefined): string => domain || 'ai.onnx';

/** Where a tensor's values are, out of the entries that say so. */
export function externalOf(
  given: readonly { key?: string; value?: string }[] | undefined,
  name: string,
): ExternalLocation {
  const entries = new Map(given?.map(({ key, value }) => [key ?? '', value ?? '']));
  const location = entries.get('location');
  if (!location) throw new OnnxError(`tensor "${name}": its values are said to be in another file, but not in which`);
  const bytes = (key: string): number | undefined => {
    const text = entries.get(key);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
      throw new OnnxError(`tensor "${name}": external ${key} "${text}" is not a number of bytes`);
    }
    return value;
  };
  const length = bytes('length');
  return { location, offset: bytes('offset') ?? 0, ...(length === undefined ? {} : { length }) };
}

function readTensor(raw: RawTensor, name: string): OnnxTensor {
  if (raw.segment) throw new OnnxError(`tensor "${name}": tensors in segments are not supported`);
  return {
    name,
    dataType: raw.dataType ?? 0,
    dims: raw.dims ?? [],
    ...(raw.rawData ? { rawData: raw.rawData } : {}),
    floatData: raw.floatData ?? [],
    int32Data: raw.int32Data ?? [],
    int64Data: raw.int64Data ?? [],
    doubleData: raw.doubleData ?? [],
    uint64Data: raw.uint64Data ?? [],
    ...(raw.dataLocation === 1 ? { external: externalOf(raw.externalData, name) } : {}),
  };
}

const text = (bytes: Uint8Array | undefined): string =>
  Array.from(bytes ?? [], (byte) => String.fromCharCode(byte)).join('');

/** Files of early exporters do not say an attribute's type; then what is there tells. */
function attributeType(raw: RawAttribute): number {
  if (raw.type) return raw.type;
  if (raw.f !== undefined) return attributeTypes.float;
  if (raw.i !== undefined) return attributeTypes.int;
  if (raw.s !== undefined) return attributeTypes.string;
  if (raw.t) return attributeTypes.tensor;
  if (raw.g) return attributeTypes.graph;
  if (raw.floats?.length) return attributeTypes.floats;
  return raw.strings?.length ? attributeTypes.strings : attributeTypes.ints;
}

function readAttribute(raw: RawAttribute, where: string): OnnxAttribute {
  if (raw.refAttrName) return { kind: 'other', value: null };
  switch (attributeType(raw)) {
    case attributeTypes.float:
      return { kind: 'float', value: raw.f ?? 0 };
    case attributeTypes.int:
      return { kind: 'int', value: raw.i ?? 0 };
    case attributeTypes.string:
      return { kind: 'string', value: text(raw.s) };
    case attributeTypes.floats:
      return { kind: 'floats', value: raw.floats ?? [] };
    case attributeTypes.ints:
      return { kind: 'ints', value: raw.ints ?? [] };
    case attributeTypes.strings:
      return { kind: 'strings', value: (raw.strings ?? []).map(text) };
    case attributeTypes.tensor:
      if (!raw.t) throw new OnnxError(`${where}: attribute "${raw.name}" has no tensor`);
      return { kind: 'tensor', value: readTensor(raw.t, `${where}, attribute ${raw.name}`) };
    case attributeTypes.graph:
      return { kind: 'graph', value: raw.g ?? new Uint8Array() };
    case attributeTypes.graphs:
      return { kind: 'graph', value: new Uint8Array() };
    default:
      return { kind: 'other', value: null };
  }
}

function readNode(raw: RawNode, index: number): OnnxNode {
  const outputs = raw.output ?? [];
  const name = raw.name || outputs.find((output) => output !== '') || `node ${index}`;
  if (!raw.opType) throw new OnnxError(`node "${name}" (number ${index}) names no operator`);
  const attributes = new Map<string, OnnxAttribute>();
  for (const attribute of raw.attribute ?? []) {
    const where = `${raw.opType} "${name}"`;
    if (!attribute.name) throw new OnnxError(`${where}: an attribute has no name`);
    if (attributes.has(attribute.name)) throw new OnnxError(`${where}: attribute "${attribute.name}" stands twice`);
    attributes.set(attribute.name, readAttribute(attribute, where));
  }
  const inputs = raw.input ?? [];
  const captured = capturedNames({ ...raw, input: inputs, output: outputs } as NodeMessage);
  return { op: raw.opType, domain: formatDomain(raw.domain), name, inputs, outputs, captured, attributes };
}

/** A graph inside a node, as a branch of an If: nodes, tensors, and names of its inputs and outputs. */
export interface InnerGraph extends Pick<OnnxModel, 'nodes' | 'initializers'> {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

/** The graph that a node's attribute holds. */
export function readInnerGraph(bytes: Uint8Array): InnerGraph {
  const message = onnxMessage('GraphProto');
  const raw = message.toObject(message.decode(bytes), { longs: Number, arrays: true });
  const namesOf = (infos: unknown) => ((infos ?? []) as RawValueInfo[]).map(({ name }) => name ?? '');
  return {
    inputs: namesOf(raw['input']),
    outputs: namesOf(raw['output']),
    nodes: ((raw['node'] ?? []) as RawNode[]).map(readNode),
    initializers: ((raw['initializer'] ?? []) as RawTensor[]).map((tensor) => readTensor(tensor, tensor.name ?? '')),
  };
}

function readValueInfo(raw: RawValueInfo, what: string): OnnxValueInfo {
  if (!raw.name) throw new OnnxError(`${what} has no name`);
  const type = raw.type ?? {};
  const other = (['sequenceType', 'mapType', 'sparseTensorType', 'optionalType'] as const).find((key) => type[key]);
  if (other) return { name: raw.name, dataType: 0, other: other.replace('Type', '') };
  const dims = type.tensorType?.shape && (type.tensorType.shape.dim ?? []);
  // Some exporters write -1 for a dimension that is not known.
  const shape = dims?.map((d) =>
    d.dimValue !== undefined && d.dimValue >= 0 ? d.dimValue : d.dimParam ? d.dimParam : undefined,
  );
  return { name: raw.name, dataType: type.tensorType?.elemType ?? 0, ...(shape ? { shape } : {}) };
}

const onnxVersion = (imports: readonly RawOpset[] | undefined): number | undefined =>
  imports?.find(({ domain }) => formatDomain(domain) === 'ai.onnx')?.version;

/**
 * The model in a file, typed, with everything present that the format requires. Throws {@link OnnxError} where the
 * bytes are truncated, are not an ONNX model, or hold more parts than one that can be read.
 */
export function decodeModel(bytes: Uint8Array): OnnxModel {
  countNodes(bytes);
  let raw: RawModel;
  try {
    const message = onnxMessage('ModelProto');
    raw = message.toObject(message.decode(bytes), { longs: Number, arrays: true }) as RawModel;
  } catch (cause) {
    const detail = (cause as Error).message;
    throw new OnnxError(`not an ONNX model, or a truncated one (${bytes.length} bytes): ${detail}`, { cause });
  }
  const { graph } = raw;
  if (!graph) throw new OnnxError(`not an ONNX model: the file of ${bytes.length} bytes holds no graph`);
  if (!raw.irVersion) throw new OnnxError('not an ONNX model: the file does not say its IR version');
  const opset = onnxVersion(raw.opsetImport);
  if (!opset) throw new OnnxError('the model imports no version of the operator set ai.onnx');
  if (graph.sparseInitializer?.length) throw new OnnxError('the model has sparse initializers: not supported');
  return {
    irVersion: raw.irVersion,
    opset,
    functions: new Map(
      raw.functions?.map((each) => [`${formatDomain(each.domain)}:${each.name ?? ''}`, onnxVersion(each.opsetImport)]),
    ),
    name: graph.name ?? '',
    nodes: (graph.node ?? []).map(readNode),
    initializers: (graph.initializer ?? []).map((tensor, i) => {
      if (!tensor.name) throw new OnnxError(`initializer ${i} has no name`);
      return readTensor(tensor, tensor.name);
    }),
    inputs: (graph.input ?? []).map((value, i) => readValueInfo(value, `graph input ${i}`)),
    outputs: (graph.output ?? []).map((value, i) => readValueInfo(value, `graph output ${i}`)),
    valueInfo: (graph.valueInfo ?? []).filter(({ name }) => name).map((value) => readValueInfo(value, 'a value')),
  };
}

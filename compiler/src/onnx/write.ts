import type { Graph, Node, Value } from '../graph.js';
import { constantsOf, GraphError, nodesOf } from '../graph.js';
import type { Dim, DType, Tensor } from '../tensor.js';
import { attributeTypes, dataTypes, IR_VERSION, OPSET, onnxMessage } from './schema.js';

function rawData(tensor: Tensor): Uint8Array {
  switch (tensor.dtype) {
    case 'float32':
      return bytesOf(Float32Array.from(tensor.data));
    case 'int64':
      return bytesOf(BigInt64Array.from(Array.from(tensor.data, (value) => BigInt(value))));
    case 'bool':
      return Uint8Array.from(tensor.data);
  }
}

function bytesOf(array: Float32Array | BigInt64Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** ONNX attributes whose value is a float even where it is written as a whole number; all others are integers. */
const FLOAT_ATTRIBUTES: ReadonlySet<string> = new Set(['alpha', 'beta', 'epsilon', 'gamma', 'value_float']);

function encodeAttribute(node: Node, name: string, value: unknown): object {
  if (name === 'to') return { name, type: attributeTypes.int, i: dataTypes[value as DType] };
  if (typeof value === 'number') {
    return FLOAT_ATTRIBUTES.has(name)
      ? { name, type: attributeTypes.float, f: value }
      : { name, type: attributeTypes.int, i: value };
  }
  if (typeof value === 'string')
    return { name, type: attributeTypes.string, s: Uint8Array.from(value, (character) => character.charCodeAt(0)) };
  if (Array.isArray(value)) return { name, type: attributeTypes.ints, ints: value };
  throw new GraphError(`${node.op} "${node.name}": attribute ${name} cannot be encoded`);
}

function encodeType(value: Value): object {
  const dim = value.shape.map((d: Dim) => (typeof d === 'number' ? { dimValue: d } : { dimParam: d }));
  return { tensorType: { elemType: dataTypes[value.dtype], shape: { dim } } };
}

/** Unique ONNX names: inputs and outputs keep theirs, inner values take theirs where it is free. */
function nameValues(graph: Graph, nodes: readonly Node[], constants: readonly Value[]): Map<Value, string> {
  const names = new Map<Value, string>();
  const taken = new Set<string>(graph.outputs.keys());
  for (const input of graph.inputs) {
    const passedOn = graph.outputs.get(input.name) === input && !names.has(input);
    if (taken.has(input.name) && !passedOn)
      throw new GraphError(`"${graph.name}": two inputs or outputs are named "${input.name}"`);
    taken.add(input.name);
    names.set(input, input.name);
  }
  for (const [name, value] of graph.outputs) if (value.producer && !names.has(value)) names.set(value, name);
  for (const value of [...constants, ...nodes.map((node) => node.output)]) {
    if (names.has(value)) continue;
    let name = value.name;
    for (let suffix = 1; taken.has(name); suffix++) name = `${value.name}_${suffix}`;
    taken.add(name);
    names.set(value, name);
  }
  return names;
}

const erased = (value: Value): Value => {
  let at = value;
  while (at.producer?.op === 'StopGradient' || at.producer?.op === 'StraightThrough')
    at = at.producer.inputs[0] as Value;
  return at;
};

/** The graph without the pseudo-operators that only steer differentiation. */
function eraseSteering(graph: Graph): { nodes: Node[]; outputs: Map<string, Value>; constants: Value[] } {
  const outputs = new Map([...graph.outputs].map(([name, value]) => [name, erased(value)]));
  const nodes: Node[] = [];
  const seen = new Set<Node>();
  const reachable = nodesOf(outputs.values());
  for (const node of reachable) {
    if (node.op === 'StopGradient' || node.op === 'StraightThrough' || seen.has(node)) continue;
    seen.add(node);
    nodes.push({ ...node, inputs: node.inputs.map((input) => input && erased(input)) });
  }
  return { nodes, outputs, constants: constantsOf(graph) };
}

/** Encodes a graph as an ONNX model (opset 18, IR 9) that any ONNX Runtime of that level runs. */
export function encodeOnnx(graph: Graph, metadata: Readonly<Record<string, string>> = {}): Uint8Array {
  const { nodes, outputs, constants } = eraseSteering(graph);
  const names = nameValues({ ...graph, outputs }, nodes, constants);
  const nameOf = (value: Value | undefined): string => (value ? (names.get(value) as string) : '');
  const encoded = nodes.map((node) => ({
    input: node.inputs.map(nameOf),
    output: [nameOf(node.output)],
    name: node.name,
    opType: node.op,
    attribute: Object.entries(node.attributes).map(([name, value]) => encodeAttribute(node, name, value)),
  }));
  // An output that is an input, a constant or another output needs a node of its own.
  for (const [name, value] of outputs) {
    if (nameOf(value) !== name) {
      encoded.push({
        input: [nameOf(value)],
        output: [name],
        name: `output/${name}`,
        opType: 'Identity' as never,
        attribute: [],
      });
    }
  }
  const model = {
    irVersion: IR_VERSION,
    producerName: 'whet',
    opsetImport: [{ domain: '', version: OPSET }],
    metadataProps: Object.entries(metadata).map(([key, value]) => ({ key, value })),
    graph: {
      name: graph.name,
      node: encoded,
      initializer: constants.map((value) => ({
        dims: [...value.shape],
        dataType: dataTypes[value.dtype],
        name: nameOf(value),
        rawData: rawData(value.constant as Tensor),
      })),
      input: graph.inputs.map((value) => ({ name: value.name, type: encodeType(value) })),
      output: [...outputs].map(([name, value]) => ({ name, type: encodeType(value) })),
    },
  };
  const message = onnxMessage('ModelProto');
  return message.encode(message.fromObject(model)).finish();
}

import type { Graph, Node, Value } from '../graph.js';
import { constantsOf, GraphError, nodesOf } from '../graph.js';
import type { AttributeKind } from '../operators/attribute-kinds.js';
import { attributeKinds } from '../operators/attribute-kinds.js';
import { ownOperators } from '../operators/own.js';
import { storedArray } from '../stored-array.js';
import type { Dim, DType, Tensor } from '../tensor.js';
import { attributeTypes, dataTypes, irVersionOf, OPSET, onnxMessage, PRODUCER, youngerOperators } from './schema.js';

function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

function encodeTensor(name: string, tensor: Tensor): object {
  return { dims: [...tensor.shape], dataType: dataTypes[tensor.dtype], name, rawData: bytesOf(storedArray(tensor)) };
}

function encodeAttribute(node: Node, name: string, value: unknown): object {
  const kinds: Readonly<Record<string, AttributeKind>> = attributeKinds[node.op];
  switch (kinds[name]) {
    case 'dtype':
      return { name, type: attributeTypes.int, i: dataTypes[value as DType] };
    case 'int':
      return { name, type: attributeTypes.int, i: value };
    case 'float':
      return { name, type: attributeTypes.float, f: value };
    case 'ints':
      return { name, type: attributeTypes.ints, ints: value };
    case 'string':
      return {
        name,
        type: attributeTypes.string,
        s: Uint8Array.from(value as string, (character) => character.charCodeAt(0)),
      };
    case 'tensor':
      return { name, type: attributeTypes.tensor, t: encodeTensor(name, value as Tensor) };
    default:
      throw new GraphError(`${node.op} "${node.name}": attribute ${name} cannot be encoded`);
  }
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

/** Values within that are kernels of convolutions: their shapes tell engines how to lay them out before a run computes them. */
const kernelsIn = (nodes: readonly Node[]): Set<Value> =>
  new Set(
    nodes
      .filter(({ op }) => op === 'Conv' || op === 'ConvTranspose')
      .flatMap(({ inputs: [, kernels] }) => (kernels?.producer ? [kernels] : [])),
  );

function expectOnnx(nodes: readonly Node[]): void {
  const own = nodes.find(({ op }) => ownOperators.has(op));
  if (!own) return;
  throw new GraphError(
    `${own.op} "${own.name}": not an operator of ONNX; the graph has to be lowered before it is encoded`,
  );
}

/**
 * Encodes a graph as an ONNX model that any ONNX Runtime of its level runs: opset 18 and IR 9, unless it has a younger
 * operator. Node by node, in no other form than the graph's: `lowerForCpu` and `lowerForGpu` choose that before. Throws
 * {@link GraphError} naming an operator that ONNX has not.
 */
export function encodeOnnx(graph: Graph, metadata: Readonly<Record<string, string>> = {}): Uint8Array {
  const { outputs } = graph;
  const nodes = nodesOf(outputs.values());
  expectOnnx(nodes);
  const constants = constantsOf(graph);
  const names = nameValues(graph, nodes, constants);
  const nameOf = (value: Value | undefined): string => (value ? (names.get(value) as string) : '');
  const encoded = nodes.map((node) => ({
    input: node.inputs.map(nameOf),
    output: [nameOf(node.output)],
    // Two nodes may have one name here, not in a file.
    name: nameOf(node.output),
    opType: node.op,
    attribute: Object.entries(node.attributes)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => encodeAttribute(node, name, value)),
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
  const opset = nodes.reduce((level, node) => Math.max(level, youngerOperators[node.op] ?? OPSET), OPSET);
  const model = {
    irVersion: irVersionOf(opset),
    producerName: PRODUCER,
    opsetImport: [{ domain: '', version: opset }],
    metadataProps: Object.entries(metadata).map(([key, value]) => ({ key, value })),
    graph: {
      name: graph.name,
      node: encoded,
      initializer: constants.map((value) => encodeTensor(nameOf(value), value.constant as Tensor)),
      input: graph.inputs.map((value) => ({ name: value.name, type: encodeType(value) })),
      output: [...outputs].map(([name, value]) => ({ name, type: encodeType(value) })),
      valueInfo: [...kernelsIn(nodes)]
        .filter((value) => !outputs.has(nameOf(value)))
        .map((value) => ({ name: nameOf(value), type: encodeType(value) })),
    },
  };
  const message = onnxMessage('ModelProto');
  return message.encode(message.fromObject(model)).finish();
}

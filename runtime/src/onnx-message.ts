import { bytesField, joinBytes, numberField } from './protobuf.js';

// Messages of onnx.proto (ONNX IR, https://onnx.ai/onnx/repo-docs/IR.html), written field by field.

export const MODEL = { irVersion: 1, producer: 2, graph: 7, opset: 8, metadata: 14, functions: 25 } as const;
export const GRAPH = { node: 1, name: 2, initializer: 5, input: 11, output: 12, valueInfo: 13, sparse: 15 } as const;
export const NODE = { input: 1, output: 2, name: 3, type: 4, attribute: 5, domain: 7 } as const;
export const ATTRIBUTE = { name: 1, float: 2, int: 3, text: 4, graph: 6, ints: 8, graphs: 11, type: 20 } as const;
export const TENSOR = { dims: 1, dataType: 2, name: 8, raw: 9, external: 13, location: 14 } as const;
/** Numbers of element types, and of the types of attributes. */
export const [FLOAT, UINT8, INT64, BOOL] = [1, 2, 7, 9];
const KIND = { int: 2, text: 3, graph: 5, ints: 7 } as const;

/** A model's need of a set of operators. */
export const opset = (domain: string, version: number): Uint8Array =>
  bytesField(MODEL.opset, [bytesField(1, domain), numberField(2, version)]);

/** A node of a graph, called by its first output. */
export function node(
  type: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: readonly Uint8Array[] = [],
  domain = '',
): Uint8Array {
  return bytesField(GRAPH.node, [
    ...inputs.map((name) => bytesField(NODE.input, name)),
    ...outputs.map((name) => bytesField(NODE.output, name)),
    bytesField(NODE.name, outputs[0] ?? ''),
    bytesField(NODE.type, type),
    ...attributes.map((attribute) => bytesField(NODE.attribute, attribute)),
    ...(domain ? [bytesField(NODE.domain, domain)] : []),
  ]);
}

/** Attributes of a node. */
export const int = (name: string, value: number): Uint8Array =>
  joinBytes([
    bytesField(ATTRIBUTE.name, name),
    numberField(ATTRIBUTE.int, value),
    numberField(ATTRIBUTE.type, KIND.int),
  ]);
export const text = (name: string, value: string): Uint8Array =>
  joinBytes([
    bytesField(ATTRIBUTE.name, name),
    bytesField(ATTRIBUTE.text, value),
    numberField(ATTRIBUTE.type, KIND.text),
  ]);
export const ints = (name: string, values: readonly number[]): Uint8Array =>
  joinBytes([
    bytesField(ATTRIBUTE.name, name),
    ...values.map((value) => numberField(ATTRIBUTE.ints, value)),
    numberField(ATTRIBUTE.type, KIND.ints),
  ]);
/** `fields` are those of a graph. */
export const innerGraph = (name: string, fields: readonly Uint8Array[]): Uint8Array =>
  joinBytes([
    bytesField(ATTRIBUTE.name, name),
    bytesField(ATTRIBUTE.graph, fields),
    numberField(ATTRIBUTE.type, KIND.graph),
  ]);

/** A value that a graph has of its own. */
export const constant = (name: string, type: number, dims: readonly number[], data: ArrayBufferView): Uint8Array =>
  bytesField(GRAPH.initializer, [
    ...dims.map((dim) => numberField(TENSOR.dims, dim)),
    numberField(TENSOR.dataType, type),
    bytesField(TENSOR.name, name),
    bytesField(TENSOR.raw, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
  ]);

/** Whole numbers that a graph has of its own, `[n]`. */
export const wholeNumbers = (name: string, values: readonly number[]): Uint8Array =>
  constant(name, INT64, [values.length], BigInt64Array.from(values, BigInt));

/** An input, an output or a value within, of a type and shape, whose dimensions are numbers or names. */
export function value(name: string, type: number, shape: readonly (number | string)[]): Uint8Array {
  const dims = shape.map((dim) =>
    bytesField(1, typeof dim === 'number' ? [numberField(1, dim)] : [bytesField(2, dim)]),
  );
  const tensor = [numberField(1, type), bytesField(2, dims)];
  return joinBytes([bytesField(1, name), bytesField(2, bytesField(1, tensor))]);
}

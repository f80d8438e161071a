import { bytesField, joinBytes, numberField } from './protobuf.js';

// Messages of onnx.proto (ONNX IR, https://onnx.ai/onnx/repo-docs/IR.html), written field by field.

/** Numbers of fields, by the message that they are of. */
export const FIELD = {
  model: { irVersion: 1, producer: 2, graph: 7, opset: 8, metadata: 14, functions: 25 },
  graph: { node: 1, name: 2, initializer: 5, input: 11, output: 12, valueInfo: 13, sparse: 15 },
  node: { input: 1, output: 2, name: 3, type: 4, attribute: 5, domain: 7 },
  attribute: { name: 1, float: 2, int: 3, text: 4, graph: 6, ints: 8, graphs: 11, type: 20 },
  tensor: { dims: 1, dataType: 2, name: 8, raw: 9, external: 13, location: 14 },
} as const;
/** Numbers of element types. */
export const ELEMENT = { float: 1, uint8: 2, int64: 7, bool: 9 } as const;
/** Of the types of attributes. */
const KIND = { int: 2, text: 3, graph: 5, ints: 7 } as const;

/** A model's need of a set of operators. */
export const opsetField = (domain: string, version: number): Uint8Array =>
  bytesField(FIELD.model.opset, [bytesField(1, domain), numberField(2, version)]);

/** A node of a graph, called by its first output where it has no name. */
export function nodeField(
  type: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: readonly Uint8Array[] = [],
  { domain = '', name = outputs[0] ?? '' } = {},
): Uint8Array {
  return bytesField(FIELD.graph.node, [
    ...inputs.map((input) => bytesField(FIELD.node.input, input)),
    ...outputs.map((output) => bytesField(FIELD.node.output, output)),
    bytesField(FIELD.node.name, name),
    bytesField(FIELD.node.type, type),
    ...attributes.map((attribute) => bytesField(FIELD.node.attribute, attribute)),
    ...(domain ? [bytesField(FIELD.node.domain, domain)] : []),
  ]);
}

/** Attributes of a node. */
export const intAttribute = (name: string, value: number): Uint8Array =>
  joinBytes([
    bytesField(FIELD.attribute.name, name),
    numberField(FIELD.attribute.int, value),
    numberField(FIELD.attribute.type, KIND.int),
  ]);
export const textAttribute = (name: string, value: string): Uint8Array =>
  joinBytes([
    bytesField(FIELD.attribute.name, name),
    bytesField(FIELD.attribute.text, value),
    numberField(FIELD.attribute.type, KIND.text),
  ]);
export const intsAttribute = (name: string, values: readonly number[]): Uint8Array =>
  joinBytes([
    bytesField(FIELD.attribute.name, name),
    ...values.map((value) => numberField(FIELD.attribute.ints, value)),
    numberField(FIELD.attribute.type, KIND.ints),
  ]);
/** `fields` are those of a graph. */
export const graphAttribute = (name: string, fields: readonly Uint8Array[]): Uint8Array =>
  joinBytes([
    bytesField(FIELD.attribute.name, name),
    bytesField(FIELD.attribute.graph, fields),
    numberField(FIELD.attribute.type, KIND.graph),
  ]);

/** A value that a graph has of its own. */
export const constantField = (name: string, type: number, dims: readonly number[], data: ArrayBufferView): Uint8Array =>
  bytesField(FIELD.graph.initializer, [
    ...dims.map((dim) => numberField(FIELD.tensor.dims, dim)),
    numberField(FIELD.tensor.dataType, type),
    bytesField(FIELD.tensor.name, name),
    bytesField(FIELD.tensor.raw, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
  ]);

/** Whole numbers that a graph has of its own, `[n]`. */
export const wholeNumbersField = (name: string, values: readonly number[]): Uint8Array =>
  constantField(name, ELEMENT.int64, [values.length], BigInt64Array.from(values, BigInt));

/** An input, an output or a value within, of a type and shape, whose dimensions are numbers or names. */
export function valueMessage(name: string, type: number, shape: readonly (number | string)[]): Uint8Array {
  const dims = shape.map((dim) =>
    bytesField(1, typeof dim === 'number' ? [numberField(1, dim)] : [bytesField(2, dim)]),
  );
  const tensor = [numberField(1, type), bytesField(2, dims)];
  return joinBytes([bytesField(1, name), bytesField(2, bytesField(1, tensor))]);
}

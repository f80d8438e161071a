import { expect } from 'vitest';
import { nodesOf } from '../graph.js';
import type { Shape } from '../tensor.js';
import { OnnxError } from './errors.js';
import { readOnnx } from './reading/read.js';
import { attributeTypes, onnxMessage } from './schema.js';

/** An attribute: a whole number is an int, a list of them ints, a text a string; others are written as in the file. */
export type TestAttribute =
  | number
  | string
  | readonly number[]
  | { readonly type: number; readonly [key: string]: unknown };

export interface TestNode {
  readonly op: string;
  readonly inputs?: readonly string[];
  readonly outputs?: readonly string[];
  readonly attributes?: Readonly<Record<string, TestAttribute>>;
  readonly name?: string;
  readonly domain?: string;
}

export interface TestFunction {
  readonly name: string;
  readonly domain: string;
  readonly inputs?: readonly string[];
  readonly outputs?: readonly string[];
  readonly nodes?: readonly TestNode[];
  /** Attributes with what they are where a call does not say. */
  readonly defaults?: Readonly<Record<string, TestAttribute>>;
  readonly opset?: number;
  readonly domains?: readonly string[];
}

export interface TestModel {
  readonly nodes: readonly TestNode[];
  /** Shapes; an empty text is a dimension without a name. */
  readonly inputs?: Readonly<Record<string, Shape | undefined>>;
  /** Default: the first output of the last node, without a shape. */
  readonly outputs?: Readonly<Record<string, Shape | undefined>>;
  readonly valueInfo?: Readonly<Record<string, Shape>>;
  /** Fields of TensorProto. */
  readonly initializers?: Readonly<Record<string, object>>;
  readonly opset?: number;
  /** Other operator sets than ONNX's own, of version 1. */
  readonly domains?: readonly string[];
  readonly irVersion?: number;
  /** TensorProto.DataType; 1 (float) where absent. */
  readonly inputType?: number;
  readonly outputType?: number;
  /** Of single outputs. */
  readonly outputTypes?: Readonly<Record<string, number>>;
  readonly functions?: readonly TestFunction[];
}

export const float = (f: number): TestAttribute => ({ type: attributeTypes.float, f });
export const floats = (values: readonly number[]): TestAttribute => ({ type: attributeTypes.floats, floats: values });
export const tensor = (t: object): TestAttribute => ({ type: attributeTypes.tensor, t });
export const int64Proto = (...int64Data: number[]) => ({ dims: [int64Data.length], dataType: 7, int64Data });
export const float32s = (dims: readonly number[], floatData: readonly number[]) => ({ dims, dataType: 1, floatData });

function attributeOf([name, value]: readonly [string, TestAttribute]): object {
  if (typeof value === 'number') return { name, type: attributeTypes.int, i: value };
  if (typeof value === 'string')
    return { name, type: attributeTypes.string, s: Uint8Array.from(value, (c) => c.charCodeAt(0)) };
  return Array.isArray(value) ? { name, type: attributeTypes.ints, ints: value } : { name, ...value };
}

function valueInfo([name, shape]: readonly [string, Shape | undefined], elemType: number): object {
  const dim = shape?.map((d) => (typeof d === 'number' ? { dimValue: d } : d === '' ? {} : { dimParam: d }));
  return { name, type: { tensorType: { elemType, ...(dim ? { shape: { dim } } : {}) } } };
}

const nodeOf = ({ op, inputs, outputs, attributes, ...rest }: TestNode): object => ({
  opType: op,
  input: inputs ?? ['x'],
  output: outputs ?? ['y'],
  attribute: Object.entries(attributes ?? {}).map(attributeOf),
  ...rest,
});

const functionOf = ({ inputs, outputs, nodes, defaults, opset, domains, ...rest }: TestFunction): object => ({
  ...rest,
  input: inputs ?? [],
  output: outputs ?? [],
  node: (nodes ?? []).map(nodeOf),
  attributeProto: Object.entries(defaults ?? {}).map(attributeOf),
  opsetImport: [{ domain: '', version: opset ?? 13 }, ...(domains ?? []).map((domain) => ({ domain, version: 1 }))],
});

/** An attribute that holds a graph, as a branch of an If. */
export function branch(
  nodes: readonly TestNode[],
  outputs: readonly string[],
  initializers: Readonly<Record<string, object>> = {},
  inputs: readonly object[] = [],
): TestAttribute {
  const message = onnxMessage('GraphProto');
  const graph = message.fromObject({
    name: 'branch',
    node: nodes.map(nodeOf),
    input: inputs,
    output: outputs.map((name) => ({ name })),
    initializer: Object.entries(initializers).map(([name, fields]) => ({ name, ...fields })),
  });
  return { type: attributeTypes.graph, g: message.encode(graph).finish() };
}

/** The bytes of a model written out by hand, whatever the graph builder would make of it. */
export function encodeModel(model: TestModel): Uint8Array {
  const last = model.nodes.at(-1)?.outputs?.[0] ?? 'y';
  const message = onnxMessage('ModelProto');
  const encoded = message.fromObject({
    irVersion: model.irVersion ?? 8,
    opsetImport: [
      { domain: '', version: model.opset ?? 13 },
      ...(model.domains ?? []).map((domain) => ({ domain, version: 1 })),
    ],
    functions: (model.functions ?? []).map(functionOf),
    graph: {
      name: 'test',
      node: model.nodes.map(nodeOf),
      input: Object.entries(model.inputs ?? {}).map((entry) => valueInfo(entry, model.inputType ?? 1)),
      output: Object.entries(model.outputs ?? { [last]: undefined }).map((entry) =>
        valueInfo(entry, model.outputTypes?.[entry[0]] ?? model.outputType ?? 1),
      ),
      valueInfo: Object.entries(model.valueInfo ?? {}).map((entry) => valueInfo(entry, 1)),
      initializer: Object.entries(model.initializers ?? {}).map(([name, fields]) => ({ name, ...fields })),
    },
  });
  return message.encode(encoded).finish();
}

/** Reads a test model. */
export const read = (model: TestModel, inputShapes?: Record<string, Shape>) =>
  readOnnx(encodeModel(model), inputShapes ? { inputShapes } : {});
export const opsOf = (graph: ReturnType<typeof read>) => nodesOf(graph.outputs.values()).map((node) => node.op);
export const relu: TestNode = { op: 'Relu', name: 'relu' };

/** The message of what reading throws, which has to be an error of the reader. */
export function refusal(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    expect(error).toBeInstanceOf(OnnxError);
    return (error as OnnxError).message;
  }
  return expect.fail('was read');
}

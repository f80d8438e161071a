import { stridesOf } from '../tensor.js';
import { OnnxError } from './errors.js';
import type { ModelMessage, NodeMessage, TensorMessage } from './messages.js';
import { numberAttribute } from './quantized-weights.js';
import { dataTypes, onnxMessage } from './schema.js';
import { type ExternalReader, readExternal, storedValues } from './tensors.js';

/** Levels of a constant as the numbers that they stand for. */
function numbersOf(node: NodeMessage, constants: ReadonlyMap<string, TensorMessage>): TensorMessage {
  const [levels, steps, zeros] = node.input.map((name) => {
    const tensor = constants.get(name);
    if (!tensor) throw new OnnxError(`DequantizeLinear "${node.output[0]}": expected "${name}" to be constant`);
    return storedValues(tensor);
  });
  const { shape, data } = levels as NonNullable<typeof levels>;
  const axis = steps?.data.length === 1 ? 0 : numberAttribute(node)('axis', 1);
  const [stride = 1, count = 1] = [stridesOf(shape)[axis], steps?.data.length];
  const numbers = Float32Array.from(data, (level, i) => {
    const place = Math.floor(i / stride) % count;
    return (level - (zeros?.data[place] ?? 0)) * (steps?.data[place] ?? 1);
  });
  const rawData = new Uint8Array(numbers.buffer);
  return { name: node.output[0], dims: [...shape], dataType: dataTypes.float32, rawData } as unknown as TensorMessage;
}

/**
 * A model that `quantizeOnnx` wrote, in float32 again: weights are the numbers that their levels stand for, activations are not rounded. Other
 * models, and weights in other files, come back as they are but with these inside.
 */
export function dequantizeOnnx(model: Uint8Array, external?: ExternalReader): Uint8Array {
  const message = onnxMessage('ModelProto');
  const decoded = message.decode(model);
  const { graph } = decoded as unknown as ModelMessage;
  if (!graph) throw new OnnxError('not an ONNX model: the file holds no graph');
  for (const tensor of graph.initializer) {
    if (tensor.dataLocation !== 1) continue;
    tensor.rawData = readExternal(tensor, external);
    tensor.externalData = [];
    tensor.dataLocation = 0;
  }
  const constants = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]));
  const inputs = new Set(graph.input.map(({ name }) => name));
  /** What each level of an activation was made of. */
  const sources = new Map<string, string>();
  const renamed = new Map<string, string>();
  const kept: NodeMessage[] = [];
  for (const node of graph.node) {
    const [from = ''] = node.input;
    const [to = ''] = node.output;
    if (node.opType === 'QuantizeLinear') sources.set(to, from);
    else if (node.opType === 'DequantizeLinear' && constants.has(from))
      graph.initializer.push(numbersOf(node, constants));
    else if (node.opType === 'DequantizeLinear' && sources.has(from)) {
      const source = sources.get(from) as string;
      // What the images are keeps its name; all else has that which it had before it became levels.
      if (inputs.has(source)) renamed.set(to, source);
      else renamed.set(source, to);
    } else kept.push(node);
  }
  const rename = (name: string): string => renamed.get(name) ?? name;
  for (const node of kept) {
    node.input = node.input.map(rename);
    node.output = node.output.map(rename);
  }
  const read = new Set(kept.flatMap((node) => node.input));
  graph.node = kept;
  graph.initializer = graph.initializer.filter(({ name }) => read.has(name));
  return message.encode(decoded).finish();
}

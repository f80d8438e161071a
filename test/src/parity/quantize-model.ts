import { exposeOnnx, onnxMessage } from '@whet/compiler';
import * as ort from 'onnxruntime-node';

interface TensorMessage {
  name: string;
  dims: unknown[];
  dataType: number;
  rawData: Uint8Array;
}

interface NodeMessage {
  input: string[];
  output: string[];
  name: string;
  opType: string;
  attribute?: object[];
}

interface ModelMessage {
  graph: { node: NodeMessage[]; initializer: TensorMessage[] };
}

export interface QdqOptions {
  /** Name of the model's input, and images to find the ranges of activations with. */
  readonly input: string;
  readonly images: ort.Tensor;
  /** How many convolutions and matrix products are quantized, from the image upward; all when absent. */
  readonly count?: number;
}

const UINT8 = 2;
const INT8 = 3;
const INT32 = 6;
const FLOAT = 1;
const AXIS_0 = { name: 'axis', type: 2, i: 0 };

const floatsOf = ({ rawData }: TensorMessage) => new Float32Array(Uint8Array.from(rawData).buffer);
const bytesOf = (array: ArrayBufferView) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

async function rangesOf(bytes: Uint8Array, tensors: readonly string[], { input, images }: QdqOptions) {
  const exposed = exposeOnnx(bytes, tensors, { tensor: input, shape: ['N', ...images.dims.slice(1)] });
  const session = await ort.InferenceSession.create(exposed, { logSeverityLevel: 3, intraOpNumThreads: 1 });
  const outputs = await session.run({ [input]: images });
  await session.release();
  return new Map(
    tensors.map((name) => {
      const values = (name === input ? images : outputs[name])?.data as Float32Array;
      const range = values.reduce<[number, number]>(
        ([low, high], v) => [Math.min(low, v), Math.max(high, v)],
        [0, 1e-3],
      );
      return [name, range];
    }),
  );
}

/**
 * A model (opset 13 up, weights as initializers) quantized as ONNX Runtime's static quantization does it, in QDQ form:
 * weights int8 by output channel, activations uint8, biases int32, and no Relu where the quantized range says the same.
 */
export async function quantizeModel(bytes: Uint8Array, options: QdqOptions): Promise<Uint8Array> {
  const message = onnxMessage('ModelProto');
  const decoded = message.decode(bytes);
  const { graph } = decoded as unknown as ModelMessage;
  const initializers = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]));
  const products = graph.node
    .filter(({ opType, input }) => (opType === 'Conv' || opType === 'Gemm') && initializers.has(input[1] ?? ''))
    .slice(0, options.count ?? graph.node.length);
  const activations = [...new Set(products.map(({ input }) => input[0] as string))];
  const ranges = await rangesOf(bytes, activations, options);

  const add = (name: string, dims: number[], dataType: number, array: ArrayBufferView) => {
    graph.initializer.push({ name, dims, dataType, rawData: bytesOf(array) });
    return name;
  };
  const scaleOf = new Map<string, number>();
  const pairs = new Map<string, NodeMessage[]>();
  for (const [name, [low, high]] of ranges) {
    const step = Math.fround((high - low) / 255);
    scaleOf.set(name, step);
    const parameters = [
      add(`${name}_scale`, [], FLOAT, Float32Array.of(step)),
      add(`${name}_zero_point`, [], UINT8, Uint8Array.of(Math.round(-low / step))),
    ];
    const quantized = `${name}_QuantizeLinear_Output`;
    pairs.set(name, [
      { opType: 'QuantizeLinear', name: `${name}_QuantizeLinear`, input: [name, ...parameters], output: [quantized] },
      {
        opType: 'DequantizeLinear',
        name: `${name}_DequantizeLinear`,
        input: [quantized, ...parameters],
        output: [`${name}_DequantizeLinear_Output`],
      },
    ]);
  }

  const before = new Map<NodeMessage, NodeMessage[]>();
  for (const node of products) {
    const [x = '', weight = '', bias = ''] = node.input;
    const { dims, ...tensor } = initializers.get(weight) as TensorMessage;
    const values = floatsOf(tensor as TensorMessage);
    // A Gemm's weight is [F, W] here, so one scale for all of it; a convolution has one a channel.
    const channels = node.opType === 'Conv' ? Number(dims[0]) : 1;
    const size = values.length / channels;
    const steps = Float32Array.from({ length: channels }, (_, c) => {
      const largest = values.subarray(c * size, (c + 1) * size).reduce((most, v) => Math.max(most, Math.abs(v)), 1e-6);
      return largest / 127;
    });
    const shape = node.opType === 'Conv' ? [channels] : [];
    const attribute = node.opType === 'Conv' ? [AXIS_0] : [];
    const scale = add(`${weight}_scale`, shape, FLOAT, steps);
    const zero = add(`${weight}_zero_point`, shape, INT8, new Int8Array(channels));
    const integers = Int8Array.from(values, (v, i) => Math.round(v / (steps[Math.floor(i / size)] as number)));
    add(`${weight}_quantized`, dims.map(Number), INT8, integers);
    const inputs = [`${weight}_quantized`, scale, zero];
    const made: NodeMessage[] = [
      { opType: 'DequantizeLinear', name: `${weight}/dq`, input: inputs, output: [`${weight}_dequantized`], attribute },
    ];
    node.input = [`${x}_DequantizeLinear_Output`, `${weight}_dequantized`];
    if (bias !== '') {
      const biasSteps = steps.map((step) => step * (scaleOf.get(x) as number));
      const shift = floatsOf(initializers.get(bias) as TensorMessage);
      const rounded = Int32Array.from(shift, (v, c) => Math.round(v / (biasSteps[c % channels] as number)));
      add(`${bias}_quantized`, [shift.length], INT32, rounded);
      const parameters = [`${bias}_quantized`, add(`${bias}_scale`, shape, FLOAT, biasSteps)];
      made.push({
        opType: 'DequantizeLinear',
        name: `${bias}/dq`,
        input: parameters,
        output: [`${bias}_dequantized`],
        attribute,
      });
      node.input.push(`${bias}_dequantized`);
    }
    before.set(node, made);
  }

  const nodes: NodeMessage[] = [];
  nodes.push(...(pairs.get(options.input) ?? []));
  for (const node of graph.node) {
    const [made = ''] = node.output;
    const readers = graph.node.filter(({ input }) => input.includes(made));
    const pair = pairs.get(made) ?? [];
    nodes.push(...(before.get(node) ?? []));
    if (node.opType === 'Relu' && pair.length > 0 && readers.length === 0) {
      (pair[0] as NodeMessage).input[0] = node.input[0] as string;
    } else nodes.push(node);
    nodes.push(...pair);
  }
  graph.node = nodes;
  const used = new Set(nodes.flatMap(({ input }) => input));
  graph.initializer = graph.initializer.filter(({ name }) => used.has(name));
  return message.encode(message.fromObject(message.toObject(decoded))).finish();
}

import { OnnxError } from './errors.js';
import { innerNames } from './inner-graphs.js';
import type { AttributeMessage, GraphMessage, ModelMessage, NodeMessage, TensorMessage } from './messages.js';
import { opsetOf, tensorInfo } from './rewriting.js';
import { attributeTypes, dataTypes, onnxMessage } from './schema.js';

export interface ImageForm {
  /** The input of the model. */
  readonly tensor: string;
  /** Of an image. */
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  /** Whether the model takes `[N, H, W, C]`. */
  readonly channelsLast: boolean;
  /** Whether the model takes whole numbers 0..255. */
  readonly bytes: boolean;
}

const attribute = (name: string, type: number, fields: object): AttributeMessage => ({ name, type, ...fields });
const scalar = (name: string, value: number): TensorMessage =>
  ({ name, dims: [], dataType: dataTypes.float32, floatData: [value] }) as unknown as TensorMessage;

/** Limits are attributes before operator set 11, inputs from then on. */
function clip(graph: GraphMessage, opset: number, input: string, output: string): NodeMessage {
  if (opset < 11) {
    const limits = [
      attribute('min', attributeTypes.float, { f: 0 }),
      attribute('max', attributeTypes.float, { f: 255 }),
    ];
    return { opType: 'Clip', input: [input], output: [output], attribute: limits };
  }
  const limits = [scalar(`${output}/min`, 0), scalar(`${output}/max`, 255)];
  graph.initializer.push(...limits);
  return { opType: 'Clip', input: [input, ...limits.map(({ name }) => name)], output: [output] };
}

/** Rounds to whole numbers 0..255. */
function toBytes(graph: GraphMessage, opset: number, input: string, output: string): NodeMessage[] {
  const half = scalar(`${output}/half`, 0.5);
  graph.initializer.push(half);
  return [
    { opType: 'Add', input: [input, half.name], output: [`${output}/raised`] },
    clip(graph, opset, `${output}/raised`, `${output}/limited`),
    {
      opType: 'Cast',
      input: [`${output}/limited`],
      output: [output],
      attribute: [attribute('to', attributeTypes.int, { i: dataTypes.uint8 })],
    },
  ];
}

/**
 * The model with an input of float32 images `[N, C, H, W]` in place of the one that it has, and what that is called:
 * nodes before the model's first ones transpose them, and round them to bytes. All else is as it was.
 */
export function withPlanarInput(bytes: Uint8Array, form: ImageForm): { file: Uint8Array; input: string } {
  const message = onnxMessage('ModelProto');
  const decoded = message.decode(bytes);
  const model = decoded as unknown as ModelMessage;
  const { graph } = model;
  if (!graph) throw new OnnxError('not an ONNX model: the file holds no graph');
  const { tensor, channels, height, width } = form;
  const taken = new Set([
    ...graph.initializer.map(({ name }) => name),
    ...graph.input.map(({ name }) => name),
    ...graph.node.flatMap((node) => [...node.input, ...node.output, ...innerNames(node)]),
  ]);
  let input = `${tensor}/planar`;
  while ([...taken].some((name) => name.startsWith(input))) input += '_';
  const opset = opsetOf(model);
  const whole = form.channelsLast ? `${input}/bytes` : tensor;
  const first = form.bytes ? toBytes(graph, opset, input, whole) : [];
  const turned: NodeMessage = {
    opType: 'Transpose',
    input: [form.bytes ? whole : input],
    output: [tensor],
    attribute: [attribute('perm', attributeTypes.ints, { ints: [0, 2, 3, 1] })],
  };
  graph.node.unshift(...first, ...(form.channelsLast ? [turned] : []));
  const info = tensorInfo(input, ['N', channels, height, width]);
  graph.input = graph.input.map((declared) => (declared.name === tensor ? info : declared));
  return { file: message.encode(decoded).finish(), input };
}

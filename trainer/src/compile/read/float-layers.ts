import { onnxMessage } from '@whet/compiler';
import { node, type WrittenAttribute, type WrittenNode } from './written-node.js';

const INT = 2;
const axisOf = (i: number): WrittenAttribute => ({ name: 'axis', type: INT, i });

/** `op(...)` of floats, and what quantizes it where the integers' operator does. */
function quantized(op: WrittenNode, [scale = '', zeroPoint = '']: readonly string[], output: string): WrittenNode[] {
  if (scale === '') return [{ ...op, output: [output] }];
  return [op, node('QuantizeLinear', [op.output[0] as string, scale, zeroPoint], output)];
}

/** Scale and zero point of a tensor of integers. */
type Scale = readonly [scale: string, zeroPoint: string];

/** What is known of tensors of integers. */
interface Known {
  /** The same dequantized. */
  readonly floats: ReadonlyMap<string, string>;
  readonly scales: Map<string, Scale>;
}

/** Operators of one tensor of integers with its scale, by those of floats. */
const ofOne: Readonly<Record<string, string>> = {
  QLinearGlobalAveragePool: 'GlobalAveragePool',
  QLinearAveragePool: 'AveragePool',
  QLinearSoftmax: 'Softmax',
  QLinearSigmoid: 'Sigmoid',
  QLinearLeakyRelu: 'LeakyRelu',
};
/** Operators of two, each with its scale. */
const ofTwo: Readonly<Record<string, string>> = { QLinearAdd: 'Add', QLinearMul: 'Mul' };
/** Operators that move integers as they would move floats. */
const moving = new Set(['Flatten', 'Reshape', 'Squeeze', 'Unsqueeze', 'Transpose', 'Identity', 'Relu', 'MaxPool']);
/** Attributes that only the operators of integers have. */
const own = new Set(['channels_last', 'opset']);

/** A node of integers as those of the floats that they stand for; undefined where it is another operator. */
function asFloats(given: WrittenNode, known: Known): WrittenNode[] | undefined {
  const { opType, input, attribute = [] } = given;
  const output = given.output[0] as string;
  const part = (name: string) => `${output}/${name}`;
  const made = (op: string, inputs: readonly string[], scale: readonly string[], attributes: typeof attribute = []) => {
    if (scale[0]) known.scales.set(output, [scale[0], scale[1] ?? '']);
    return quantized(node(op, inputs, part('y'), attributes), scale, output);
  };
  const [a = '', aScale = '', aZero = '', b = '', bScale = '', bZero = '', ...rest] = input;
  const float = known.floats.get(a);
  const first = float ?? part('a');
  const left = (scale: string, zeroPoint: string) =>
    float === undefined ? [node('DequantizeLinear', [a, scale, zeroPoint], first)] : [];
  if (moving.has(opType)) {
    const scale = known.scales.get(a);
    return scale && [...left(...scale), ...made(opType, [first, ...input.slice(1)], scale, attribute)];
  }
  if (Object.hasOwn(ofOne, opType)) {
    if (attribute.some(({ name, i }) => name === 'channels_last' && Number(i ?? 0) !== 0)) return undefined;
    const attributes = attribute.filter(({ name }) => !own.has(name));
    return [...left(aScale, aZero), ...made(ofOne[opType] as string, [first], input.slice(3), attributes)];
  }
  const both = [first, part('b')];
  const right = (axis: number) => node('DequantizeLinear', [b, bScale, bZero], part('b'), [axisOf(axis)]);
  const biasOf = (c: string) =>
    c === ''
      ? []
      : [
          node('Mul', [aScale, bScale], part('c/scale')),
          node('DequantizeLinear', [c, part('c/scale')], part('c'), [axisOf(0)]),
        ];
  if (Object.hasOwn(ofTwo, opType)) {
    return [...left(aScale, aZero), right(0), ...made(ofTwo[opType] as string, both, rest)];
  }
  switch (opType) {
    case 'QGemm': {
      const [c = '', ...scale] = rest;
      const transB = Number(attribute.find(({ name }) => name === 'transB')?.i ?? 0);
      const inputs = [...both, ...(c === '' ? [] : [part('c')])];
      const layer = made('Gemm', inputs, scale, attribute);
      return [...left(aScale, aZero), right(transB ? 0 : 1), ...biasOf(c), ...layer];
    }
    case 'QLinearConv': {
      const [scale = '', zeroPoint = '', c = ''] = rest;
      const inputs = [...both, ...(c === '' ? [] : [part('c')])];
      const layer = made('Conv', inputs, [scale, zeroPoint], attribute);
      return [...left(aScale, aZero), right(0), ...biasOf(c), ...layer];
    }
    case 'QLinearMatMul':
      return [...left(aScale, aZero), right(1), ...made('MatMul', both, rest)];
    default:
      return undefined;
  }
}

/**
 * The file with its layers of integers, in onnxruntime's QOperator format, as those of the floats that they stand for, so that its head can be
 * read. `floats` are tensors that are dequantized already, by those of integers.
 */
export function withFloatLayers(file: Uint8Array, floats: ReadonlyMap<string, string>): Uint8Array {
  const message = onnxMessage('ModelProto');
  const model = message.decode(file);
  const { graph } = model as unknown as { graph: { node: WrittenNode[] } };
  const known: Known = { floats, scales: new Map() };
  const nodes = graph.node.map((each) => asFloats(each, known));
  if (nodes.every((each) => each === undefined)) return file;
  graph.node = nodes.flatMap((each, i) => each ?? [graph.node[i] as WrittenNode]);
  return message.encode(model).finish();
}

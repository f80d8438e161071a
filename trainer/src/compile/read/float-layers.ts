import { onnxMessage } from '@whet/compiler';
import { node, type WrittenAttribute, type WrittenNode } from './written-node.js';

const INT = 2;
const axisOf = (i: number): WrittenAttribute => ({ name: 'axis', type: INT, i });

/** `op(...)` of floats, and what quantizes it where the integers' operator does. */
function quantized(op: WrittenNode, [scale = '', zeroPoint = '']: readonly string[], output: string): WrittenNode[] {
  if (scale === '') return [{ ...op, output: [output] }];
  return [op, node('QuantizeLinear', [op.output[0] as string, scale, zeroPoint], output)];
}

/** A layer of integers as one of the floats that they stand for; undefined where it is another operator. */
function asFloats(given: WrittenNode, floatOf: (tensor: string) => string | undefined): WrittenNode[] | undefined {
  const { opType, input, attribute = [] } = given;
  const output = given.output[0] as string;
  const [a = '', aScale = '', aZero = '', b = '', bScale = '', bZero = '', ...rest] = input;
  const part = (name: string) => `${output}/${name}`;
  const known = floatOf(a);
  const first = known ?? part('a');
  const left = known === undefined ? [node('DequantizeLinear', [a, aScale, aZero], first)] : [];
  const right = (axis: number) => node('DequantizeLinear', [b, bScale, bZero], part('b'), [axisOf(axis)]);
  const biasOf = (c: string) =>
    c === ''
      ? []
      : [
          node('Mul', [aScale, bScale], part('c/scale')),
          node('DequantizeLinear', [c, part('c/scale')], part('c'), [axisOf(0)]),
        ];
  switch (opType) {
    case 'QGemm': {
      const [c = '', ...scales] = rest;
      const transB = Number(attribute.find(({ name }) => name === 'transB')?.i ?? 0);
      const inputs = [first, part('b'), ...(c === '' ? [] : [part('c')])];
      const gemm = node('Gemm', inputs, part('y'), attribute);
      return [...left, right(transB ? 0 : 1), ...biasOf(c), ...quantized(gemm, scales, output)];
    }
    case 'QLinearConv': {
      const [scale = '', zeroPoint = '', c = ''] = rest;
      const inputs = [first, part('b'), ...(c === '' ? [] : [part('c')])];
      const conv = node('Conv', inputs, part('y'), attribute);
      return [...left, right(0), ...biasOf(c), ...quantized(conv, [scale, zeroPoint], output)];
    }
    case 'QLinearMatMul':
      return [...left, right(1), ...quantized(node('MatMul', [first, part('b')], part('y')), rest, output)];
    case 'QLinearAdd':
      return [...left, right(0), ...quantized(node('Add', [first, part('b')], part('y')), rest, output)];
    default:
      return undefined;
  }
}

/**
 * The file with its layers of integers (QGemm, QLinearConv, QLinearMatMul, QLinearAdd) as those of the floats that they stand for, so
 * that its head can be read. `floats` are tensors that are dequantized already, by those of integers.
 */
export function withFloatLayers(file: Uint8Array, floats: ReadonlyMap<string, string>): Uint8Array {
  const message = onnxMessage('ModelProto');
  const model = message.decode(file);
  const { graph } = model as unknown as { graph: { node: WrittenNode[] } };
  const nodes = graph.node.map((each) => asFloats(each, (tensor) => floats.get(tensor)) ?? [each]);
  if (nodes.every(({ length }) => length === 1)) return file;
  graph.node = nodes.flat();
  return message.encode(model).finish();
}

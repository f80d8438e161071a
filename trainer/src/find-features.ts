import { onnxMessage } from '@whet/compiler';
import { CompileError } from './compile-error.js';
import { nearestNames } from './nearest-names.js';
import type { NodeGraph } from './node-graph.js';

/** Matrix products, by the place of the matrix in their inputs. */
const heads: Readonly<Record<string, number>> = {
  Gemm: 1,
  MatMul: 1,
  FusedGemm: 1,
  FusedMatMul: 1,
  MatMulInteger: 1,
  MatMulIntegerToFloat: 1,
  DynamicQuantizeMatMul: 1,
  MatMulNBits: 1,
  QLinearMatMul: 3,
  QGemm: 3,
};
/** Products whose left operand comes with its scale and zero point behind it. */
const quantizedHeads = new Set(['QLinearMatMul', 'QGemm']);
const quantizers = new Set(['QuantizeLinear', 'DynamicQuantizeLinear']);

export interface FoundFeatures {
  readonly name: string;
  /** The file, with a node that dequantizes the features where it has them as integers only. */
  readonly file: Uint8Array;
}

interface NodeMessage {
  readonly opType: string;
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly name: string;
}

/** The file with `DequantizeLinear(tensor, scale, zeroPoint)` added, and what that is called. */
function withDequantized(bytes: Uint8Array, [tensor = '', scale = '', zeroPoint = '']: readonly string[]) {
  const message = onnxMessage('ModelProto');
  const model = message.decode(bytes);
  const name = `${tensor}/dequantized`;
  const node: NodeMessage = {
    opType: 'DequantizeLinear',
    input: zeroPoint === '' ? [tensor, scale] : [tensor, scale, zeroPoint],
    output: [name],
    name,
  };
  (model as unknown as { graph: { node: NodeMessage[] } }).graph.node.push(node);
  return { name, file: message.encode(model).finish() };
}

/**
 * The tensor of the file that is to be the features: what `wanted` names, or what the last matrix product with a matrix
 * that no image decides reads, before it was quantized.
 */
export function findFeaturesTensor(
  file: Uint8Array,
  nodes: NodeGraph,
  image: string,
  wanted: string | undefined,
): FoundFeatures {
  const ofImages = nodes.above([image]);
  const dependent = new Set([...ofImages].flatMap(({ outputs }) => outputs).filter((name) => name !== ''));
  if (wanted !== undefined) {
    if (dependent.has(wanted)) return { name: wanted, file };
    const nearest = nearestNames(wanted, dependent);
    throw new CompileError(`the model has no tensor "${wanted}" of images; nearest: ${nearest.join(', ') || 'none'}`);
  }
  const head = nodes.nodes.findLast(({ op, inputs }) => {
    const matrix = Object.hasOwn(heads, op) ? inputs[heads[op] as number] : undefined;
    return matrix !== undefined && !dependent.has(matrix) && dependent.has(inputs[0] ?? '');
  });
  if (!head) {
    throw new CompileError(
      `the model ends in no matrix product with constant weights; name the features tensor${hint(nodes)}`,
    );
  }
  const [read = ''] = head.inputs;
  const maker = nodes.maker(read);
  const [source = ''] = maker && quantizers.has(maker.op) ? maker.inputs : [];
  if (source !== '') return { name: source, file };
  return quantizedHeads.has(head.op) ? withDequantized(file, head.inputs) : { name: read, file };
}

/** What the last convolution reads: the features of networks that end in one, as SqueezeNet does. */
function hint(nodes: NodeGraph): string {
  const last = nodes.nodes.findLast(({ op }) => op === 'Conv');
  return last ? `, as "${last.inputs[0]}", which the last Conv reads` : '';
}

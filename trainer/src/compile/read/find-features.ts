import { type Graph, nodesOf, onnxMessage, type Value } from '@whet/compiler';
import { nearestNames } from '../../data/nearest-names.js';
import { CompileError } from './compile-error.js';
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
/** Where one comes after a matrix product, that was a gate inside the network and not its last layer. */
const convolutions = new Set(['Conv', 'ConvTranspose', 'ConvInteger', 'FusedConv', 'QLinearConv']);
const quantizers = new Set(['QuantizeLinear', 'DynamicQuantizeLinear']);

export interface FoundFeatures {
  readonly name: string;
  /** The file, with a node that dequantizes the features where it has them as integers only. */
  readonly file: Uint8Array;
  /** What the layer makes that reads them, where that is how they were found. */
  readonly layer?: string;
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
  const convolved = head && [...nodes.above(head.outputs)].some(({ op }) => convolutions.has(op));
  if (!head || convolved) {
    throw new CompileError(
      `the model ends in no matrix product with constant weights; name the features tensor${hint(nodes)}`,
    );
  }
  const [read = ''] = head.inputs;
  const maker = nodes.maker(read);
  const [source = ''] = maker && quantizers.has(maker.op) ? maker.inputs : [];
  const [layer = ''] = head.outputs;
  if (source !== '') return { name: source, file, layer };
  return { ...(quantizedHeads.has(head.op) ? withDequantized(file, head.inputs) : { name: read, file }), layer };
}

/** What the last convolution reads: the features of networks that end in one, as SqueezeNet does. */
function hint(nodes: NodeGraph): string {
  const last = nodes.nodes.findLast(({ op }) => op === 'Conv');
  return last ? `, as "${last.inputs[0]}", which the last Conv reads` : '';
}

/** Whether a value is one row an image, whatever axes of size 1 stand in it. */
const isRow = ({ shape: [, ...rest] }: Value): boolean => rest.filter((dim) => dim !== 1).length <= 1;

/**
 * The value that is to be the features: what `wanted` names, or what the layer reads that makes the classes. That is the
 * last matrix product with a constant, or, where a convolution comes after it or there is none, a last convolution of
 * 1x1 whose result is averaged to one row an image.
 */
export function findFeaturesValue(graph: Graph, wanted: string | undefined): Value {
  const nodes = nodesOf(graph.outputs.values());
  if (wanted !== undefined) {
    const values = new Map(nodes.map(({ output }) => [output.name, output]));
    const value = values.get(wanted);
    if (value) return value;
    const nearest = nearestNames(wanted, values.keys());
    throw new CompileError(`the model has no tensor "${wanted}"; nearest: ${nearest.join(', ') || 'none'}`);
  }
  const product = nodes.findLast(({ op, inputs }) => (op === 'Gemm' || op === 'MatMul') && inputs[1]?.constant);
  const after = new Set<Value | undefined>(product && [product.output]);
  for (const { inputs, output } of nodes) if (inputs.some((input) => input && after.has(input))) after.add(output);
  const convolved = nodes.some(({ op, output }) => convolutions.has(op) && after.has(output));
  if (product?.inputs[0] && !convolved) return product.inputs[0];
  const last = nodes.findLast(({ op }) => convolutions.has(op) || op === 'Gemm' || op === 'MatMul');
  const [features, weight] = last?.op === 'Conv' ? last.inputs : [];
  const oneByOne = weight?.constant?.shape.slice(2).every((side) => side === 1);
  if (features && oneByOne && [...graph.outputs.values()].every(isRow)) return features;
  const conv = nodes.findLast(({ op }) => op === 'Conv');
  const named = conv ? `, as "${conv.inputs[0]?.name}", which the last Conv reads` : '';
  throw new CompileError(
    `the model ends in no Gemm, MatMul or 1x1 Conv with constant weights that makes one row an image; name the features tensor${named}`,
  );
}

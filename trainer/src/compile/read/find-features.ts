import { type Graph, nodesOf, type OnnxNode, onnxMessage, type Value } from '@whet/compiler';
import { nearestNames } from '../../data/nearest-names.js';
import { CompileError } from './compile-error.js';
import type { NodeGraph } from './node-graph.js';
import { node, type WrittenNode } from './written-node.js';

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
const quantizedHeads = new Set(['QLinearMatMul', 'QGemm', 'QLinearConv']);
/** Convolutions that may be the last layer, by the place of the weight in their inputs. */
const convolvedHeads: Readonly<Record<string, number>> = { Conv: 1, QLinearConv: 3 };
/** Where one comes after a matrix product, that was a gate inside the network and not its last layer. */
const convolutions = new Set(['Conv', 'ConvTranspose', 'ConvInteger', 'FusedConv', 'QLinearConv']);
const quantizers = new Set(['QuantizeLinear', 'DynamicQuantizeLinear']);

export interface FoundFeatures {
  readonly name: string;
  /** The file, with a node that dequantizes the features where it has them as integers only. */
  readonly file: Uint8Array;
  /** What the layer makes that reads them, where that is how they were found. */
  readonly layer?: string;
  /** That layer is a convolution, so that what the model makes has to be one row an image. */
  readonly convolved?: boolean;
}

/** The file with `DequantizeLinear(tensor, scale, zeroPoint)` added, and what that is called. */
function withDequantized(bytes: Uint8Array, [tensor = '', scale = '', zeroPoint = '']: readonly string[]) {
  const message = onnxMessage('ModelProto');
  const model = message.decode(bytes);
  const name = `${tensor}/dequantized`;
  const dequantize = node('DequantizeLinear', [tensor, scale, zeroPoint], name);
  (model as unknown as { graph: { node: WrittenNode[] } }).graph.node.push(dequantize);
  return { name, file: message.encode(model).finish() };
}

/**
 * The tensor of the file that is to be the features: what `wanted` names, or what the last matrix product with a matrix
 * that no image decides reads, before it was quantized; a convolution of 1x1 where one comes after it or there is none.
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
  const isLast = head && ![...nodes.above(head.outputs)].some(({ op }) => convolutions.has(op));
  const last = isLast ? head : lastConvolution(nodes, dependent);
  if (!last) throw noLayer(nodes);
  const convolved = !isLast;
  const [read = ''] = last.inputs;
  const maker = nodes.maker(read);
  const [source = ''] = maker && quantizers.has(maker.op) ? maker.inputs : [];
  const [layer = ''] = last.outputs;
  if (source !== '') return { name: source, file, layer, convolved };
  const found = quantizedHeads.has(last.op) ? withDequantized(file, last.inputs) : { name: read, file };
  return { ...found, layer, convolved };
}

/** The last layer, where that is a convolution of 1x1 with a weight that no image decides. */
function lastConvolution(nodes: NodeGraph, dependent: ReadonlySet<string>): OnnxNode | undefined {
  const last = nodes.nodes.findLast(({ op }) => convolutions.has(op) || Object.hasOwn(heads, op));
  const place = last && Object.hasOwn(convolvedHeads, last.op) ? convolvedHeads[last.op] : undefined;
  if (!last || place === undefined || !dependent.has(last.inputs[0] ?? '')) return undefined;
  const weight = last.inputs[place] ?? '';
  const maker = nodes.maker(weight);
  const stored = maker?.op === 'DequantizeLinear' ? (maker.inputs[0] ?? '') : weight;
  const kernel = nodes.initializer(stored)?.dims.slice(2);
  return kernel?.every((side) => side === 1) ? last : undefined;
}

/** Of a model whose last layer cannot be told; `read` by its last convolution may be the features. */
const noLayerError = (read: string | undefined): CompileError =>
  new CompileError(
    'the model ends in no Gemm, MatMul or 1x1 Conv with constant weights that makes one row an image; name the features ' +
      `tensor${read === undefined ? '' : `, as "${read}", which the last Conv reads`}`,
  );

export const noLayer = ({ nodes }: NodeGraph): CompileError =>
  noLayerError(nodes.findLast(({ op }) => op === 'Conv')?.inputs[0]);

/** Whether a value is one row an image, whatever axes of size 1 stand in it. */
export const isRow = ({ shape: [, ...rest] }: Pick<Value, 'shape'>): boolean =>
  rest.filter((dim) => dim !== 1).length <= 1;

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
  throw noLayerError(nodes.findLast(({ op }) => op === 'Conv')?.inputs[0]?.name);
}

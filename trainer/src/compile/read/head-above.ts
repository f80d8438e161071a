import {
  copyInputs,
  decodeModel,
  type ExternalReader,
  foldConstants,
  type Graph,
  GraphBuilder,
  inline,
  listProblems,
  type Node,
  nodesOf,
  OnnxError,
  type ReadOptions,
  readOnnx,
  type Shape,
  type Value,
} from '@whet/compiler';
import { CompileError } from './compile-error.js';
import { withFloatLayers } from './float-layers.js';
import { NodeGraph, tensorsOf } from './node-graph.js';
import { readHead, type SourceHead } from './read-head.js';

const layers = new Set(['Gemm', 'MatMul', 'Conv']);
/** What makes no number below zero, or none above, by itself. */
const ofOneSign = new Set(['Softmax', 'LogSoftmax', 'Sigmoid']);

/** Values that a layer stands below, and nothing of one sign. */
function madeByLayers(graph: Graph): Set<Value | undefined> {
  const made = new Set<Value | undefined>();
  for (const { op, inputs, output } of nodesOf(graph.outputs.values())) {
    if (ofOneSign.has(op)) continue;
    if (layers.has(op) || inputs.some((input) => input && made.has(input))) made.add(output);
  }
  return made;
}

/** Whether a Clip leaves no number below zero, or none above: a Relu, which quantizing tools take for one. */
function cutsAtZero({ inputs: [, low, high] }: Node): boolean {
  const limits = [low, high].map((limit) => Number(limit?.constant?.data[0]));
  return (limits[0] as number) >= 0 || (limits[1] as number) <= 0;
}

/** The same without what quantized activations are clipped to, where only their rounding is looked at. */
function withoutRounding(graph: Graph, dequantized: ReadonlySet<string>): Graph {
  const g = new GraphBuilder();
  const bindings = copyInputs(g, graph);
  const made = madeByLayers(graph);
  const isRounding = (node: Node) =>
    node.op === 'Clip' && dequantized.has(node.output.name) && !(made.has(node.inputs[0]) && cutsAtZero(node));
  const outputs = inline(g, graph, bindings, (node, [x]) => (isRounding(node) ? x : undefined));
  return { name: graph.name, inputs: [...bindings.values()], outputs };
}

/** Reads what follows the features. Throws {@link CompileError} naming the nodes that are not read. */
function readTail(file: Uint8Array, features: string, options: ReadOptions): Graph {
  try {
    return readOnnx(file, options);
  } catch (cause) {
    if (!(cause instanceof OnnxError)) throw cause;
    const reason = cause.problems.length > 0 ? listProblems(cause.problems).join('; ') : cause.message;
    throw new CompileError(
      `head "keep": what follows the features "${features}" cannot be read: ${reason}; take head "cosine"`,
      { cause },
    );
  }
}

/** The last layer of a model whose features are made by nodes that are not all read. */
export function headAbove(
  file: Uint8Array,
  features: string,
  shape: Shape,
  output: string,
  external: ExternalReader | undefined,
): SourceHead {
  const given = new Map([[features, shape]]);
  const outputs = [output];
  const dequantize = new NodeGraph(decodeModel(file)).maker(features);
  const floats = new Map(dequantize?.op === 'DequantizeLinear' ? [[dequantize.inputs[0] ?? '', features]] : []);
  const ofFloats = withFloatLayers(file, floats);
  const { dequantized } = tensorsOf(decodeModel(ofFloats));
  const read = readTail(ofFloats, features, {
    given,
    outputs,
    quantization: 'straight-through',
    ...(external ? { external } : {}),
  });
  const { graph } = foldConstants(withoutRounding(read, dequantized));
  return readHead(graph, graph.inputs.find(({ name }) => name === features) as Value);
}

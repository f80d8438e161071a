import {
  copyInputs,
  decodeModel,
  type ExternalReader,
  foldConstants,
  type Graph,
  GraphBuilder,
  inline,
  listProblems,
  OnnxError,
  type ReadOptions,
  readOnnx,
  type Shape,
} from '@whet/compiler';
import { CompileError } from './compile-error.js';
import { withFloatLayers } from './float-layers.js';
import { NodeGraph, tensorsOf } from './node-graph.js';
import { readHead, type SourceHead } from './read-head.js';

/** The same without what quantized activations are clipped to, where only their rounding is looked at. */
function withoutRounding(graph: Graph, dequantized: ReadonlySet<string>): Graph {
  const g = new GraphBuilder();
  const bindings = copyInputs(g, graph);
  const outputs = inline(g, graph, bindings, ({ op, output }, [x]) =>
    op === 'Clip' && dequantized.has(output.name) ? x : undefined,
  );
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
  const input = graph.inputs.find(({ name }) => name === features);
  if (!input) throw new CompileError(`head "keep": nothing reads the features "${features}"`);
  return readHead(graph, input);
}

import {
  copyInputs,
  type Graph,
  GraphBuilder,
  inline,
  int64s,
  lowerForGpu,
  type Node,
  normalizeAxis,
  pad,
  type Value,
} from '@whet/compiler';

type Inputs = readonly (Value | undefined)[];

/**
 * Channels come three at a time in onnxruntime's WebGPU convolution (1.30) where their number is divisible by 3 and not
 * by 4, and then the result is wrong beyond the first three (microsoft/onnxruntime issue 29651). Channels of zeros take
 * such a convolution to the path of four.
 */
function padChannels(g: GraphBuilder, node: Node<'Conv'>, [x, w, ...bias]: Inputs): Value | undefined {
  const channels = w?.shape[1];
  if (!x || !w || node.attributes.group !== 1 || typeof channels !== 'number') return undefined;
  if (channels <= 3 || channels % 3 !== 0 || channels % 4 === 0) return undefined;
  const pads = [0, 0, 0, 0, 0, 4 - (channels % 4), 0, 0];
  return g.apply('Conv', [pad(g, x, pads), pad(g, w, pads), ...bias], node.attributes, node.name);
}

/** x - max(x) - log(sum(exp(x - max(x)))): the provider has no `LogSoftmax`, and one on the CPU costs two copies. */
function spellLogSoftmax(g: GraphBuilder, { attributes }: Node<'LogSoftmax'>, [x]: Inputs): Value | undefined {
  if (!x) return undefined;
  const axes = g.constant(int64s([normalizeAxis(attributes.axis, x.shape.length)]));
  const shifted = g.apply('Sub', [x, g.apply('ReduceMax', [x, axes], { keepdims: 1 })], {});
  const sum = g.apply('ReduceSum', [g.apply('Exp', [shifted], {}), axes], { keepdims: 1 });
  return g.apply('Sub', [shifted, g.apply('Log', [sum], {})], {});
}

/** What GPUs are given, without what onnxruntime's WebGPU provider computes wrongly or not at all. */
export function lowerForWebGpu(whole: Graph): Graph {
  const graph = lowerForGpu(whole);
  const g = new GraphBuilder();
  let changed = false;
  const bindings = copyInputs(g, graph);
  const outputs = inline(g, graph, bindings, (node, inputs) => {
    let lowered: Value | undefined;
    if (node.op === 'Conv') lowered = padChannels(g, node as Node<'Conv'>, inputs);
    if (node.op === 'LogSoftmax') lowered = spellLogSoftmax(g, node as Node<'LogSoftmax'>, inputs);
    changed ||= lowered !== undefined;
    return lowered;
  });
  return changed ? { name: graph.name, inputs: [...bindings.values()], outputs } : graph;
}

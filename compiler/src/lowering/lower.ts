import type { Graph, Value } from '../graph.js';
import { GraphBuilder, inline, nodesOf } from '../graph.js';
import type { ConvAttributes } from '../operators/attributes.js';
import type { Pass } from '../passes/pass.js';
import { lowerWeightGradient } from './weight-gradient.js';

const isOwn = ({ op }: { readonly op: string }) => op === 'ConvWeightGradient';

/** Makes ONNX operators of Whet's own, in the forms that are fastest on a CPU. A graph without any stays as it is. */
export const lowerOwnOperators: Pass = (graph: Graph) => {
  if (!nodesOf(graph.outputs.values()).some(isOwn)) return { graph, changed: false };
  const g = new GraphBuilder();
  const inputs = graph.inputs.map((input) => g.input(input.name, input.shape, input.dtype));
  const bindings = new Map(graph.inputs.map((input, i) => [input, inputs[i] as Value]));
  const outputs = inline(g, graph, bindings, (node, [x, dy]) =>
    isOwn(node) && x && dy
      ? g.scope(node.name, () => lowerWeightGradient(g, x, dy, node.attributes as ConvAttributes))
      : undefined,
  );
  return { graph: { name: graph.name, inputs, outputs }, changed: true };
};

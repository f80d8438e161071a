import { copyInputs, GraphBuilder, inline } from '../builder.js';
import type { Graph, Node, Value } from '../graph.js';
import { nodesOf } from '../graph.js';
import type { Pass } from '../passes/pass.js';

type Lower = (g: GraphBuilder, inputs: readonly (Value | undefined)[], node: Node) => Value;

/** Writes the nodes to which `applies` says yes as `lower` does. A graph without any stays as it is. */
export function rewriteNodes(applies: (node: Node) => boolean, lower: Lower): Pass {
  return (graph: Graph) => {
    if (!nodesOf(graph.outputs.values()).some(applies)) return { graph, changed: false };
    const g = new GraphBuilder();
    const bindings = copyInputs(g, graph);
    const outputs = inline(g, graph, bindings, (node, operands) =>
      applies(node) ? g.scope(node.name, () => lower(g, operands, node)) : undefined,
    );
    return { graph: { name: graph.name, inputs: [...bindings.values()], outputs }, changed: true };
  };
}

/** The passes one after the other, as a lowering for one kind of device. */
export function lowerWith(...passes: readonly Pass[]): (graph: Graph) => Graph {
  return (graph) => passes.reduce((lowered, pass) => pass(lowered).graph, graph);
}

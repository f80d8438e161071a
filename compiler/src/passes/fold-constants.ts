import { copyInputs, GraphBuilder, inline } from '../builder.js';
import { evaluate } from '../evaluate.js';
import { FoldingBudget } from '../folding-budget.js';
import type { Graph, Node, Value } from '../graph.js';
import { constantsOf } from '../graph.js';
import { isStatic, sizeOf } from '../tensor.js';
import type { Pass } from './pass.js';

/** Elements from which on a part of a constant is better taken anew when a graph is loaded than stored beside it. */
const LARGE_PART = 16_384;

/** Slices of a weight that a file has whole: a runtime takes them when it loads the graph, and they are stored once. */
const isLargePart = ({ op }: Node, { shape }: Value): boolean =>
  op === 'Gather' && isStatic(shape) && sizeOf(shape) >= LARGE_PART;

/**
 * A pass that replaces nodes whose inputs are all constants by their value, computed in float64, where it has at most
 * `limit` elements, and all of them together are few: a few bytes of `Expand` would else become a file that nobody
 * asked for, and two of them a product that takes hours.
 */
export function foldConstantsUpTo(limit: number): Pass {
  return (graph) => {
    const g = new GraphBuilder();
    let changed = false;
    const held = constantsOf(graph).reduce((sum, { constant }) => sum + (constant?.data.length ?? 0), 0);
    const budget = new FoldingBudget(held);
    const bindings = copyInputs(g, graph);
    const outputs = inline(g, graph, bindings, (node, operands) => {
      if (!operands.every((operand) => operand === undefined || operand.constant)) return undefined;
      const value = g.apply(node.op, operands, node.attributes, node.name);
      if (!isStatic(value.shape) || sizeOf(value.shape) > limit || isLargePart(node, value)) return value;
      if (!budget.affords(value.producer as Node)) return value;
      const single: Graph = { name: node.name, inputs: [], outputs: new Map([['value', value]]) };
      const folded = evaluate(single, new Map()).get('value');
      if (!folded) return value;
      changed = true;
      return g.constant(folded, node.output.name);
    });
    return { graph: { name: graph.name, inputs: [...bindings.values()], outputs }, changed };
  };
}

/** Replaces nodes whose inputs are all constants by their value, up to ten million elements. */
export const foldConstants: Pass = foldConstantsUpTo(1e7);

import { nodesOf } from '../graph.js';
import type { Pass } from './pass.js';

/**
 * Drops inputs that no output reads. (Nodes that no output reads are never part of a graph: a graph is what its
 * outputs reach.)
 */
export const removeUnusedInputs: Pass = (graph) => {
  const read = new Set(graph.outputs.values());
  for (const node of nodesOf(graph.outputs.values())) {
    for (const input of node.inputs) if (input) read.add(input);
  }
  const inputs = graph.inputs.filter((input) => read.has(input));
  return { graph: { ...graph, inputs }, changed: inputs.length !== graph.inputs.length };
};

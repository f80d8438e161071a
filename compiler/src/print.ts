import type { Graph, Value } from './graph.js';
import { nodesOf } from './graph.js';
import { formatShape } from './tensor.js';

const typed = (value: Value) => `${value.name}: ${value.dtype}${formatShape(value.shape)}`;

/** A graph as text, one node a line, for people and tests to read. */
export function printGraph(graph: Graph): string {
  const lines = [`graph "${graph.name}" (${graph.inputs.map(typed).join(', ')})`];
  for (const node of nodesOf(graph.outputs.values())) {
    const inputs = node.inputs.map((input) => input?.name ?? '-').join(', ');
    const attributes = Object.entries(node.attributes).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
    lines.push(`  ${typed(node.output)} = ${node.op}(${[inputs, ...attributes].filter(Boolean).join(', ')})`);
  }
  lines.push(`  return ${[...graph.outputs].map(([name, value]) => `${name} = ${value.name}`).join(', ')}`);
  return lines.join('\n');
}

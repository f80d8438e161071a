import { bindFeeds, type Tensors } from './feeds.js';
import type { Graph, Value } from './graph.js';
import { GraphError, nodesOf } from './graph.js';
import type { OperatorName } from './operators/attributes.js';
import type { Operator } from './operators/operator.js';
import { operators } from './operators/table.js';
import type { Tensor } from './tensor.js';

function evaluator<K extends OperatorName>(op: K): Operator<K>['evaluate'] {
  return (operators[op] as Operator<K>).evaluate;
}

/**
 * Runs a graph in float64 by the table's `evaluate` rules: the reference backend. Feeds are by input name.
 * Throws {@link GraphError} where an input is missing or does not have the declared shape.
 */
export function evaluate(graph: Graph, feeds: Tensors): Map<string, Tensor> {
  const values = new Map<Value, Tensor>(bindFeeds(graph, feeds));
  const read = (value: Value): Tensor => {
    const tensor = value.constant ?? values.get(value);
    if (!tensor)
      throw new GraphError(
        `"${graph.name}": expected an input, a constant or the output of a node, got "${value.name}"`,
      );
    return tensor;
  };
  for (const node of nodesOf(graph.outputs.values())) {
    const inputs = node.inputs.map((input) => input && read(input));
    values.set(node.output, evaluator(node.op)(inputs, node.attributes as never));
  }
  return new Map([...graph.outputs].map(([name, value]) => [name, read(value)]));
}

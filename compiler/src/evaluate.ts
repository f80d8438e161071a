import type { Graph, Value } from './graph.js';
import { GraphError, nodesOf } from './graph.js';
import type { OperatorName } from './operators/attributes.js';
import type { Operator } from './operators/operator.js';
import { operators } from './operators/table.js';
import type { Tensor } from './tensor.js';
import { formatShape } from './tensor.js';

function evaluator<K extends OperatorName>(op: K): Operator<K>['evaluate'] {
  return (operators[op] as Operator<K>).evaluate;
}

/**
 * Runs a graph in float64 by the table's `evaluate` rules: the reference backend. Feeds are by input name.
 * Throws {@link GraphError} where an input is missing or does not have the declared shape.
 */
export function evaluate(graph: Graph, feeds: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  const values = new Map<Value, Tensor>();
  const symbols = new Map<string, number>();
  for (const input of graph.inputs) {
    const tensor = feeds.get(input.name);
    if (!tensor) throw new GraphError(`"${graph.name}": input "${input.name}" is not fed`);
    const fits =
      tensor.shape.length === input.shape.length &&
      input.shape.every((dim, axis) => {
        const got = tensor.shape[axis] as number;
        if (typeof dim === 'number') return dim === got;
        const known = symbols.get(dim) ?? got;
        symbols.set(dim, known);
        return known === got;
      });
    if (!fits) {
      const expected = formatShape(input.shape);
      throw new GraphError(
        `"${graph.name}": input "${input.name}": expected ${expected}, got ${formatShape(tensor.shape)}`,
      );
    }
    values.set(input, tensor);
  }
  const read = (value: Value): Tensor => {
    const tensor = value.constant ?? values.get(value);
    if (!tensor) throw new GraphError(`"${graph.name}": "${value.name}" has no value`);
    return tensor;
  };
  for (const node of nodesOf(graph.outputs.values())) {
    const inputs = node.inputs.map((input) => input && read(input));
    values.set(node.output, evaluator(node.op)(inputs, node.attributes as never));
  }
  return new Map([...graph.outputs].map(([name, value]) => [name, read(value)]));
}

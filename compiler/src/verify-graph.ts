import type { Graph, Node, Value } from './graph.js';
import { constantsOf, GraphError, nodesOf } from './graph.js';
import type { OperatorName } from './operators/attributes.js';
import type { Operator } from './operators/operator.js';
import { operators } from './operators/table.js';
import { formatShape, sameShape, sizeOf } from './tensor.js';

function infer<K extends OperatorName>(node: Node<K>): ReturnType<Operator<K>['infer']> {
  return (operators[node.op] as Operator<K>).infer(node.inputs, node.attributes);
}

const typed = (value: Pick<Value, 'dtype' | 'shape'>) => `${value.dtype}${formatShape(value.shape)}`;

/**
 * Checks a graph from scratch: every node's output is what its operator infers from its inputs, every value without a
 * producer is a constant or a declared input, every constant holds as many values as its shape says, and no two inputs
 * have one name. Throws {@link GraphError} naming the first that does not.
 */
export function verifyGraph(graph: Graph): void {
  const fail = (reason: string): never => {
    throw new GraphError(`"${graph.name}": ${reason}`);
  };
  const inputs = new Set(graph.inputs);
  const names = new Set<string>();
  for (const input of graph.inputs) {
    if (names.has(input.name)) fail(`two inputs are named "${input.name}"`);
    names.add(input.name);
    if (input.producer || input.constant) fail(`input "${input.name}" has a value of its own`);
  }
  const check = (value: Value, reader: string) => {
    if (!value.producer && !value.constant && !inputs.has(value))
      fail(`${reader} reads "${value.name}", no input of it`);
  };
  for (const node of nodesOf(graph.outputs.values())) {
    const name = `${node.op} "${node.name}"`;
    for (const input of node.inputs) if (input) check(input, name);
    if (node.output.producer !== node) fail(`${name} is not the producer of its output`);
    let type: Pick<Value, 'dtype' | 'shape'>;
    try {
      type = infer(node);
    } catch (cause) {
      throw new GraphError(`"${graph.name}": ${name}: ${(cause as Error).message}`, { cause });
    }
    if (type.dtype !== node.output.dtype || !sameShape(type.shape, node.output.shape)) {
      fail(`${name} makes ${typed(type)}, its output says ${typed(node.output)}`);
    }
  }
  for (const [name, value] of graph.outputs) check(value, `output "${name}"`);
  for (const { name, dtype, shape, constant } of constantsOf(graph)) {
    if (!constant) continue;
    const same = constant.dtype === dtype && sameShape(constant.shape, shape);
    if (!same) fail(`constant "${name}" says ${typed({ dtype, shape })}, it holds ${typed(constant)}`);
    const count = sizeOf(constant.shape);
    if (constant.data.length !== count)
      fail(`constant "${name}" takes ${count} values, it holds ${constant.data.length}`);
  }
}

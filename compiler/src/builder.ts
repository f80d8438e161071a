import type { Graph, Node, Value } from './graph.js';
import { GraphError, nodesOf } from './graph.js';
import type { OperatorAttributes, OperatorName } from './operators/attributes.js';
import { operators } from './operators/table.js';
import type { DType, Shape, Tensor } from './tensor.js';
import { formatShape } from './tensor.js';

/** Creates values and nodes; every node is shape-checked as it is made. */
export class GraphBuilder {
  #next = 0;
  /** Of the names of nodes. */
  #prefix = '';

  /** Runs `build` with `name` in front of the names of the nodes it makes. */
  scope<T>(name: string, build: () => T): T {
    const outer = this.#prefix;
    this.#prefix = `${outer}${name}/`;
    try {
      return build();
    } finally {
      this.#prefix = outer;
    }
  }

  input(name: string, shape: Shape, dtype: DType = 'float32'): Value {
    return { name, dtype, shape, index: this.#next++ };
  }

  constant(tensor: Tensor, name?: string): Value {
    const index = this.#next++;
    return { name: name ?? `constant_${index}`, dtype: tensor.dtype, shape: tensor.shape, index, constant: tensor };
  }

  scalar(value: number, dtype: DType = 'float32'): Value {
    return this.constant({ dtype, shape: [], data: Float64Array.of(value) });
  }

  /** Applies an operator. Throws {@link GraphError} naming the node where its inputs do not fit. */
  apply<K extends OperatorName>(
    op: K,
    inputs: readonly (Value | undefined)[],
    attributes: OperatorAttributes[K],
    name?: string,
  ): Value {
    const index = this.#next++;
    const nodeName = this.#prefix + (name ?? `${op}_${index}`);
    let type: { dtype: DType; shape: Shape };
    try {
      type = operators[op].infer(inputs, attributes);
    } catch (cause) {
      const shapes = inputs.map((input) => (input ? formatShape(input.shape) : '-')).join(', ');
      throw new GraphError(`${op} "${nodeName}" on ${shapes}: ${(cause as Error).message}`, { cause });
    }
    const { dtype, shape } = type;
    // Written out: copying the fields of `type` takes half of the time in which a model is compiled.
    const output: { -readonly [P in keyof Value]: Value[P] } = { name: nodeName, dtype, shape, index };
    output.producer = { op, name: nodeName, inputs, attributes, output };
    return output;
  }
}

/** Declares the inputs of a graph on another builder, by name, shape and dtype; each with its copy, in their order. */
export function copyInputs(builder: GraphBuilder, graph: Graph): Map<Value, Value> {
  return new Map(graph.inputs.map((input) => [input, builder.input(input.name, input.shape, input.dtype)]));
}

/**
 * Copies a graph into `builder` with inputs (or inner values) replaced by `bindings`; returns the copied outputs.
 * Shapes are inferred anew, so binding an input of another shape re-checks every node.
 */
export function inline(
  builder: GraphBuilder,
  graph: Graph,
  bindings: ReadonlyMap<Value, Value>,
  rewrite?: (node: Node, inputs: readonly (Value | undefined)[]) => Value | undefined,
): Map<string, Value> {
  const copies = new Map<Value, Value>(bindings);
  const copyOf = (value: Value): Value => {
    const known = copies.get(value);
    if (known) return known;
    if (value.constant) {
      const copy = builder.constant(value.constant, value.name);
      copies.set(value, copy);
      return copy;
    }
    throw new GraphError(`"${graph.name}": input "${value.name}" is not bound`);
  };
  for (const node of nodesOf(graph.outputs.values(), bindings.keys())) {
    const inputs = node.inputs.map((input) => input && copyOf(input));
    const copy = rewrite?.(node, inputs) ?? builder.apply(node.op, inputs, node.attributes, node.name);
    copies.set(node.output, copy);
  }
  return new Map([...graph.outputs].map(([name, value]) => [name, copyOf(value)]));
}

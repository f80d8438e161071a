import type { OperatorAttributes, OperatorName } from './operators/attributes.js';
import type { DType, Shape, Tensor } from './tensor.js';
import { formatShape, isStatic } from './tensor.js';

/** A graph that is not well formed: a shape, dtype or attribute an operator does not take. */
export class GraphError extends Error {
  override readonly name = 'GraphError';
}

/** A named, typed edge of a graph. It has a producer, or a constant, or neither (a graph input). */
export interface Value {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
  /** Order of creation in its builder; a producer's inputs always come before its outputs. */
  readonly index: number;
  readonly producer?: Node;
  readonly constant?: Tensor;
}

/** One application of an operator. An absent optional input is `undefined`. */
export interface Node<K extends OperatorName = OperatorName> {
  readonly op: K;
  readonly name: string;
  readonly inputs: readonly (Value | undefined)[];
  readonly attributes: OperatorAttributes[K];
  readonly output: Value;
}

/** A graph is what its outputs reach: code no output needs is not part of it. */
export interface Graph {
  readonly name: string;
  readonly inputs: readonly Value[];
  /** Outputs by the name they are exported under. */
  readonly outputs: ReadonlyMap<string, Value>;
}

export function staticShape(value: Value): readonly number[] {
  if (!isStatic(value.shape)) {
    throw new GraphError(`"${value.name}": expected a static shape, got ${formatShape(value.shape)}`);
  }
  return value.shape;
}

/** What is made of each value, by those that read it. */
export function readersOf(nodes: readonly Node[]): Map<Value, Value[]> {
  const readers = new Map<Value, Value[]>();
  for (const { inputs, output } of nodes) {
    for (const input of inputs) {
      if (!input) continue;
      const known = readers.get(input);
      if (known) known.push(output);
      else readers.set(input, [output]);
    }
  }
  return readers;
}

/** Nodes the outputs need, each after the nodes it reads. The walk does not go past the values of `until`. */
export function nodesOf(outputs: Iterable<Value>, until: Iterable<Value> = []): Node[] {
  const order: Node[] = [];
  const done = new Set<Value>(until);
  const stack: { value: Value; node: Node; next: number }[] = [];
  const visit = (value: Value | undefined) => {
    if (value?.producer && !done.has(value)) stack.push({ value, node: value.producer, next: 0 });
  };
  for (const output of outputs) {
    visit(output);
    while (stack.length > 0) {
      const top = stack[stack.length - 1] as (typeof stack)[number];
      const { value, node } = top;
      if (!done.has(value) && top.next < node.inputs.length) {
        visit(node.inputs[top.next++]);
        continue;
      }
      if (!done.has(value)) order.push(node);
      done.add(value);
      stack.pop();
    }
  }
  return order;
}

/** Constants the outputs need, in order of first use. */
export function constantsOf(graph: Graph): Value[] {
  const found = new Set<Value>();
  for (const node of nodesOf(graph.outputs.values())) {
    for (const input of node.inputs) if (input?.constant) found.add(input);
  }
  for (const output of graph.outputs.values()) if (output.constant) found.add(output);
  return [...found];
}

import type { Graph, Value } from './graph.js';
import { GraphError } from './graph.js';
import type { Tensor } from './tensor.js';
import { formatShape } from './tensor.js';

/** Tensors by the name of a graph's input or output. */
export type Tensors = ReadonlyMap<string, Tensor>;

function fits(input: Value, tensor: Tensor, symbols: Map<string, number>): boolean {
  if (tensor.shape.length !== input.shape.length) return false;
  return input.shape.every((dim, axis) => {
    const got = tensor.shape[axis] as number;
    if (typeof dim === 'number') return dim === got;
    const known = symbols.get(dim) ?? got;
    symbols.set(dim, known);
    return known === got;
  });
}

/** The tensors of the graph's inputs, in their order. Throws {@link GraphError} for one that is missing or does not fit. */
export function bindFeeds(graph: Graph, feeds: Tensors): [Value, Tensor][] {
  const symbols = new Map<string, number>();
  return graph.inputs.map((input) => {
    const tensor = feeds.get(input.name);
    if (!tensor) throw new GraphError(`"${graph.name}": input "${input.name}" is not fed`);
    if (!fits(input, tensor, symbols)) {
      const [expected, got] = [input.shape, tensor.shape].map(formatShape);
      throw new GraphError(`"${graph.name}": input "${input.name}": expected ${expected}, got ${got}`);
    }
    return [input, tensor];
  });
}

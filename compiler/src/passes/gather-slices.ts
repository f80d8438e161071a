import { GraphBuilder, inline } from '../builder.js';
import type { Graph, Node, Value } from '../graph.js';
import type { AxisAttributes, OperatorAttributes } from '../operators/attributes.js';
import { int64s, normalizeAxis, type Shape, sameShape } from '../tensor.js';
import type { Pass } from './pass.js';

const product = (dims: Shape): number => dims.reduce<number>((all, dim) => all * (dim as number), 1);

/** The indices along `axis`, where they are constants and the same for all that lies beside it. */
function sliceIndices(data: Value, indices: Value, axis: number): number[] | undefined {
  const { constant } = indices;
  const beside = (shape: Shape) => shape.filter((_, at) => at !== axis);
  const static_ = data.shape.every((dim) => typeof dim === 'number');
  if (!constant || !static_ || !sameShape(beside(data.shape), beside(indices.shape))) return undefined;
  const count = indices.shape[axis] as number;
  const size = data.shape[axis] as number;
  const inner = product(indices.shape.slice(axis + 1));
  const found = Array.from({ length: count }, (_, i) => constant.data[i * inner] as number);
  for (let i = 0; i < constant.data.length; i++) {
    if (constant.data[i] !== found[Math.floor(i / inner) % count]) return undefined;
  }
  return found.map((index) => (index < 0 ? index + size : index));
}

/** `data` with whole slices replaced: those that stay beside those that come, in their order. */
function withSlices(g: GraphBuilder, data: Value, updates: Value, axis: number, replaced: number[]): Value {
  const size = data.shape[axis] as number;
  const places = new Map(replaced.map((index, i) => [index, i]));
  const kept = Array.from({ length: size }, (_, i) => i).filter((i) => !places.has(i));
  const rest = g.apply('Gather', [data, g.constant(int64s(kept))], { axis });
  const order = Array.from({ length: size }, (_, i) => {
    const update = places.get(i);
    return update === undefined ? kept.indexOf(i) : kept.length + update;
  });
  const both = g.apply('Concat', [rest, updates], { axis });
  return g.apply('Gather', [both, g.constant(int64s(order))], { axis });
}

function rewrite(g: GraphBuilder, node: Node, operands: readonly (Value | undefined)[]): Value | undefined {
  const [data, indices, updates] = operands;
  if ((node.op !== 'GatherElements' && node.op !== 'ScatterElements') || !data || !indices) return undefined;
  const axis = normalizeAxis((node.attributes as AxisAttributes).axis, data.shape.length);
  const found = sliceIndices(data, indices, axis);
  if (!found) return undefined;
  if (node.op === 'GatherElements') return g.apply('Gather', [data, g.constant(int64s(found))], { axis }, node.name);
  // Single entries are scattered as fast, with fewer indices.
  const entries = product(data.shape) === data.shape[axis];
  const { reduction } = node.attributes as OperatorAttributes['ScatterElements'];
  if (entries || reduction !== 'none' || !updates || new Set(found).size < found.length) return undefined;
  return withSlices(g, data, updates, axis, found);
}

/**
 * Takes and replaces slices whole where `GatherElements` and `ScatterElements` name each of their entries: one index a
 * slice, and a `Gather` that `narrow` can move to where less is computed.
 */
export const gatherSlices: Pass = (graph: Graph) => {
  const g = new GraphBuilder();
  const inputs = graph.inputs.map((input) => g.input(input.name, input.shape, input.dtype));
  const bindings = new Map(graph.inputs.map((input, i) => [input, inputs[i] as Value]));
  let changed = false;
  const outputs = inline(g, graph, bindings, (node, operands) => {
    const simpler = rewrite(g, node, operands);
    changed ||= simpler !== undefined;
    return simpler;
  });
  return changed ? { graph: { name: graph.name, inputs, outputs }, changed } : { graph, changed };
};

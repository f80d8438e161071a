import { graphCost } from '../../cost.js';
import { evaluate } from '../../evaluate.js';
import type { Graph, Value } from '../../graph.js';
import { nodesOf } from '../../graph.js';
import { isStatic, sizeOf } from '../../tensor.js';
import type { NodeContext } from './node-context.js';

/** What is folded while a model is read: pads, shapes, axes, scales and small tables. Weights are folded by passes. */
const LARGEST = { elements: 2 ** 16, readElements: 2 ** 22, multiplyAdds: 1e7 };

const leavesOf = (value: Value): Value[] =>
  nodesOf([value]).flatMap(({ inputs }) => inputs.filter((input) => input && !input.producer)) as Value[];

/** Whether no input of the graph decides a value, be it folded or not. */
export const isOfConstants = (value: Value): boolean =>
  value.producer ? leavesOf(value).every(({ constant }) => constant) : value.constant !== undefined;

/** Whether a value is made of constants alone, few enough to hold and to compute while reading. */
function isCheap(graph: Graph, value: Value): boolean {
  if (!isStatic(value.shape) || sizeOf(value.shape) > LARGEST.elements || !isOfConstants(value)) return false;
  const nodes = nodesOf([value]);
  const leaves = leavesOf(value);
  if (nodes.some(({ output }) => !isStatic(output.shape) || sizeOf(output.shape) > LARGEST.readElements)) return false;
  if (leaves.reduce((sum, { shape }) => sum + sizeOf(shape as number[]), 0) > LARGEST.readElements) return false;
  return graphCost(graph).multiplyAdds <= LARGEST.multiplyAdds;
}

/**
 * What a node makes of constants alone, as a constant, whatever its operator; any other value as it is. float32 is
 * rounded as a runtime would, since the integers that shapes are made of may come of it.
 */
export function foldReading(c: NodeContext, value: Value): Value {
  if (!value.producer || !c.slots.every((slot) => !slot || slot.known || slot.value?.constant)) return value;
  const graph: Graph = { name: c.node.name, inputs: [], outputs: new Map([['value', value]]) };
  if (!isCheap(graph, value)) return value;
  const folded = evaluate(graph, new Map()).get('value');
  if (!folded) return value;
  const data = folded.dtype === 'float32' ? Float32Array.from(folded.data) : folded.data;
  return c.g.constant({ ...folded, data }, value.name);
}

import type { Graph, Value } from '../graph.js';
import { nodesOf, readersOf } from '../graph.js';

export interface BoundaryOptions {
  /** Whether a value may be kept between the parts; what may not is computed in the rest. All may when absent. */
  readonly mayCross?: (value: Value) => boolean;
  /** Groups of values that no boundary separates: where one of a group is computed in the rest, all are. */
  readonly together?: readonly (readonly Value[])[];
}

/**
 * Values at which the frozen part of a graph ends, the largest part that depends on no input named in `moving`. Inputs
 * and constants are read by both parts and are none of them.
 */
export function frozenBoundary(
  graph: Graph,
  moving: ReadonlySet<string>,
  { mayCross = () => true, together = [] }: BoundaryOptions = {},
): Value[] {
  const nodes = nodesOf(graph.outputs.values());
  const dependsOnInput = new Set<Value>(graph.inputs);
  for (const node of nodes) {
    if (node.inputs.some((input) => input && dependsOnInput.has(input))) dependsOnInput.add(node.output);
  }
  const readers = readersOf(nodes);
  const groups = new Map<Value, readonly Value[]>();
  for (const group of together) for (const value of group) groups.set(value, [...(groups.get(value) ?? []), ...group]);
  const mayEnd = (value: Value) => value.producer !== undefined && dependsOnInput.has(value);
  const moved = new Set<Value>();
  const open: Value[] = graph.inputs.filter((input) => moving.has(input.name));
  const take = () => {
    for (let value = open.pop(); value; value = open.pop()) {
      if (moved.has(value)) continue;
      moved.add(value);
      open.push(...(readers.get(value) ?? []), ...(groups.get(value) ?? []));
      for (const input of value.producer?.inputs ?? []) {
        if (input && mayEnd(input) && !moved.has(input) && !mayCross(input)) open.push(input);
      }
    }
  };
  take();
  const outputs = [...graph.outputs.values()].filter(mayEnd);
  for (const output of outputs) if (!moved.has(output) && !mayCross(output)) open.push(output);
  take();
  const boundary = new Set<Value>();
  for (const node of nodes) {
    if (!moved.has(node.output)) continue;
    for (const input of node.inputs) if (input && mayEnd(input) && !moved.has(input)) boundary.add(input);
  }
  for (const output of outputs) if (!moved.has(output)) boundary.add(output);
  return [...boundary];
}

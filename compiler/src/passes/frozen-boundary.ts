import type { Graph, Value } from '../graph.js';
import { nodesOf } from '../graph.js';

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
  const moved = new Set<Value>(graph.inputs.filter((input) => moving.has(input.name)));
  for (;;) {
    for (const node of nodes) if (node.inputs.some((input) => input && moved.has(input))) moved.add(node.output);
    const boundary = new Set<Value>();
    const cross = (value: Value) => {
      if (value.producer && !moved.has(value) && dependsOnInput.has(value)) boundary.add(value);
    };
    for (const node of nodes) if (moved.has(node.output)) for (const input of node.inputs) if (input) cross(input);
    for (const output of graph.outputs.values()) cross(output);
    const refused = [...boundary].filter((value) => !mayCross(value));
    const torn = together.filter((group) => group.some((value) => moved.has(value))).flat();
    const before = moved.size;
    for (const value of [...refused, ...torn]) moved.add(value);
    if (moved.size === before) return [...boundary];
  }
}

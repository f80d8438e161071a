import { decodeInner } from '../inner-graphs.js';
import type { GraphMessage, NodeMessage, TensorMessage } from '../messages.js';
import { type OnnxNode, readInnerGraph } from '../proto.js';
import { onnxMessage } from '../schema.js';
import { freeName, identity, renamedNode } from './rename.js';

/** A branch of an If as it stands in its place: names that it makes are free in the graph around it. */
export interface Branch {
  readonly nodes: readonly NodeMessage[];
  readonly initializers: readonly TensorMessage[];
}

/** The branch that an If takes; undefined where it is not one that can stand in its place. */
export function branchOf(
  { op, name, outputs, attributes }: OnnxNode,
  taken: boolean,
  names: Set<string>,
): Branch | undefined {
  const attribute = attributes.get(taken ? 'then_branch' : 'else_branch');
  if (op !== 'If' || attribute?.kind !== 'graph' || outputs.every((output) => output === '')) return undefined;
  const graph = decodeInner({ opType: op, name, input: [], output: [] }, attribute.value, 1);
  if (graph.sparseInitializer.length > 0 || graph.output.length !== outputs.length) return undefined;
  const made = new Set(graph.node.flatMap(({ output }) => output));
  // Branches are known by what their If makes: one inside may not make what the one around it made.
  const byIf = new Set(graph.node.flatMap(({ opType, output }) => (opType === 'If' ? output : [])));
  const own = new Set([...made, ...graph.initializer.map((tensor) => tensor.name)]);
  const renamed = new Map<string, string>();
  const passedOn: [from: string, to: string][] = [];
  graph.output.forEach((output, i) => {
    const to = outputs[i] as string;
    if (to === '') return;
    const takesName = made.has(output.name) && !byIf.has(output.name) && !renamed.has(output.name);
    if (takesName) renamed.set(output.name, to);
    else passedOn.push([output.name, to]);
  });
  const prefix = outputs.find((output) => output !== '') as string;
  const rename = (from: string): string => {
    if (!own.has(from)) return from;
    const to = renamed.get(from) ?? freeName(`${prefix}/${from}`, names);
    renamed.set(from, to);
    return to;
  };
  const nodes = [
    ...graph.node.map((node) => renamedNode(node, { rename })),
    ...passedOn.map(([from, to]) => identity(rename(from), to)),
  ];
  const initializers = graph.initializer.map((tensor) => ({ ...tensor, name: rename(tensor.name) }));
  return { nodes, initializers };
}

/** The nodes and initializers of a branch as a reader takes them. */
export function readBranch({ nodes, initializers }: Branch): ReturnType<typeof readInnerGraph> {
  const message = onnxMessage('GraphProto');
  return readInnerGraph(message.encode({ node: nodes, initializer: initializers } as unknown as GraphMessage).finish());
}

import { decodeInner } from '../inner-graphs.js';
import type { AttributeMessage, NodeMessage } from '../messages.js';
import { onnxMessage } from '../schema.js';

export interface Renaming {
  /** What a name of a value becomes; not asked for the empty one. */
  readonly rename: (name: string) => string;
  /** What attributes of the function around are, where the nodes are a function's. */
  readonly attributes?: ReadonlyMap<string, AttributeMessage>;
}

/** A name that nothing has, like `wanted`; it is taken from then on. */
export function freeName(wanted: string, taken: Set<string>): string {
  let name = wanted;
  for (let suffix = 1; taken.has(name); suffix++) name = `${wanted}_${suffix}`;
  taken.add(name);
  return name;
}

const renamed = (name: string, { rename }: Renaming): string => (name === '' ? name : rename(name));

function renamedGraph(node: NodeMessage, bytes: Uint8Array, how: Renaming, depth: number): Uint8Array {
  const graph = decodeInner(node, bytes, depth);
  for (const list of [graph.input, graph.output, graph.initializer]) {
    for (const item of list) item.name = renamed(item.name, how);
  }
  graph.node = graph.node.map((inner) => renamedNode(inner, how, depth + 1));
  graph.valueInfo = [];
  return onnxMessage('GraphProto').encode(graph).finish();
}

/** The attribute that a function's attribute stands for; undefined where no call and no default says it. */
function boundAttribute(attribute: AttributeMessage, { attributes }: Renaming): AttributeMessage | undefined {
  if (!attribute.refAttrName || !attributes) return attribute;
  const given = attributes.get(attribute.refAttrName);
  return given && { ...given, name: attribute.name };
}

/** A copy of a node with its values renamed, also where graphs inside it read or make them. */
export function renamedNode(node: NodeMessage, how: Renaming, depth = 1): NodeMessage {
  const attribute = (node.attribute ?? []).flatMap((given) => {
    const bound = boundAttribute(given, how);
    if (!bound) return [];
    const copy = { ...bound };
    if (bound.g?.length) copy.g = renamedGraph(node, bound.g, how, depth);
    if (bound.graphs?.length) copy.graphs = bound.graphs.map((bytes) => renamedGraph(node, bytes, how, depth));
    return [copy];
  });
  const names = (list: readonly string[]) => list.map((name) => renamed(name, how));
  return { ...node, input: names(node.input), output: names(node.output), attribute };
}

export const identity = (from: string, to: string): NodeMessage => ({
  opType: 'Identity',
  name: to,
  input: [from],
  output: [to],
});

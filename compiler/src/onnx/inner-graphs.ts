import { OnnxError } from './errors.js';
import type { GraphMessage, NodeMessage, TensorMessage } from './messages.js';
import { onnxMessage } from './schema.js';

/** How deep graphs may stand in the nodes of graphs. */
const DEEPEST = 16;

const where = (node: NodeMessage): string => `${node.opType} "${node.name || node.output[0] || ''}"`;

export function decodeInner(node: NodeMessage, bytes: Uint8Array, depth: number): GraphMessage {
  if (depth > DEEPEST) throw new OnnxError(`${where(node)}: graphs stand in each other more than ${DEEPEST} deep`);
  try {
    return onnxMessage('GraphProto').decode(bytes) as unknown as GraphMessage;
  } catch (cause) {
    throw new OnnxError(`${where(node)}: its inner graph cannot be decoded`, { cause });
  }
}

/** The graphs that a control-flow node holds: the branches of an If, the body of a Loop or Scan. */
function innerGraphs(node: NodeMessage, depth: number): GraphMessage[] {
  return (node.attribute ?? []).flatMap(({ g, graphs }) =>
    [...(g?.length ? [g] : []), ...(graphs ?? [])].map((bytes) => decodeInner(node, bytes, depth)),
  );
}

/** Every name that a node's inner graphs read or make, so that nothing around them may take it. */
export function innerNames(node: NodeMessage, depth = 1): Set<string> {
  const names = new Set<string>();
  for (const graph of innerGraphs(node, depth)) {
    for (const { name } of [...graph.input, ...graph.output, ...graph.initializer]) names.add(name);
    for (const inner of graph.node) {
      for (const name of [...inner.input, ...inner.output, ...innerNames(inner, depth + 1)]) names.add(name);
    }
  }
  names.delete('');
  return names;
}

/** Names of the graph around it that a node's inner graphs read. */
export function capturedNames(node: NodeMessage, depth = 1): Set<string> {
  const captured = new Set<string>();
  for (const graph of innerGraphs(node, depth)) {
    const own = new Set(['']);
    for (const { name } of [...graph.input, ...graph.initializer]) own.add(name);
    for (const { output } of graph.node) for (const name of output) own.add(name);
    const read = graph.node.flatMap((inner) => [...inner.input, ...capturedNames(inner, depth + 1)]);
    for (const name of [...read, ...graph.output.map((output) => output.name)]) if (!own.has(name)) captured.add(name);
  }
  return captured;
}

/** Tensors inside a node: in its attributes and in its inner graphs. */
export function innerTensors(node: NodeMessage, depth = 1): TensorMessage[] {
  const own = (node.attribute ?? []).flatMap(({ t, tensors }) => [...(t ? [t] : []), ...(tensors ?? [])]);
  const inner = innerGraphs(node, depth).flatMap((graph) => {
    if (graph.sparseInitializer.length > 0) throw new OnnxError(`${where(node)}: sparse initializers: not supported`);
    return [...graph.initializer, ...graph.node.flatMap((nested) => innerTensors(nested, depth + 1))];
  });
  return [...own, ...inner];
}

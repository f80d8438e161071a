import { innerNames } from '../inner-graphs.js';
import type { GraphMessage, ModelMessage, NodeMessage } from '../messages.js';
import { decodeModel } from '../proto.js';
import { constantBranches, type ReadOptions } from '../reading/read.js';
import { onnxMessage } from '../schema.js';
import type { Branch } from './branches.js';
import { inlineFunctions } from './inline-functions.js';

function namesOf(graph: GraphMessage): Set<string> {
  const names = new Set<string>();
  for (const { name } of [...graph.input, ...graph.initializer, ...graph.output]) names.add(name);
  for (const node of graph.node) for (const name of [...node.output, ...innerNames(node)]) names.add(name);
  return names;
}

/** The nodes, each If whose branch is known replaced by it; no branch is taken twice, so that this ends on any file. */
function withBranches(graph: GraphMessage, known: ReadonlyMap<string, Branch>): NodeMessage[] {
  const branches = new Map(known);
  const done: NodeMessage[] = [];
  const open = [...graph.node].reverse();
  for (let node = open.pop(); node; node = open.pop()) {
    const made = node.output.find((name) => name !== '') ?? '';
    const branch = node.opType === 'If' ? branches.get(made) : undefined;
    if (!branch) {
      done.push(node);
      continue;
    }
    branches.delete(made);
    graph.initializer.push(...branch.initializers);
    for (let i = branch.nodes.length - 1; i >= 0; i--) open.push(branch.nodes[i] as NodeMessage);
  }
  return done;
}

/**
 * The model without functions of its own, and without an If whose condition is known when the model is read, be it a
 * constant or a shape. The file itself where it has neither. Throws {@link OnnxError} where functions have no end.
 */
export function expandOnnx(bytes: Uint8Array, options: ReadOptions = {}): Uint8Array {
  const message = onnxMessage('ModelProto');
  const decoded = message.decode(bytes);
  const model = decoded as unknown as ModelMessage;
  const { graph } = model;
  const controlled = graph?.node.some(({ opType }) => opType === 'If');
  if (!graph || (model.functions.length === 0 && !controlled)) return bytes;
  const names = namesOf(graph);
  inlineFunctions(model, graph, names);
  if (!graph.node.some(({ opType }) => opType === 'If')) return message.encode(decoded).finish();
  const unfolded = message.encode(decoded).finish();
  const branches = constantBranches(decodeModel(unfolded), options, names);
  if (branches.size === 0) return unfolded;
  graph.node = withBranches(graph, branches);
  return message.encode(decoded).finish();
}

import type { Shape } from '../tensor.js';
import { OnnxError } from './errors.js';
import { attributeTypes, onnxMessage } from './schema.js';

export interface Cut {
  /** The input of the model that is kept, and what it is called and shaped afterwards. */
  readonly input: { readonly tensor: string; readonly name: string; readonly shape: Shape };
  /** Tensors the part ends at, the batch their first axis; several, or one with `flatten`, become rows side by side. */
  readonly output: {
    readonly tensors: readonly string[];
    readonly name: string;
    readonly shape: Shape;
    readonly flatten?: boolean;
  };
}

interface NodeMessage {
  input: string[];
  output: string[];
  name?: string;
  opType?: string;
  attribute?: object[];
}

interface ModelMessage {
  irVersion?: unknown;
  graph?: {
    node: NodeMessage[];
    initializer: { name: string }[];
    input: object[];
    output: object[];
    valueInfo: object[];
  };
}

const tensorInfo = (name: string, shape: Shape): object => ({
  name,
  type: {
    tensorType: {
      elemType: 1,
      shape: { dim: shape.map((dim) => (typeof dim === 'number' ? { dimValue: dim } : { dimParam: dim })) },
    },
  },
});

/** Nodes that `wanted` needs, in the order of the file, and the names that they read. */
function reachable(
  nodes: readonly NodeMessage[],
  wanted: readonly string[],
): { kept: NodeMessage[]; read: Set<string> } {
  const makers = new Map(nodes.flatMap((node) => node.output.map((name) => [name, node] as const)));
  const kept = new Set<NodeMessage>();
  const read = new Set<string>(wanted);
  const open = [...wanted];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    const node = makers.get(name);
    if (!node || kept.has(node)) continue;
    kept.add(node);
    for (const input of node.input) read.add(input);
    open.push(...node.input);
  }
  return { kept: nodes.filter((node) => kept.has(node)), read };
}

/**
 * The part of a model (float32) between one of its inputs and inner tensors of it. Its nodes, attributes and
 * initializers are those of the file; only edges are renamed. Returns undefined where the model makes no such tensor,
 * as for values that exist in this project's graph alone.
 */
export function cutOnnx(bytes: Uint8Array, { input, output }: Cut): Uint8Array | undefined {
  const message = onnxMessage('ModelProto');
  const model = message.decode(bytes) as unknown as ModelMessage;
  const { graph } = model;
  if (!graph) throw new OnnxError('not an ONNX model: the file holds no graph');
  const { kept, read } = reachable(graph.node, output.tensors);
  const made = new Set([input.tensor, ...kept.flatMap((node) => node.output)]);
  if (!output.tensors.every((tensor) => made.has(tensor)) || !read.has(input.tensor)) return undefined;
  const [only] = output.tensors;
  const rows = output.tensors.length > 1 || output.flatten;
  if (only === undefined || (!rows && only === input.tensor)) return undefined;

  const renamed = new Map([[input.tensor, input.name]]);
  if (!rows) renamed.set(only, output.name);
  const taken = new Set([...made, ...read, ...graph.initializer.map(({ name }) => name)]);
  for (const name of [input.name, output.name]) {
    if (!taken.has(name) || renamed.has(name)) continue;
    let free = `${name}_1`;
    while (taken.has(free)) free = `${free}_1`;
    taken.add(free);
    renamed.set(name, free);
  }
  const rename = (name: string): string => renamed.get(name) ?? name;

  for (const node of kept) {
    node.input = node.input.map(rename);
    node.output = node.output.map(rename);
  }
  if (rows) {
    const axis = [{ name: 'axis', type: attributeTypes.int, i: 1 }];
    const names = output.tensors.map((_, i) => `${output.name}/${i}`);
    output.tensors.forEach((tensor, i) => {
      kept.push({ opType: 'Flatten', input: [rename(tensor)], output: [names[i] as string], attribute: axis });
    });
    kept.push({ opType: 'Concat', input: names, output: [output.name], attribute: axis });
  }
  graph.node = kept;
  graph.initializer = graph.initializer.filter(({ name }) => read.has(name));
  for (const tensor of graph.initializer) tensor.name = rename(tensor.name);
  graph.input = [tensorInfo(input.name, input.shape)];
  graph.output = [tensorInfo(output.name, output.shape)];
  graph.valueInfo = [];
  // Before IR 4 an initializer had to be an input too.
  model.irVersion = Math.max(4, Number(model.irVersion));
  return message.encode(model).finish();
}

import type { Shape } from '../tensor.js';
import { OnnxError } from './errors.js';
import { identity, renamedNode } from './expand/rename.js';
import { capturedNames, innerNames, innerTensors } from './inner-graphs.js';
import type { AttributeMessage, GraphMessage, ModelMessage, NodeMessage, TensorMessage } from './messages.js';
import { opsetOf, tensorInfo } from './rewriting.js';
import { attributeTypes, onnxMessage } from './schema.js';
import { checkStored, type ExternalReader, readExternal } from './tensors.js';

export interface Cut {
  /** The input of the model that is kept, and what it is called and shaped afterwards. */
  readonly input: { readonly tensor: string; readonly name: string; readonly shape: Shape };
  /** Tensors the part ends at, the batch their first axis; several, or one with `flatten`, become rows side by side. */
  readonly output: {
    readonly tensors: readonly string[];
    readonly name: string;
    readonly shape: Shape;
    readonly flatten?: boolean;
    /** Axes of each tensor over which its mean is taken, before it is flattened; none where absent or empty. */
    readonly means?: readonly (readonly number[])[];
  };
  /** Reads values that the model keeps in other files; they are then inside the part. */
  readonly external?: ExternalReader;
}

/** Nodes that `wanted` needs, in the order of the file, and the names that they and their inner graphs read. */
function reachable(
  nodes: readonly NodeMessage[],
  wanted: readonly string[],
): { kept: NodeMessage[]; read: Set<string>; captured: Set<string> } {
  const makers = new Map(nodes.flatMap((node) => node.output.map((name) => [name, node] as const)));
  const kept = new Set<NodeMessage>();
  const captured = new Set<string>();
  const read = new Set<string>(wanted);
  const open = [...wanted];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    const node = makers.get(name);
    if (!node || kept.has(node)) continue;
    kept.add(node);
    for (const other of innerNames(node)) captured.add(other);
    for (const input of [...node.input, ...capturedNames(node)]) {
      read.add(input);
      open.push(input);
    }
  }
  return { kept: nodes.filter((node) => kept.has(node)), read, captured };
}

/** Checks the tensors, takes in their values from other files, and refuses inner tensors that have theirs there. */
function embed(tensors: readonly TensorMessage[], nodes: readonly NodeMessage[], external?: ExternalReader): void {
  for (const tensor of tensors) {
    checkStored(tensor);
    if (tensor.dataLocation !== 1) continue;
    tensor.rawData = readExternal(tensor, external);
    tensor.externalData = [];
    tensor.dataLocation = 0;
  }
  for (const node of nodes) {
    for (const tensor of innerTensors(node)) {
      if (tensor.dataLocation !== 1) continue;
      const place = `${node.opType} "${node.name || node.output[0]}"`;
      throw new OnnxError(
        `${place}: tensor "${tensor.name}" inside it keeps its values in another file: not supported`,
      );
    }
  }
}

interface Part {
  readonly model: ModelMessage;
  readonly graph: GraphMessage;
  readonly kept: NodeMessage[];
  readonly read: ReadonlySet<string>;
  /** Names that inner graphs use. */
  readonly captured: ReadonlySet<string>;
  readonly encode: () => Uint8Array;
}

/** What of a model `tensors` need, as it stands in the file. */
function partOf(bytes: Uint8Array, tensors: readonly string[], external: ExternalReader | undefined): Part {
  const message = onnxMessage('ModelProto');
  const decoded = message.decode(bytes);
  const model = decoded as unknown as ModelMessage;
  const { graph } = model;
  if (!graph) throw new OnnxError('not an ONNX model: the file holds no graph');
  const { kept, read, captured } = reachable(graph.node, tensors);
  graph.initializer = graph.initializer.filter(({ name }) => read.has(name));
  const functions = model.functions.flatMap(({ node }) => node);
  embed(graph.initializer, [...kept, ...functions], external);
  graph.node = kept;
  graph.valueInfo = [];
  // Before IR 4 an initializer had to be an input too.
  model.irVersion = Math.max(4, Number(model.irVersion));
  return { model, graph, kept, read, captured, encode: () => message.encode(decoded).finish() };
}

const intAttribute = (name: string, i: number): AttributeMessage =>
  ({ name, type: attributeTypes.int, i }) as AttributeMessage;

/** The mean over `axes`, which are an attribute before operator set 18. */
function meanNode(part: Part, input: string, output: string, axes: readonly number[], free: (name: string) => string) {
  const node: NodeMessage = { opType: 'ReduceMean', input: [input], output: [output] };
  node.attribute = [intAttribute('keepdims', 0)];
  if (opsetOf(part.model) < 18) {
    node.attribute.push({ name: 'axes', type: attributeTypes.ints, ints: [...axes] } as AttributeMessage);
    return node;
  }
  const name = free(`${output}/axes`);
  const rawData = new Uint8Array(BigInt64Array.from(axes, BigInt).buffer);
  part.graph.initializer.push({ name, dims: [axes.length], dataType: 7, rawData } as unknown as TensorMessage);
  node.input.push(name);
  return node;
}

/**
 * The part of a model (float32) between one of its inputs and inner tensors of it. Its nodes, attributes and
 * initializers are those of the file; only edges are renamed. Returns undefined where the model makes no such tensor,
 * as for values that exist in this project's graph alone.
 */
export function cutOnnx(bytes: Uint8Array, { input, output, external }: Cut): Uint8Array | undefined {
  const part = partOf(bytes, output.tensors, external);
  const { graph, read, captured } = part;
  const made = new Set([input.tensor, ...part.kept.flatMap((node) => node.output)]);
  if (!output.tensors.every((tensor) => made.has(tensor)) || !read.has(input.tensor)) return undefined;
  const [only] = output.tensors;
  const rows = output.tensors.length > 1 || output.flatten;
  const meanOf = (place: number) => output.means?.[place] ?? [];
  const asMade = !rows && meanOf(0).length === 0;
  if (only === undefined || (asMade && only === input.tensor)) return undefined;

  const taken = new Set([...made, ...read, ...captured, ...graph.initializer.map(({ name }) => name)]);
  const free = (wanted: string): string => {
    let name = wanted;
    for (let suffix = 1; taken.has(name); suffix++) name = `${wanted}_${suffix}`;
    taken.add(name);
    return name;
  };
  const renamed = new Map<string, string>();
  const renames = [[input.tensor, input.name]];
  if (asMade) renames.push([only, output.name]);
  for (const [from = '', to = ''] of renames) if (!captured.has(from)) renamed.set(from, to);
  // Of what inner graphs use, only a name that stands in the way becomes another, in these too.
  const inside = new Map<string, string>();
  for (const [name, own] of [
    [input.name, input.tensor],
    [output.name, asMade ? only : undefined],
  ] as const) {
    if (!taken.has(name)) taken.add(name);
    else if (!renamed.has(name) && name !== own) (captured.has(name) ? inside : renamed).set(name, free(`${name}_1`));
  }
  const rename = (name: string): string => renamed.get(name) ?? inside.get(name) ?? name;
  const kept = part.kept.map((node) =>
    inside.size > 0 ? renamedNode(node, { rename: (name) => inside.get(name) ?? name }) : node,
  );
  for (const node of kept) {
    node.input = node.input.map(rename);
    node.output = node.output.map(rename);
  }
  for (const tensor of graph.initializer) tensor.name = rename(tensor.name);
  graph.node = kept;

  // What an inner graph reads keeps its name, beside the one that is given to it.
  if (rename(input.tensor) !== input.name) kept.unshift(identity(input.name, rename(input.tensor)));
  const tensors = output.tensors.map((tensor, place) => {
    const axes = meanOf(place);
    if (axes.length === 0) return rename(tensor);
    const mean = rows ? free(`${output.name}/mean`) : output.name;
    kept.push(meanNode(part, rename(tensor), mean, axes, free));
    return mean;
  });
  if (rows) {
    const axis = [intAttribute('axis', 1)];
    const names = tensors.map((_, i) => free(`${output.name}/${i}`));
    tensors.forEach((tensor, i) => {
      kept.push({ opType: 'Flatten', input: [tensor], output: [names[i] as string], attribute: axis });
    });
    kept.push({ opType: 'Concat', input: names, output: [output.name], attribute: axis });
  } else if (tensors[0] !== output.name) kept.push(identity(tensors[0] as string, output.name));
  graph.input = [tensorInfo(input.name, input.shape)];
  graph.output = [tensorInfo(output.name, output.shape)];
  return part.encode();
}

/**
 * The model up to inner tensors of it, which become its outputs under their own names. `inputShape` replaces the shape
 * that it declares for its input.
 */
export function exposeOnnx(
  bytes: Uint8Array,
  tensors: readonly string[],
  input: { readonly tensor: string; readonly shape: Shape },
  external?: ExternalReader,
): Uint8Array {
  const part = partOf(bytes, tensors, external);
  part.graph.input = part.read.has(input.tensor) ? [tensorInfo(input.tensor, input.shape)] : [];
  part.graph.output = tensors.map((name) => ({ name }));
  return part.encode();
}

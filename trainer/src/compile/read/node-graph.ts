import { type OnnxModel, type OnnxNode, type OnnxTensor, orderNodes, readsOf } from '@whet/compiler';

/** The nodes of a file and what they read, before anything of them is understood. */
export class NodeGraph {
  /** Each after those it reads. */
  readonly nodes: readonly OnnxNode[];
  readonly #makers = new Map<string, OnnxNode>();
  readonly #readers = new Map<string, OnnxNode[]>();
  readonly #initializers: ReadonlyMap<string, OnnxTensor>;

  constructor(
    readonly model: OnnxModel,
    /** Tensors that are wanted; the model's outputs when absent. */
    wanted?: readonly string[],
  ) {
    this.#initializers = new Map(model.initializers.map((tensor) => [tensor.name, tensor]));
    for (const node of model.nodes) for (const output of node.outputs) this.#makers.set(output, node);
    const needed = this.below(wanted ?? model.outputs.map(({ name }) => name));
    const ordered = orderNodes(
      model,
      [...needed].flatMap(({ outputs }) => outputs.slice(0, 1)),
    );
    this.nodes = ordered.filter((node) => needed.has(node));
  }

  /** The node that makes a tensor; undefined for inputs, initializers and what is not there. */
  maker(tensor: string): OnnxNode | undefined {
    return tensor === '' ? undefined : this.#makers.get(tensor);
  }

  /** The nodes that read a tensor. */
  readersOf(tensor: string): readonly OnnxNode[] {
    if (this.#readers.size === 0) {
      for (const node of this.nodes) {
        for (const name of new Set(this.readBy(node))) {
          const known = this.#readers.get(name);
          if (known) known.push(node);
          else this.#readers.set(name, [node]);
        }
      }
    }
    return this.#readers.get(tensor) ?? [];
  }

  initializer(name: string): OnnxTensor | undefined {
    return this.#initializers.get(name);
  }

  /** Tensors that a node reads, those that its inner graphs capture among them. */
  readBy(node: OnnxNode): string[] {
    return readsOf(node).filter((name) => name !== '');
  }

  /** The nodes that make `tensors`, and all that these need. */
  below(tensors: Iterable<string>): Set<OnnxNode> {
    const found = new Set<OnnxNode>();
    const open = [...tensors];
    for (let tensor = open.pop(); tensor !== undefined; tensor = open.pop()) {
      const node = this.maker(tensor);
      if (!node || found.has(node)) continue;
      found.add(node);
      open.push(...this.readBy(node));
    }
    return found;
  }

  /** The nodes that depend on `tensors`. */
  above(tensors: Iterable<string>): Set<OnnxNode> {
    const reached = new Set(tensors);
    const found = new Set<OnnxNode>();
    for (const node of this.nodes) {
      if (!readsOf(node).some((name) => reached.has(name))) continue;
      found.add(node);
      for (const output of node.outputs) if (output !== '') reached.add(output);
    }
    return found;
  }
}

/** Names of what the nodes of a file make, and of what they dequantize of that. */
export function tensorsOf({ nodes }: OnnxModel) {
  const outputsOf = (chosen: OnnxModel['nodes']) => new Set(chosen.flatMap(({ outputs }) => outputs));
  return {
    tensors: outputsOf(nodes),
    dequantized: outputsOf(nodes.filter(({ op }) => op === 'DequantizeLinear')),
  };
}

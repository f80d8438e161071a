import { type OnnxModel, type OnnxNode, orderNodes, readsOf } from '@whet/compiler';

/** The nodes of a file and what they read, before anything of them is understood. */
export class NodeGraph {
  /** Each after those it reads. */
  readonly nodes: readonly OnnxNode[];
  readonly #makers = new Map<string, OnnxNode>();

  constructor(
    readonly model: OnnxModel,
    /** Tensors that are wanted; the model's outputs when absent. */
    wanted?: readonly string[],
  ) {
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

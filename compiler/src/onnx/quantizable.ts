import type { Tensor } from '../tensor.js';
import type { GraphMessage, NodeMessage, TensorMessage } from './messages.js';
import { numberAttribute, type WeightRows } from './quantized-weights.js';
import { dataTypes } from './schema.js';
import { storedValues } from './tensors.js';

/** Layers of products that onnxruntime computes over bytes. */
const PRODUCTS = new Set(['Conv', 'Gemm', 'MatMul']);
/** Layers of products that have no kernel over bytes that is worth it. */
const OTHER_PRODUCTS = new Set(['ConvTranspose', 'LSTM', 'GRU', 'RNN', 'Einsum']);
/** They end a layer: the range of what they make is all that has to be held. */
const CLIPPINGS = new Set(['Relu', 'Clip']);
/** What they make has the range of what they read. */
const MOVES = new Set(['MaxPool', 'Reshape', 'Flatten', 'Transpose', 'Squeeze', 'Unsqueeze', 'Slice']);
/** They have kernels over bytes, where all that they read is bytes: no constant of float32 among it. */
const JOINS = new Set(['Add', 'Mul', 'Concat', 'AveragePool', 'GlobalAveragePool', 'Sigmoid', 'LeakyRelu']);

export interface ByteProduct {
  readonly node: NodeMessage;
  readonly weight: WeightRows;
  readonly bias: Tensor | undefined;
}

/** What of a model can be bytes: layers, and the tensors between them. */
export class Quantizable {
  readonly products = new Map<NodeMessage, ByteProduct>();
  readonly left: { readonly name: string; readonly op: string; readonly reason: string }[] = [];
  /** Tensors that become bytes, by those whose range they have. */
  readonly bytes = new Map<string, string>();
  private readonly constants: ReadonlyMap<string, TensorMessage>;
  private readonly readers = new Map<string, NodeMessage[]>();
  private readonly outputs: ReadonlySet<string>;

  constructor(
    readonly graph: GraphMessage,
    keep: ReadonlySet<string>,
  ) {
    this.constants = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]));
    this.outputs = new Set(graph.output.map(({ name }) => name));
    for (const node of graph.node) {
      for (const name of node.input) this.readers.set(name, [...(this.readers.get(name) ?? []), node]);
    }
    for (const node of graph.node) {
      const name = node.output[0] ?? '';
      if (keep.has(name)) continue;
      const product = this.productOf(node);
      if (typeof product === 'object') this.products.set(node, product);
      else if (product) this.left.push({ name, op: node.opType ?? '', reason: product });
    }
    this.mark();
  }

  /** The product of a node, why it stays in float32, or nothing where it is none. */
  private productOf(node: NodeMessage): ByteProduct | string | undefined {
    const { opType = '', input } = node;
    if (OTHER_PRODUCTS.has(opType)) return `${opType} has no kernel over bytes`;
    if (!PRODUCTS.has(opType)) return undefined;
    if (this.constants.has(input[0] ?? '')) return 'its weight stands first';
    const stored = this.constants.get(input[1] ?? '');
    if (!stored) return 'its weight is not constant';
    if (stored.dataType !== dataTypes.float32) return 'its weight is not float32';
    const bias = input[2] ? this.constants.get(input[2]) : undefined;
    if (input[2] && bias?.dataType !== dataTypes.float32) return 'its bias is not constant';
    const values = storedValues(stored);
    const attributes = numberAttribute(node);
    const { shape } = values;
    if (opType === 'Conv') {
      const [outputs = 0, inputs = 0] = shape;
      const alone = Number(attributes('group', 1)) === outputs && inputs === 1;
      const window = shape.slice(2).reduce((product, dim) => product * dim, 1);
      const sums = alone ? 'alone' : window === 1 ? 'neighbours' : 'any';
      return { node, weight: { values, axis: 0, sums }, bias: bias && storedValues(bias) };
    }
    if (shape.length !== 2) return `its weight is of ${shape.length} axes`;
    if (opType === 'MatMul') return { node, weight: { values, axis: 1, sums: 'neighbours' }, bias: undefined };
    const plain = attributes('alpha', 1) === 1 && attributes('beta', 1) === 1 && Number(attributes('transA', 0)) === 0;
    if (!plain) return 'it scales or turns what it reads';
    const axis = Number(attributes('transB', 0)) === 1 ? 0 : 1;
    const vector = bias && storedValues(bias);
    if (vector && vector.data.length !== shape[axis]) return 'its bias is not one number for each output';
    return { node, weight: { values, axis, sums: 'neighbours' }, bias: vector };
  }

  /** Where a layer ends: behind the clipping that alone reads what it makes. */
  private endOf(node: NodeMessage): string {
    const [made = ''] = node.output;
    const readers = this.readers.get(made) ?? [];
    const [reader] = readers;
    const clips =
      reader !== undefined &&
      readers.length === 1 &&
      !this.outputs.has(made) &&
      CLIPPINGS.has(reader.opType ?? '') &&
      reader.input.slice(1).every((name) => name === '' || this.constants.has(name));
    return clips ? (reader.output[0] ?? '') : made;
  }

  private activationsOf({ input }: NodeMessage): string[] {
    return input.filter((name) => name !== '' && !this.constants.has(name));
  }

  /** Finds the tensors that become bytes. */
  private mark(): void {
    const { node: nodes } = this.graph;
    // From the outputs down: whose bytes are read as bytes.
    const wanted = new Set<NodeMessage>(this.products.keys());
    for (const node of [...nodes].reverse()) {
      const op = node.opType ?? '';
      const joins = JOINS.has(op) && !node.input.some((name) => this.constants.has(name));
      if (!joins && !MOVES.has(op)) continue;
      const readers = this.readers.get(this.endOf(node)) ?? [];
      if (readers.some((reader) => wanted.has(reader))) wanted.add(node);
    }
    // From the images up: whose inputs are bytes.
    for (const node of nodes) {
      if (!wanted.has(node)) continue;
      const read = this.activationsOf(node);
      const product = this.products.get(node);
      if (product) {
        const [input = ''] = node.input;
        this.bytes.set(input, this.bytes.get(input) ?? input);
        // Products of matrices give float32 as they are; convolutions do not.
        if (node.opType !== 'Conv' && !this.isRead(this.endOf(node), wanted)) continue;
      } else if (!read.every((name) => this.bytes.has(name))) continue;
      const end = this.endOf(node);
      const moves = MOVES.has(node.opType ?? '');
      this.bytes.set(end, moves ? (this.bytes.get(read[0] as string) as string) : end);
    }
  }

  /** Which axis of an activation counts channels: the second of images, the last of rows. */
  channelAxis(name: string): number {
    const isImage = (this.readers.get(name) ?? []).some(({ opType }) => opType === 'Conv');
    return isImage ? 1 : -1;
  }

  private isRead(name: string, wanted: ReadonlySet<NodeMessage>): boolean {
    return (this.readers.get(name) ?? []).some((reader) => wanted.has(reader));
  }
}

import { freeName, identity } from './expand/rename.js';
import type { AttributeMessage, GraphMessage, ModelMessage, NodeMessage, TensorMessage } from './messages.js';
import { attributeTypes, onnxMessage } from './schema.js';

/** Where the batch is in a tensor: along `axis`, of what the file makes of one image; `added` in front of all of it. */
interface BatchPlace {
  readonly axis: number;
  readonly added: boolean;
}

type Sizes = readonly number[];

const product = (dims: Sizes): number => dims.reduce((a, b) => a * b, 1);
const reshaping = new Set(['Reshape', 'Flatten', 'Squeeze', 'Unsqueeze']);
/** Operators whose `axis` counts from the first of their input. */
const along = new Set([
  'Softmax',
  'LogSoftmax',
  'Hardmax',
  'Concat',
  'Gather',
  'Split',
  'LayerNormalization',
  'ArgMax',
]);

const attributeOf = ({ attribute }: NodeMessage, name: string): AttributeMessage | undefined =>
  attribute?.find((each) => each.name === name);
const intOf = (node: NodeMessage, name: string): number | undefined => {
  const found = attributeOf(node, name);
  return found && Number(found.i);
};
const intsOf = (node: NodeMessage, name: string): number[] | undefined => attributeOf(node, name)?.ints?.map(Number);

function setAttribute(node: NodeMessage, attribute: object): void {
  const given = attribute as AttributeMessage;
  node.attribute = [...(node.attribute ?? []).filter(({ name }) => name !== given.name), given];
}

/** A graph that was written for one image, while it is rewritten for any number. */
class AnyBatch {
  readonly nodes: NodeMessage[] = [];
  readonly #places = new Map<string, BatchPlace>();
  readonly #taken: Set<string>;

  constructor(
    readonly graph: GraphMessage,
    readonly sizes: ReadonlyMap<string, Sizes>,
    input: string,
  ) {
    const named = [...graph.input, ...graph.initializer, ...graph.output].map(({ name }) => name);
    this.#taken = new Set([...named, ...graph.node.flatMap(({ output }) => output)]);
    this.#places.set(input, { axis: 0, added: false });
  }

  #constant(wanted: string, values: readonly number[], dataType: 1 | 7): string {
    const name = freeName(wanted, this.#taken);
    const data = dataType === 7 ? BigInt64Array.from(values, BigInt) : Float32Array.from(values);
    const rawData = new Uint8Array(data.buffer);
    this.graph.initializer.push({ name, dims: [values.length], dataType, rawData } as unknown as TensorMessage);
    return name;
  }

  rewrite(node: NodeMessage): void {
    const tracked = node.input.filter((name) => this.#places.has(name));
    const [first] = tracked;
    if (first === undefined) {
      this.nodes.push(node);
      return;
    }
    const place = this.#places.get(first) as BatchPlace;
    // Sizes are of one image, which is what is computed of a shape.
    if (node.opType === 'Shape' || node.opType === 'Size') {
      this.nodes.push(node);
      return;
    }
    if (this.#takesTheOnly(node, first, place)) {
      const [output = ''] = node.output;
      this.nodes.push(identity(first, output));
      this.#places.set(output, { axis: 0, added: true });
      return;
    }
    if (reshaping.has(node.opType ?? '') && node.input[0] === first) this.#reshape(node, first, place);
    else this.#keep(node, tracked, first, place);
  }

  /** Whether a node takes the one image out of its batch, as `x[0]` does. */
  #takesTheOnly(node: NodeMessage, from: string, { axis, added }: BatchPlace): boolean {
    if (node.opType !== 'Gather' || node.input[0] !== from || added || axis !== 0) return false;
    const [before, after] = [this.sizes.get(from) ?? [], this.sizes.get(node.output[0] ?? '') ?? []];
    return (intOf(node, 'axis') ?? 0) === 0 && before[0] === 1 && after.length === before.length - 1;
  }

  /** Any of the operators that change nothing but the shape, as a Reshape that leaves the batch open. */
  #reshape(node: NodeMessage, from: string, { axis, added }: BatchPlace): void {
    const output = node.output[0] as string;
    const sizes = this.sizes.get(output);
    if (!sizes) throw new RangeError(output);
    const before = added ? 1 : product((this.sizes.get(from) ?? []).slice(0, axis));
    const fits = sizes.flatMap((_, at) => (product(sizes.slice(0, at)) === before ? [at] : []));
    const at = fits.find((place) => sizes[place] === 1) ?? fits[0];
    // One number an image has no axis of images any more: the batch is put in front of it.
    const front = before === 1 && (sizes.length === 0 || (sizes.length === 1 && sizes[0] !== 1));
    if (!front && at === undefined) throw new RangeError(output);
    const target = front ? [-1, ...sizes] : sizes.map((size, i) => (i === at ? -1 : size));
    const shape = this.#constant(`${output}/shape`, target, 7);
    this.nodes.push({ opType: 'Reshape', name: node.name || output, input: [from, shape], output: [output] });
    this.#places.set(output, { axis: front ? 0 : (at as number), added: front });
  }

  #keep(node: NodeMessage, tracked: readonly string[], first: string, place: BatchPlace): void {
    const { opType = '' } = node;
    const copy: NodeMessage = { ...node, attribute: [...(node.attribute ?? [])] };
    const axis = intOf(node, 'axis');
    if (place.added && axis !== undefined && axis >= 0 && along.has(opType)) {
      setAttribute(copy, { name: 'axis', type: attributeTypes.int, i: axis + 1 });
    }
    const perm = intsOf(node, 'perm');
    if (opType === 'Transpose' && place.added && perm) {
      setAttribute(copy, { name: 'perm', type: attributeTypes.ints, ints: [0, ...perm.map((at) => at + 1)] });
    }
    if (opType === 'Concat') copy.input = node.input.map((name) => this.#widened(name, tracked, first, place));
    if (opType === 'Resize' && node.input[3]) copy.input = this.#scaled(node, first);
    this.nodes.push(copy);
    for (const output of node.output) {
      if (output !== '') this.#places.set(output, { ...place, axis: this.#axisAfter(node, output, first, place) });
    }
  }

  /** Where the batch is in what a node makes. */
  #axisAfter(node: NodeMessage, output: string, first: string, { axis, added }: BatchPlace): number {
    const [from, to] = [this.sizes.get(first) ?? [], this.sizes.get(output) ?? []];
    if (added) return 0;
    const perm = intsOf(node, 'perm');
    if (node.opType === 'Transpose') return perm ? perm.indexOf(axis) : from.length - 1 - axis;
    if (to.length === from.length) return axis;
    if (node.opType === 'Gather') {
      const along = intOf(node, 'axis') ?? 0;
      return (along < 0 ? along + from.length : along) < axis ? axis + to.length - from.length : axis;
    }
    if (node.opType?.startsWith('Reduce') || node.opType?.startsWith('Arg')) {
      // Sizes before the batch that are gone are those of axes that were reduced.
      const reduced = intsOf(node, 'axes') ?? [intOf(node, 'axis') ?? from.length - 1];
      return axis - reduced.map((at) => (at < 0 ? at + from.length : at)).filter((at) => at < axis).length;
    }
    // Broadcasting aligns the last axes.
    return axis + to.length - from.length;
  }

  /** What is joined to something of each image, once for each. */
  #widened(name: string, tracked: readonly string[], like: string, { axis, added }: BatchPlace): string {
    if (name === '' || tracked.includes(name)) return name;
    const rank = (this.sizes.get(like) ?? []).length + (added ? 1 : 0);
    const at = added ? 0 : axis;
    const wide = freeName(`${name}/wide`, this.#taken);
    const part = (suffix: string) => freeName(`${wide}/${suffix}`, this.#taken);
    const [sizes, count, shape] = [part('sizes'), part('count'), part('shape')];
    const place = this.#constant(`${wide}/place`, [at], 7);
    const ones = (length: number) => (length > 0 ? [this.#constant(`${wide}/ones`, new Array(length).fill(1), 7)] : []);
    const list = [...ones(at), count, ...ones(rank - 1 - at)];
    const zero = { name: 'axis', type: attributeTypes.int, i: 0 } as AttributeMessage;
    this.nodes.push(
      { opType: 'Shape', name: sizes, input: [like], output: [sizes] },
      { opType: 'Gather', name: count, input: [sizes, place], output: [count], attribute: [zero] },
      { opType: 'Concat', name: shape, input: list, output: [shape], attribute: [zero] },
      { opType: 'Expand', name: wide, input: [name, shape], output: [wide] },
    );
    return wide;
  }

  /** Sizes of a Resize as scales, which hold for any batch. */
  #scaled(node: NodeMessage, from: string): string[] {
    const [before, after] = [this.sizes.get(from) ?? [], this.sizes.get(node.output[0] ?? '') ?? []];
    const scales = after.map((size, axis) => size / (before[axis] as number));
    return [from, node.input[1] ?? '', this.#constant(`${node.output[0]}/scales`, scales, 1)];
  }
}

/**
 * A model that was written for one image, for any number of them: shapes with a 1 for the batch, or without any, leave
 * it open, and constants that are joined to an image are joined to each. `sizes` are those of all that depends on the
 * input, for one image. It is a proposal, to be compared with the model by running both; undefined where there is none.
 */
export function anyBatch(
  bytes: Uint8Array,
  input: string,
  sizes: ReadonlyMap<string, readonly number[]>,
): Uint8Array | undefined {
  const message = onnxMessage('ModelProto');
  const decoded = message.decode(bytes);
  const { graph } = decoded as unknown as ModelMessage;
  if (!graph) return undefined;
  const rewriting = new AnyBatch(graph, sizes, input);
  try {
    for (const node of graph.node) rewriting.rewrite(node);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
  graph.node = rewriting.nodes;
  graph.valueInfo = [];
  graph.output = graph.output.map(({ name }) => ({ name }));
  for (const declared of graph.input) {
    if (declared.name !== input) continue;
    const [batch] =
      (declared as { type?: { tensorType?: { shape?: { dim?: object[] } } } }).type?.tensorType?.shape?.dim ?? [];
    if (batch) Object.assign(batch, { dimValue: undefined, dimParam: 'N' });
  }
  return message.encode(decoded).finish();
}

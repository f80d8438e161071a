import type { GraphBuilder } from '../../builder.js';
import type { Value } from '../../graph.js';
import type { OperatorName } from '../../operators/attributes.js';
import { operators } from '../../operators/table.js';
import type { Dim, Shape, Tensor } from '../../tensor.js';
import { formatShape, int64s, makeTensor, normalizeAxis, sameShape } from '../../tensor.js';
import type { OnnxAttribute, OnnxNode, OnnxTensor } from '../proto.js';

/** What is known of a small value before the graph runs: numbers, dimensions such as `N`, or nothing. */
export interface Known {
  readonly dtype: Tensor['dtype'];
  readonly shape: readonly number[];
  readonly items: readonly (Dim | undefined)[];
}

/** An ONNX value while its graph is read. */
export interface Slot {
  readonly name: string;
  /** Absent where it is lost, or where only `known` is known of it. */
  readonly value?: Value;
  readonly known?: Known;
  /** Why there is no `value`, to be reported if one is needed. */
  readonly problem?: Refusal;
  /** A problem that is reported already stands before it; `shape` where it is arithmetic on a lost value's shape. */
  readonly lost?: 'value' | 'shape';
  /** Why an initializer cannot be read; reported of the nodes that read it. */
  readonly unreadable?: string;
  /** TensorProto.DataType of an initializer, which its value has not where that is an integer. */
  readonly dataType?: number;
}

/** Stands for the output of a QuantizeLinear, of which only a DequantizeLinear makes something. */
export const QUANTIZED = 'int8';

/** Thrown by a reading: this node is not supported. Without a reason, its operator is not. */
export class Refusal extends Error {
  override readonly name = 'Refusal';

  constructor(
    readonly node: OnnxNode,
    readonly reason?: string,
  ) {
    super(reason ?? `${node.op} is not supported`);
  }
}

/** The size up to which values are followed element by element. */
const KNOWN_LIMIT = 1024;

export function knownOf(slot: Slot | undefined): Known | undefined {
  if (!slot) return undefined;
  const constant = slot.value?.constant;
  if (slot.known || !constant || constant.data.length > KNOWN_LIMIT) return slot.known;
  return { dtype: constant.dtype, shape: constant.shape, items: Array.from(constant.data) };
}

type Kinds = { [A in OnnxAttribute as A['kind']]: A['value'] };

/** A node that is being rewritten in the graph's own operators: typed access to what it says, and a way to build. */
export class NodeContext {
  readonly #read = new Set<string>();

  constructor(
    readonly g: GraphBuilder,
    readonly node: OnnxNode,
    readonly opset: number,
    readonly slots: readonly (Slot | undefined)[],
    /** A value one of whose axes has this symbol as its size. */
    readonly sourceOf: (symbol: string) => { readonly value: Value; readonly axis: number } | undefined,
  ) {}

  refuse(reason: string): never {
    throw new Refusal(this.node, reason);
  }

  /** The input at `position`; refuses the node where it is absent. */
  input(position: number): Value {
    return this.optional(position) ?? this.refuse(`input ${position} is missing`);
  }

  optional(position: number): Value | undefined {
    const slot = this.slots[position];
    if (!slot) return undefined;
    if (slot.value?.dtype === QUANTIZED && this.node.op !== 'DequantizeLinear') {
      return this.refuse(`computes with quantized values ("${slot.name}"), which has no gradient`);
    }
    if (slot.value) return slot.value;
    const { known } = slot;
    if (known?.items.every((item) => typeof item === 'number')) {
      return this.g.constant(makeTensor(known.shape, known.items as number[], known.dtype), slot.name);
    }
    throw slot.problem ?? new Refusal(this.node);
  }

  /** The elements of an optional input that is known before the graph runs, dimensions as symbols. */
  dims(position: number, what: string): (Dim | undefined)[] | undefined {
    const slot = this.slots[position];
    if (!slot) return undefined;
    const known = knownOf(slot);
    if (!known) return this.refuse(`expected ${what} to be known when the model is read, got "${slot.name}"`);
    return [...known.items];
  }

  /** The numbers of an optional input that is known before the graph runs. */
  numbers(position: number, what: string): number[] | undefined {
    const dims = this.dims(position, what);
    if (dims?.every((dim) => typeof dim === 'number')) return dims;
    return dims && this.refuse(`expected ${what} to be numbers, got [${dims.map((dim) => dim ?? '?').join(', ')}]`);
  }

  #attribute<K extends keyof Kinds>(kind: K, name: string): Kinds[K] | undefined {
    this.#read.add(name);
    const attribute = this.node.attributes.get(name);
    if (!attribute) return undefined;
    // An empty list of one kind cannot be told from an empty list of another.
    const empty = Array.isArray(attribute.value) && attribute.value.length === 0;
    if (attribute.kind !== kind && !empty) {
      this.refuse(`attribute ${name} is of type ${attribute.kind}, expected ${kind}`);
    }
    return attribute.value as Kinds[K];
  }

  int(name: string): number | undefined;
  int(name: string, otherwise: number): number;
  int(name: string, otherwise?: number): number | undefined {
    return this.#attribute('int', name) ?? otherwise;
  }

  float(name: string, otherwise: number): number {
    return this.#attribute('float', name) ?? otherwise;
  }

  flag(name: string, otherwise: 0 | 1): 0 | 1 {
    return this.int(name, otherwise) === 0 ? 0 : 1;
  }

  ints(name: string): readonly number[] | undefined {
    return this.#attribute('ints', name);
  }

  floats(name: string): readonly number[] | undefined {
    return this.#attribute('floats', name);
  }

  tensor(name: string): OnnxTensor | undefined {
    return this.#attribute('tensor', name);
  }

  /** One of the words an attribute may be; refuses the node where it is another. */
  word<W extends string>(name: string, words: readonly [W, ...W[]]): W {
    const word = this.#attribute('string', name) ?? words[0];
    return words.find((known) => known === word) ?? this.refuse(`${name} "${word}" is not supported`);
  }

  string(name: string, otherwise: string): string {
    return this.#attribute('string', name) ?? otherwise;
  }

  /** Accepts attributes that change nothing here. */
  ignore(...names: string[]): void {
    for (const name of names) this.#read.add(name);
  }

  /** Refuses the node where it has an attribute that its reading did not ask for. */
  expectAllRead(): void {
    const unread = [...this.node.attributes.keys()].filter((name) => !this.#read.has(name));
    if (unread.length > 0) this.refuse(`attribute ${unread.join(', ')} is not supported`);
  }

  /** Axes counted from the front of `rank`. */
  axes(axes: readonly number[], rank: number): number[] {
    return axes.map((axis) => normalizeAxis(axis, rank));
  }

  has(op: string): boolean {
    return Object.hasOwn(operators, op);
  }

  /** A node of the graph's own operators, named as `part` says. */
  emit(op: string, inputs: readonly (Value | undefined)[], attributes: object, part: Part = 0): Value {
    if (!this.has(op)) throw new Refusal(this.node, op === this.node.op ? undefined : `needs the operator ${op}`);
    return this.g.apply(op as OperatorName, inputs, attributes as never, this.#name(part));
  }

  integers(values: readonly number[], part: string): Value {
    return this.g.constant(int64s(values), this.#name(part));
  }

  scalar(value: number, part: string): Value {
    return this.g.constant(makeTensor([], [value]), this.#name(part));
  }

  #name(part: Part): string {
    if (typeof part === 'number') return this.node.outputs[part] || `${this.node.name}/${part}`;
    return `${this.#name(0)}/${part}`;
  }

  /** Reshapes: a symbol that stays in place is copied (0), one other dimension may be computed (-1). */
  reshape(value: Value, shape: Shape, part: Part = 0): Value {
    if (sameShape(value.shape, shape)) return value;
    const target = shape.map((dim, axis) => (typeof dim === 'number' ? dim : value.shape[axis] === dim ? 0 : -1));
    if (target.filter((dim) => dim === -1).length > 1) {
      this.refuse(`reshapes ${formatShape(value.shape)} to ${formatShape(shape)}: more than one symbol moves`);
    }
    return this.emit('Reshape', [value, this.integers(target, `${part || ''}/shape`)], {}, part);
  }

  /** `value[starts:ends:steps]` along `axes`, all numbers, steps positive. */
  slice(value: Value, axes: number[], starts: number[], ends: number[], steps: number[], part: Part = 0): Value {
    const lists = { starts, ends, axes, steps };
    const operands = Object.entries(lists).map(([name, list]) => this.integers(list, `${part || ''}/${name}`));
    return this.emit('Slice', [value, ...operands], {}, part);
  }

  /** `value` broadcast to `shape`; a symbol that `value` does not have in that place comes from an input that has it. */
  expand(value: Value, shape: Shape, part: Part = 0): Value {
    const own = (axis: number) => value.shape[axis - shape.length + value.shape.length];
    // Expanding goes both ways, so a 1 keeps what the value has.
    const target = shape.map((dim, axis) => (typeof dim === 'string' && own(axis) === dim ? 1 : dim));
    const symbols = target.flatMap((dim, axis) => (typeof dim === 'string' ? [{ dim, axis }] : []));
    const rest = target.map((dim) => (typeof dim === 'number' ? dim : 1));
    const last = symbols.pop();
    if (!last) return this.emit('Expand', [value, this.integers(rest, part ? `${part}/shape` : 'shape')], {}, part);
    let wide = value;
    if (rest.some((dim) => dim !== 1)) wide = this.emit('Expand', [value, this.integers(rest, 'rest')], {}, 'wide');
    for (const { dim, axis } of symbols) {
      wide = this.emit('Expand', [wide, this.#shapeWith(dim, axis, shape.length)], {}, `wide/${dim}`);
    }
    return this.emit('Expand', [wide, this.#shapeWith(last.dim, last.axis, shape.length)], {}, part);
  }

  /**
   * A shape of 1s with a symbol at `axis`, when the graph runs. The table's Expand takes the shape of a value, so one is
   * made: the first slice, along all other axes, of an input that has the symbol.
   */
  #shapeWith(symbol: string, axis: number, rank: number): Value {
    const source = this.sourceOf(symbol) ?? this.refuse(`expands to ${symbol}, which no input has as a dimension`);
    let thin = source.value;
    source.value.shape.forEach((_, other) => {
      if (other === source.axis) return;
      const first = this.integers([0], `${symbol}/first`);
      thin = this.emit('Gather', [thin, first], { axis: other }, `${symbol}/thin/${other}`);
    });
    const place = Array.from({ length: rank }, (_, at) => (at === axis ? symbol : 1));
    return this.emit('Shape', [this.reshape(thin, place, `${symbol}/like`)], {}, `${symbol}/shape`);
  }
}

/** Name of a value: the node's output of that number, or its first output's name with the text behind it. */
export type Part = number | string;

/** Rewrites a node; returns its outputs, in the order of the node's. */
export type ReadNode = (c: NodeContext) => Value | readonly Value[];

export interface Reading {
  readonly read: ReadNode;
  /** Operators of the table that the rewriting may need; any one being there will do. Default: the operator's own. */
  readonly needs?: readonly string[];
}

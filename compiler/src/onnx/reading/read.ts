import { GraphBuilder } from '../../builder.js';
import { FoldingBudget } from '../../folding-budget.js';
import type { Graph, Value } from '../../graph.js';
import { GraphError } from '../../graph.js';
import { operators } from '../../operators/table.js';
import type { Shape, Tensor } from '../../tensor.js';
import { formatShape, makeTensor } from '../../tensor.js';
import { formatProblems, OnnxError, type OnnxProblem } from '../errors.js';
import { type Branch, branchOf, readBranch } from '../expand/branches.js';
import { orderNodes, readsOf } from '../order.js';
import {
  decodeModel,
  firstOutput,
  type OnnxModel,
  type OnnxNode,
  type OnnxTensor,
  type OnnxValueInfo,
} from '../proto.js';
import { checkTensor, dataTypeName, decodeTensor, type ExternalReader, graphDType } from '../tensors.js';
import { cleanSymbol } from './dims.js';
import { foldReading } from './fold-reading.js';
import { followNode, isFollowed, isShape } from './known-values.js';
import { knownOf, NodeContext, QUANTIZED, Refusal, type Slot } from './node-context.js';
import { readings } from './table.js';

/** Operator sets that are read. */
export const READ_OPSETS = { oldest: 7, newest: 24 } as const;

/** Names of the operators that are read: those of the table, and others that are written in them. */
export const readableOperators = (): string[] => [...readings().keys()].sort();

export interface ReadOptions {
  /** Reads tensors that are kept beside the model; without it a model that has any is refused. */
  readonly external?: ExternalReader;
  /** Shapes of inputs, by name, in place of those that the model declares (same rank where it declares one). */
  readonly inputShapes?: Readonly<Record<string, Shape>>;
  /** Tensors of the model that become the graph's outputs, in place of the model's own. */
  readonly outputs?: readonly string[];
  /** Tensors that are inputs of the graph (float32, of this shape) or constants; what makes them is not read. */
  readonly given?: ReadonlyMap<string, Shape | Tensor>;
  /**
   * How activations that pass through QuantizeLinear and DequantizeLinear are read. `refuse`, the default: not at all.
   * `straight-through`: rounding is left out, clipping to what the quantized type can hold stays.
   */
  readonly quantization?: 'refuse' | 'straight-through';
}

/** Reads one model; holds the values that its nodes have made so far. */
class Reader {
  readonly #g = new GraphBuilder();
  readonly #slots = new Map<string, Slot>();
  readonly #problems: OnnxProblem[] = [];
  readonly #reported = new Set<string>();
  readonly #budget = new FoldingBudget();
  readonly #readings: ReturnType<typeof readings>;
  readonly #used = new Set<string>();
  readonly #sources = new Map<string, { value: Value; axis: number }>();

  /** What takes the place of an If, by the first output of that. */
  readonly branches = new Map<string, Branch>();

  constructor(
    readonly model: OnnxModel,
    readonly options: ReadOptions,
    /** Names that the file has, where branches of an If are to be read. */
    readonly names?: Set<string>,
  ) {
    this.#readings = readings(options.external, options.quantization === 'straight-through');
  }

  read(): Graph {
    const { model } = this;
    const given = this.options.given ?? new Map<string, Shape | Tensor>();
    const wanted = this.options.outputs ?? model.outputs.map(({ name }) => name);
    const nodes = orderNodes(model, wanted, new Set(given.keys()));
    for (const node of nodes) for (const input of readsOf(node)) this.#used.add(input);
    for (const name of wanted) this.#used.add(name);
    this.#readInitializers(this.model.initializers);
    const inputs = [...this.#readInputs(), ...this.#readGiven(given)];
    for (const node of nodes) this.#readNode(node);
    if (this.#problems.length > 0) this.#fail();
    const outputs = wanted.map((name) => [name, this.#outputOf(name)] as const);
    if (!this.options.inputShapes) this.#checkDeclared();
    return { name: model.name || 'model', inputs, outputs: new Map(outputs) };
  }

  #readInitializers(initializers: readonly OnnxTensor[]): void {
    for (const tensor of initializers) {
      if (!this.#used.has(tensor.name)) continue;
      const { name, dataType } = tensor;
      if (!graphDType(dataType)) {
        const unreadable = `reads "${name}", whose element type ${dataTypeName(dataType)} is not supported`;
        this.#slots.set(name, { name, unreadable });
        continue;
      }
      checkTensor(tensor);
      const value = this.#g.constant(decodeTensor(tensor, this.options.external), name);
      this.#slots.set(name, { name, value, dataType });
    }
  }

  #readGiven(given: ReadonlyMap<string, Shape | Tensor>): Value[] {
    const inputs: Value[] = [];
    for (const [name, what] of given) {
      const value = 'data' in what ? this.#g.constant(what, name) : this.#g.input(name, what);
      if (!value.constant) inputs.push(value);
      this.#slots.set(name, { name, value });
    }
    return inputs;
  }

  #readInputs(): Value[] {
    const initialized = new Set(this.model.initializers.map(({ name }) => name));
    const declared = this.model.inputs.filter(({ name }) => !initialized.has(name));
    const given = new Map(Object.entries(this.options.inputShapes ?? {}));
    const unknown = [...given.keys()].filter((name) => !declared.some((input) => input.name === name));
    if (unknown.length > 0) {
      const names = declared.map(({ name }) => `"${name}"`).join(', ');
      throw new OnnxError(`inputShapes names "${unknown.join('", "')}"; the model's inputs are ${names || 'none'}`);
    }
    return declared.map((input) => {
      const dtype = graphDType(input.dataType);
      if (!dtype) {
        const what = input.other ?? `of element type ${dataTypeName(input.dataType)}`;
        throw new OnnxError(`input "${input.name}" is ${what}: not supported`);
      }
      const value = this.#g.input(input.name, inputShape(input, given.get(input.name)), dtype);
      value.shape.forEach((dim, axis) => {
        if (typeof dim === 'string' && !this.#sources.has(dim)) this.#sources.set(dim, { value, axis });
      });
      this.#slots.set(input.name, { name: input.name, value });
      return value;
    });
  }

  #report(node: OnnxNode, reason?: string): void {
    const { op, domain, name } = node;
    const output = firstOutput(node);
    const key = JSON.stringify([output, reason]);
    if (this.#reported.has(key)) return;
    this.#reported.add(key);
    this.#problems.push({ op, domain, node: name, output, ...(reason === undefined ? {} : { reason }) });
  }

  /** Whether nothing that is known of a node's inputs could make it readable. */
  #isHopeless(node: OnnxNode, slots: readonly (Slot | undefined)[]): boolean {
    if (node.domain !== 'ai.onnx' || holdsGraph(node)) return true;
    const reading = this.#readings.get(node.op);
    const needs = reading?.needs ?? [node.op];
    if (reading && (needs.length === 0 || needs.some((op) => Object.hasOwn(operators, op)))) return false;
    return !isFollowed(node.op) || slots.some((slot) => slot?.lost === 'value');
  }

  /** Marks a node's outputs as lost to a problem that is reported, so that what reads them is not reported for it. */
  #lose(node: OnnxNode, slots: readonly (Slot | undefined)[]): void {
    const arithmetic = isFollowed(node.op) && (isShape(node.op) || !slots.some((slot) => slot?.lost === 'value'));
    for (const name of node.outputs) this.#slots.set(name, { name, lost: arithmetic ? 'shape' : 'value' });
  }

  #readNode(node: OnnxNode): void {
    const slots = node.inputs.map((name) => (name === '' ? undefined : (this.#slots.get(name) ?? lostSlot(name))));
    if (this.names && this.#readBranch(node, slots[0], this.names)) return;
    if (this.#isHopeless(node, slots)) {
      const own = functionReason(this.model, `${node.domain}:${node.op}`);
      this.#report(node, holdsGraph(node) ? 'holds a graph of its own, which is not supported' : own);
      this.#lose(node, slots);
      return;
    }
    const unreadable = slots.find((slot) => slot?.unreadable)?.unreadable;
    if (unreadable !== undefined) this.#report(node, unreadable);
    if (unreadable !== undefined || slots.some((slot) => slot?.lost)) {
      this.#lose(node, slots);
      return;
    }
    const c = new NodeContext(this.#g, node, this.model.opset, slots, (symbol) => this.#sources.get(symbol));
    try {
      this.#rewrite(c);
    } catch (error) {
      const refusal = refusalOf(error, node);
      this.#report(refusal.node, refusal.reason);
      this.#lose(node, slots);
    }
  }

  /** Reads the branch that an If takes in its place; false where that is not known. */
  #readBranch(node: OnnxNode, condition: Slot | undefined, names: Set<string>): boolean {
    if (node.op !== 'If' || node.domain !== 'ai.onnx') return false;
    const [taken, ...more] = knownOf(condition)?.items ?? [];
    if (typeof taken !== 'number' || more.length > 0) return false;
    const branch = branchOf(node, taken !== 0, names);
    if (!branch) return false;
    this.branches.set(firstOutput(node), branch);
    const { nodes, initializers } = readBranch(branch);
    for (const inner of nodes) for (const input of readsOf(inner)) this.#used.add(input);
    this.#readInitializers(initializers);
    for (const inner of nodes) this.#readNode(inner);
    return true;
  }

  #rewrite(c: NodeContext): void {
    const { node } = c;
    const [first = ''] = node.outputs;
    const known = followNode(c);
    if (known && known.dtype !== 'float32' && known.items.every((item) => typeof item === 'number')) {
      const value = this.#g.constant(makeTensor(known.shape, known.items as number[], known.dtype), first);
      this.#slots.set(first, { name: first, value });
      return;
    }
    const reading = this.#readings.get(node.op);
    let results: readonly Value[] = [];
    try {
      if (!reading) throw new Refusal(node);
      const result = reading.read(c);
      results = ('name' in result ? [result] : result).map((value) => foldReading(c, value, this.#budget));
      c.expectAllRead();
    } catch (error) {
      // Arithmetic on shapes need not be a part of the graph, as long as nothing reads it but what follows it.
      if (!known) throw error;
      this.#slots.set(first, { name: first, known, problem: refusalOf(error, node) });
      return;
    }
    node.outputs.forEach((name, i) => {
      const value = results[i];
      if (value) this.#slots.set(name, { name, value, ...(known && i === 0 ? { known } : {}) });
      else if (this.#used.has(name) && name !== '') c.refuse(`its output ${i} "${name}" is not supported`);
    });
  }

  #outputOf(name: string): Value {
    const slot = this.#slots.get(name);
    if (!slot) throw new OnnxError(`the model makes no tensor "${name}"`);
    if (slot.value && slot.value.dtype !== QUANTIZED) return slot.value;
    if (!slot.problem) throw new OnnxError(`output "${name}": ${slot.unreadable ?? 'its values are quantized'}`);
    this.#report(slot.problem.node, slot.problem.reason);
    return this.#fail();
  }

  #fail(): never {
    // The first axis is the batch, which is to stay a symbol.
    const symbols = [...this.#sources].flatMap(([symbol, { axis }]) => (axis > 0 ? [symbol] : []));
    const named = symbols.filter((symbol) => this.#problems.some(({ reason }) => reason?.includes(symbol)));
    const hint = named.length > 0 ? `\n  (give sizes for ${named.join(', ')} in inputShapes)` : '';
    throw new OnnxError(formatProblems(this.#problems, this.model.opset) + hint, { problems: this.#problems });
  }

  /** Compares with the shapes that the model declares for its outputs and inner values. */
  #checkDeclared(): void {
    for (const info of [...this.model.valueInfo, ...this.model.outputs]) {
      const value = this.#slots.get(info.name)?.value;
      if (!value || !info.shape) continue;
      const conflict =
        info.shape.length !== value.shape.length ||
        info.shape.some((dim, axis) => {
          const own = value.shape[axis];
          return typeof dim === 'number' && typeof own === 'number' && dim !== own;
        });
      if (!conflict) continue;
      const declared = formatShape(info.shape.map((dim) => dim ?? '?'));
      throw new OnnxError(`"${info.name}" is declared as ${declared}, its node makes ${formatShape(value.shape)}`);
    }
  }
}

/** Of a value that nothing made before it is read, as in a branch whose nodes stand in another order. */
const lostSlot = (name: string): Slot => ({ name, lost: 'value' });
const holdsGraph = (node: OnnxNode): boolean => [...node.attributes.values()].some(({ kind }) => kind === 'graph');

/** Why a function of the model was not put in the place of its call; undefined where it is none. */
function functionReason({ functions, opset }: OnnxModel, key: string): string | undefined {
  if (!functions.has(key)) return undefined;
  const version = functions.get(key);
  if (version === undefined || version === opset) return 'is a function of the model';
  return `is a function of the model by operator set ${version}, which uses ${opset} itself: export it by one of them`;
}

function refusalOf(error: unknown, node: OnnxNode): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof OnnxError) throw error;
  if (error instanceof GraphError) return new Refusal(node, error.message.replace(/^\w+ ".*?" on /s, 'on '));
  if (error instanceof Error) return new Refusal(node, error.message);
  throw error;
}

function inputShape(input: OnnxValueInfo, given: Shape | undefined): Shape {
  const declared = input.shape?.map((dim, axis) => {
    if (typeof dim === 'number') return dim;
    return cleanSymbol(dim ?? `${input.name}_${axis}`);
  });
  if (given && declared && given.length !== declared.length) {
    const shapes = `${formatShape(declared)}, inputShapes says ${formatShape(given)}`;
    throw new OnnxError(`input "${input.name}" is declared as ${shapes}`);
  }
  const shape = given ?? declared;
  if (!shape) throw new OnnxError(`input "${input.name}" has no declared shape; give one in inputShapes`);
  return shape;
}

/**
 * What takes the place of the Ifs of a model whose condition is known when it is read, by their first outputs; an If
 * inside a branch has its own. `names` are those that the file has; names of the branches are added.
 */
export function constantBranches(
  model: OnnxModel,
  options: ReadOptions,
  names: Set<string>,
): ReadonlyMap<string, Branch> {
  const reader = new Reader(model, options, names);
  try {
    reader.read();
  } catch (error) {
    // What else there is to say of the model is said when it is read for its graph.
    if (!(error instanceof OnnxError)) throw error;
  }
  return reader.branches;
}

/**
 * The graph of an ONNX model (operator sets 7 to 24), in the operators of the table. Values keep their names; half and
 * double precision become float32 and every integer type int64; Identity and Dropout are gone, Split is slices, and
 * arithmetic on shapes is worked out, dimensions without a number staying symbols. Throws {@link OnnxError} where the
 * file is malformed, or with everything in it that is not supported, at once.
 */
export function readOnnx(bytes: Uint8Array, options: ReadOptions = {}): Graph {
  const model = decodeModel(bytes);
  const { oldest, newest } = READ_OPSETS;
  if (model.opset < oldest || model.opset > newest) {
    const { opset } = model;
    throw new OnnxError(`the model uses operator set ${opset}; ${oldest} to ${newest} can be read`, { opset });
  }
  if (model.outputs.length === 0) throw new OnnxError('the graph has no outputs');
  return new Reader(model, options).read();
}

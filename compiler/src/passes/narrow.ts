import { GraphBuilder, inline } from '../builder.js';
import type { Graph, Node, Value } from '../graph.js';
import { nodesOf, readersOf } from '../graph.js';
import type { AxisAttributes } from '../operators/attributes.js';
import { normalizeAxis } from '../tensor.js';
import { applyNarrowed, type OperandAxes, operandAxes, products } from './narrow-rules.js';
import type { Pass } from './pass.js';

/** Slices of a value that are all that is read of it. */
interface Wanted {
  readonly axis: number;
  /** `[count]`, constant. */
  readonly indices: Value;
  readonly key: string;
}

/** The slices that a `Gather` takes of its operand: fewer than there are, each once. */
function gathered({ op, inputs, attributes }: Node): Wanted | undefined {
  const [data, indices] = inputs;
  if (op !== 'Gather' || !data || !indices?.constant || indices.shape.length !== 1) return undefined;
  const axis = normalizeAxis((attributes as AxisAttributes).axis, data.shape.length);
  const size = data.shape[axis];
  const list = Array.from(indices.constant.data);
  if (typeof size !== 'number' || list.length >= size || new Set(list).size < list.length) return undefined;
  return { axis, indices, key: `${axis}:${list.join()}` };
}

/** For each value what all of its readers want, where they want the same slices; from the outputs down. */
function wantedOf(graph: Graph, nodes: readonly Node[]): Map<Value, Wanted> {
  const wanted = new Map<Value, Wanted | 'whole'>();
  const want = (value: Value, slices: Wanted | undefined) => {
    const known = wanted.get(value);
    const same = slices && (known === undefined || (known !== 'whole' && known.key === slices.key));
    wanted.set(value, same ? slices : 'whole');
  };
  for (const output of graph.outputs.values()) want(output, undefined);
  for (const node of [...nodes].reverse()) {
    const own = wanted.get(node.output);
    const taken = own === 'whole' || own === undefined ? gathered(node) : undefined;
    const axes = own && own !== 'whole' ? operandAxes(node, own.axis) : undefined;
    node.inputs.forEach((input, position) => {
      if (!input) return;
      if (taken && position === 0) want(input, taken);
      else want(input, own && own !== 'whole' ? slicesAt(own, axes?.[position]) : undefined);
    });
  }
  return new Map([...wanted].flatMap(([value, slices]) => (slices === 'whole' ? [] : [[value, slices] as const])));
}

const slicesAt = ({ indices, key }: Wanted, axis: number | null | undefined): Wanted | undefined =>
  typeof axis === 'number' ? { axis, indices, key: key.replace(/^\d+/, `${axis}`) } : undefined;

/** Nodes that compute only the slices wanted: products, what reads what is narrowed already, and `others`. */
function narrowedNodes(
  nodes: readonly Node[],
  wanted: ReadonlyMap<Value, Wanted>,
  others: ReadonlySet<Value> = new Set(),
): Map<Value, OperandAxes> {
  const narrowed = new Map<Value, OperandAxes>();
  for (const node of nodes) {
    const own = wanted.get(node.output);
    const axes = own && operandAxes(node, own.axis);
    if (!axes) continue;
    const follows = node.inputs.some((input, i) => input && typeof axes[i] === 'number' && narrowed.has(input));
    if (products.has(node.op) || follows || others.has(node.output)) narrowed.set(node.output, axes);
  }
  return narrowed;
}

/** Elements of a value; a symbol, such as the number of images, counts once. */
const elementsOf = ({ shape }: Value): number =>
  shape.reduce<number>((product, dim) => product * (typeof dim === 'number' ? dim : 1), 1);

/** A run of connected nodes, none of them narrowed, of which the same slices are wanted. */
interface Run {
  /** Share of the slices that are wanted. */
  readonly share: number;
  readonly outputs: Set<Value>;
  /** What the run reads slices of. */
  readonly sources: Set<Value>;
}

function runsOf(
  nodes: readonly Node[],
  wanted: ReadonlyMap<Value, Wanted>,
  narrowed: ReadonlyMap<Value, OperandAxes>,
): Set<Run> {
  const runs = new Map<Value, Run>();
  for (const node of nodes) {
    const own = wanted.get(node.output);
    const axes = own && operandAxes(node, own.axis);
    if (!axes || narrowed.has(node.output)) continue;
    const share = (own.indices.shape[0] as number) / (node.output.shape[own.axis] as number);
    const sliced = node.inputs.filter((input, i): input is Value => input !== undefined && typeof axes[i] === 'number');
    const joined = new Set(sliced.flatMap((input) => runs.get(input) ?? []));
    // The smaller go into the largest: a long chain would else be copied at each of its nodes.
    const [run = { share, outputs: new Set<Value>(), sources: new Set<Value>() }, ...others] = [...joined].sort(
      (one, other) => other.outputs.size - one.outputs.size,
    );
    for (const other of others) {
      for (const output of other.outputs) {
        run.outputs.add(output);
        runs.set(output, run);
      }
      for (const source of other.sources) run.sources.add(source);
    }
    for (const input of sliced) if (!runs.has(input)) run.sources.add(input);
    run.outputs.add(node.output);
    runs.set(node.output, run);
  }
  return new Set(runs.values());
}

/** Outputs of runs that cost less on the slices wanted, what has to be gathered for them included. */
function worthwhile(
  nodes: readonly Node[],
  wanted: ReadonlyMap<Value, Wanted>,
  narrowed: ReadonlyMap<Value, OperandAxes>,
): Set<Value> {
  const readers = readersOf(nodes);
  const total = (values: Iterable<Value>) => [...values].reduce((sum, value) => sum + elementsOf(value), 0);
  const chosen = new Set<Value>();
  for (const { share, outputs, sources } of runsOf(nodes, wanted, narrowed)) {
    const read = [...outputs].filter((value) => readers.get(value)?.some((reader) => !outputs.has(reader)));
    const whole = total(outputs) + share * total(read);
    const part = share * (total(outputs) + total([...sources].filter(({ constant }) => !constant)));
    if (part < whole) for (const output of outputs) chosen.add(output);
  }
  return chosen;
}

/**
 * Computes only those slices of a value that are read of it: a `Gather` moves down to the operands of the products it
 * takes slices of, as of a convolution's weight gradient whose channels move in part. Everything between is narrowed
 * with it where nobody else reads it; what is read whole elsewhere is gathered where a narrowed node reads it. So is what
 * costs less in part than whole and then gathered.
 */
export const narrow: Pass = (graph: Graph) => {
  const nodes = nodesOf(graph.outputs.values());
  const wanted = wantedOf(graph, nodes);
  const following = narrowedNodes(nodes, wanted);
  const narrowed = narrowedNodes(nodes, wanted, worthwhile(nodes, wanted, following));
  if (narrowed.size === 0) return { graph, changed: false };
  const g = new GraphBuilder();
  const inputs = graph.inputs.map((input) => g.input(input.name, input.shape, input.dtype));
  const bindings = new Map(graph.inputs.map((input, i) => [input, inputs[i] as Value]));
  const slices = new Map<string, Value>();
  const outputs = inline(g, graph, bindings, (node, operands) => {
    const [source] = node.inputs;
    if (source && narrowed.has(source) && !narrowed.has(node.output) && gathered(node)) return operands[0];
    const axes = narrowed.get(node.output);
    const own = wanted.get(node.output);
    if (!axes || !own) return undefined;
    const parts = operands.map((operand, i) => {
      const axis = axes[i];
      const input = node.inputs[i];
      if (!operand || typeof axis !== 'number' || (input && narrowed.has(input))) return operand;
      const key = `${operand.index}/${axis}/${own.key.replace(/^\d+:/, '')}`;
      const indices = own.indices.constant;
      const part = slices.get(key) ?? (indices && g.apply('Gather', [operand, g.constant(indices)], { axis }));
      if (part) slices.set(key, part);
      return part;
    });
    return applyNarrowed(g, node, parts, own.axis, own.indices.shape[0] as number);
  });
  return { graph: { name: graph.name, inputs, outputs }, changed: true };
};

import type { Node, OperatorAttributes, Value } from '@whet/compiler';
import { chainBetween, type Link } from './feature-chain.js';

/** What a link is, as far as that tells whether one repeats another. Normalizations, activations and gates are none. */
export interface LinkKind {
  /**
   * `pointwise`, `depthwise`, `convolution`: a layer, or several of these side by side; `row`: a layer that reads one row an
   * image; `pool`: makes an image smaller, down to more than one place; `attention`: multiplies what it has made of images;
   * `gated`: multiplies branches with layers in each; `join`: adds or puts together branches with layers in them.
   */
  readonly name: string;
  /** Of a join, what stands in its longest branch. */
  readonly body: readonly string[];
}

const kind = (name: string, body: readonly string[] = []): LinkKind => ({ name, body });

/** The layer that a node is: a convolution or product with a weight that no image decides. */
function layerOf({ op, inputs, attributes }: Node): string | undefined {
  if (op === 'MatMul' || op === 'Gemm' || op === 'Einsum') {
    return inputs.slice(0, 2).some((input) => input?.constant) ? 'pointwise' : undefined;
  }
  const weight = inputs[1];
  if ((op !== 'Conv' && op !== 'ConvTranspose') || !weight?.constant) return undefined;
  const { group } = attributes as OperatorAttributes['Conv'];
  if (group > 1 && group === inputs[0]?.shape[1]) return 'depthwise';
  return weight.shape.slice(2).every((side) => side === 1) ? 'pointwise' : 'convolution';
}

const products = new Set(['MatMul', 'Gemm', 'Einsum']);
const joining = new Set(['Add', 'Sub', 'Sum', 'Mean', 'Max', 'Concat']);
const gating = new Set(['Mul', 'Div']);

/** Whether a value is more than one row an image; `[N*T, F]` are rows of places. */
const hasPlaces = (value: Value | undefined): boolean =>
  value !== undefined && !value.constant && (value.shape.length > 2 || value.shape[0] !== 'N');

function kindOfNode(node: Node): LinkKind | undefined {
  const { op, inputs, output } = node;
  const layer = layerOf(node);
  if (layer) return kind(inputs.some(hasPlaces) ? layer : 'row');
  if (products.has(op)) return kind('attention');
  const leavesPlaces = output.shape.slice(2).some((dim) => dim !== 1);
  return op === 'MaxPool' || (op === 'AveragePool' && leavesPlaces) ? kind('pool') : undefined;
}

/** The most layers on a path to each value of a link. */
function layersUpTo({ nodes }: Link): Map<Value, number> {
  const most = new Map<Value, number>();
  for (const node of nodes) {
    const below = node.inputs.reduce((sum, input) => Math.max(sum, (input && most.get(input)) ?? 0), 0);
    most.set(node.output, below + (layerOf(node) ? 1 : 0));
  }
  return most;
}

/** What stands in the longest branch of a join, in order: branches inside it lie flat, and turned axes count. */
function bodyOf(from: Value, branch: Value): string[] {
  return chainBetween([from], branch).flatMap((link) => {
    const inner = kindOfLink(link, true);
    if (!inner) return link.to.producer?.op === 'Transpose' ? ['transpose'] : [];
    return inner.name === 'join' ? inner.body : [inner.name];
  });
}

/** What a link is; undefined for what is no layer. `flat`: the body of a join is its layers, however they branch. */
export function kindOfLink(link: Link, flat = false): LinkKind | undefined {
  const { from, to, nodes } = link;
  const join = to.producer as Node;
  if (nodes.length === 1) return kindOfNode(join);
  const layers = nodes.flatMap((node) => layerOf(node) ?? []);
  if (layers.length === 0) return nodes.some(({ op }) => products.has(op)) ? kind('attention') : undefined;
  if (!from) return kind('other');
  const most = layersUpTo(link);
  const inside = new Set<Value>([from, ...most.keys()]);
  const branches = join.inputs.flatMap((input) => (input && inside.has(input) ? [input] : []));
  const lengths = branches.map((branch) => most.get(branch) ?? 0);
  const isBare = lengths.some((length) => length === 0);
  if (gating.has(join.op)) return isBare ? undefined : kind('gated');
  if (products.has(join.op)) return kind('attention');
  if (!joining.has(join.op)) return kind('other');
  // Layers side by side, as convolutions of several widths, are one layer.
  if (!isBare && lengths.every((length) => length === 1)) return kind([...new Set(layers)].sort().join('+'));
  if (flat) return kind('join', layers);
  const longest = branches.reduce((a, b) => ((most.get(b) ?? 0) > (most.get(a) ?? 0) ? b : a));
  return kind('join', bodyOf(from, longest));
}

import { copyInputs, GraphBuilder, inline } from '../builder.js';
import type { Graph, Node, Value } from '../graph.js';
import { nodesOf } from '../graph.js';
import type { ConvAttributes } from '../operators/attributes.js';
import { required } from '../operators/operator.js';
import { reshape } from '../operators/shape-helpers.js';
import type { Pass } from './pass.js';

/** What a node multiplies its input with and adds to it, per channel of `[N, C, H, W]`; `[C]` each. */
interface Affine {
  readonly factor?: Value;
  readonly offset?: Value;
}

/** As `[C]`, where a value holds one number for each of the channels of `[N, C, H, W]`. */
function perChannel(g: GraphBuilder, value: Value, channels: number): Value | undefined {
  const { shape } = value;
  const isChannel = (axis: number) => axis === shape.length - 3;
  if (shape.length < 3 || shape.length > 4 || !shape.every((dim, axis) => dim === (isChannel(axis) ? channels : 1))) {
    return undefined;
  }
  return reshape(g, value, [channels]);
}

/** The place of the convolution among the inputs of a node that may be folded into it. */
function convolutionOf(node: Node, inputs: readonly (Value | undefined)[]): number {
  const places = node.op === 'Mul' || node.op === 'Add' ? [0, 1] : [0];
  return places.find((place) => inputs[place]?.producer?.op === 'Conv') ?? -1;
}

function affineOf(
  g: GraphBuilder,
  node: Node,
  inputs: readonly (Value | undefined)[],
  place: number,
): Affine | undefined {
  const channels = inputs[place]?.shape[1];
  if (typeof channels !== 'number') return undefined;
  if (node.op === 'BatchNormalization') {
    const [scale, shift, mean, variance] = [1, 2, 3, 4].map((position) => required(inputs, position)) as Value[];
    const { epsilon } = node.attributes as { epsilon?: number };
    const spread = g.apply('Add', [variance, g.scalar(epsilon ?? 1e-5, variance?.dtype)], {});
    const factor = g.apply('Div', [scale, g.apply('Sqrt', [spread], {})], {});
    return { factor, offset: g.apply('Sub', [shift, g.apply('Mul', [mean, factor], {})], {}) };
  }
  const other = inputs[1 - place];
  const vector = other && perChannel(g, other, channels);
  if (!vector) return undefined;
  if (node.op === 'Mul') return { factor: vector };
  if (node.op === 'Add') return { offset: vector };
  return { offset: g.apply('Neg', [vector], {}) };
}

/** `conv(x, w) * factor + offset` as `conv(x, w * factor) + (b * factor + offset)` */
function foldInto(g: GraphBuilder, convolution: Node, { factor, offset }: Affine, name: string): Value {
  const [x, weight, bias] = convolution.inputs as readonly [Value, Value, Value | undefined];
  const scaled = factor ? g.apply('Mul', [weight, reshape(g, factor, [...factor.shape, 1, 1, 1])], {}) : weight;
  const kept = bias && factor ? g.apply('Mul', [bias, factor], {}) : bias;
  const shifted = kept && offset ? g.apply('Add', [kept, offset], {}) : (kept ?? offset);
  return g.apply('Conv', shifted ? [x, scaled, shifted] : [x, scaled], convolution.attributes as ConvAttributes, name);
}

const FOLDED = new Set(['Mul', 'Add', 'Sub', 'BatchNormalization']);

/**
 * Folds what scales and shifts the channels of a convolution, normalization with given moments above all, into its
 * weight and bias: two passes over the images less, and as many in the gradient. Left alone are a convolution that is
 * read elsewhere too, and a factor that depends on an input of `moving` where the weight does not: its gradient would
 * then cost a whole weight gradient. All inputs are taken to move when `moving` is absent.
 */
export function foldScales(moving?: ReadonlySet<string>): Pass {
  return (graph: Graph) => {
    const nodes = nodesOf(graph.outputs.values());
    const readers = new Map<Value, number>();
    const read = (value: Value | undefined) => value && readers.set(value, (readers.get(value) ?? 0) + 1);
    for (const node of nodes) for (const input of node.inputs) read(input);
    for (const output of graph.outputs.values()) read(output);
    const moves = new Set<Value>(graph.inputs.filter(({ name }) => moving?.has(name) ?? true));
    for (const node of nodes) if (node.inputs.some((input) => input && moves.has(input))) moves.add(node.output);

    const g = new GraphBuilder();
    const bindings = copyInputs(g, graph);
    /** Whether the weight of a convolution of the new graph moves. */
    const weightMoves = new Map<Value, boolean>();
    let changed = false;
    const outputs = inline(g, graph, bindings, (node, operands) => {
      if (node.op === 'Conv') {
        const copy = g.apply('Conv', operands, node.attributes as ConvAttributes, node.name);
        weightMoves.set(copy, moves.has(node.inputs[1] as Value));
        return copy;
      }
      const place = FOLDED.has(node.op) ? convolutionOf(node, operands) : -1;
      const convolved = operands[place];
      if (!convolved?.producer || readers.get(node.inputs[place] as Value) !== 1) return undefined;
      const scales = node.op === 'Mul' || node.op === 'BatchNormalization';
      const factorMoves = scales && node.inputs.some((input, i) => i !== place && input && moves.has(input));
      if (factorMoves && !weightMoves.get(convolved)) return undefined;
      const affine = affineOf(g, node, operands, place);
      if (!affine) return undefined;
      changed = true;
      const folded = foldInto(g, convolved.producer, affine, node.name);
      weightMoves.set(folded, weightMoves.get(convolved) ?? false);
      return folded;
    });
    return { graph: { name: graph.name, inputs: [...bindings.values()], outputs }, changed };
  };
}

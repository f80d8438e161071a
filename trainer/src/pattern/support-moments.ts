import {
  copyInputs,
  type Graph,
  GraphBuilder,
  inline,
  int64s,
  nodesOf,
  type OperatorAttributes,
  reshape,
  type Value,
} from '@whet/compiler';
import { momentNames } from '@whet/runtime/format';

/** A normalization of a network by moments of its own input: the support set's while it adapts, stored ones afterwards. */
export interface SupportNormalization {
  readonly name: string;
  readonly channels: number;
  /** What it normalizes, the channels its second axis. */
  readonly input: Value;
  /** Mean and biased variance of `input` per channel, e.g. `[1, C, 1, 1]`, computed in the graph. */
  readonly mean: Value;
  readonly variance: Value;
}

/** Least epsilon, for files that have 0: a channel without variance stays finite. */
export const LEAST_EPSILON = 1e-10;

/** Mean, deviation from it and biased variance per channel of `x [N, C, ...]`, keeping the rank. */
function channelMoments(g: GraphBuilder, x: Value) {
  const axes = g.constant(int64s(x.shape.map((_, axis) => axis).filter((axis) => axis !== 1)));
  const mean = g.apply('ReduceMean', [x, axes], { keepdims: 1 });
  const centered = g.apply('Sub', [x, mean], {});
  const variance = g.apply('ReduceMean', [g.apply('Mul', [centered, centered], {}), axes], { keepdims: 1 });
  return { mean, centered, variance };
}

/**
 * The same graph with every BatchNormalization taking the moments of the batch it is run on, in place of the file's
 * (MetaBN, Bronskill et al. 2020; as test-time adaptation: AdaBN, Li et al. 2017). A normalization is called as its
 * output tensor is.
 */
export function takeSupportMoments(graph: Graph): {
  readonly features: Graph;
  readonly normalizations: readonly SupportNormalization[];
} {
  const g = new GraphBuilder();
  const bindings = copyInputs(g, graph);
  const normalizations: SupportNormalization[] = [];
  const outputs = inline(g, graph, bindings, (node, operands) => {
    const [x, scale, shift] = operands as readonly Value[];
    if (node.op !== 'BatchNormalization' || !x || !scale || !shift || x.constant) return undefined;
    const { epsilon = 1e-5 } = node.attributes as OperatorAttributes['BatchNormalization'];
    const { name } = node.output;
    const channels = scale.shape[0] as number;
    const perChannel = (value: Value) => reshape(g, value, [channels, ...x.shape.slice(2).map(() => 1)]);
    const scaled = g.scope(name, () => {
      const { mean, centered, variance } = channelMoments(g, x);
      normalizations.push({ name, channels, input: x, mean, variance });
      const floored = g.apply('Add', [variance, g.scalar(Math.max(epsilon, LEAST_EPSILON))], {});
      const factor = g.apply('Div', [perChannel(scale), g.apply('Sqrt', [floored], {})], {});
      return [g.apply('Mul', [centered, factor], {}), perChannel(shift)];
    });
    return g.apply('Add', scaled, {}, name);
  });
  return { features: { name: graph.name, inputs: [...bindings.values()], outputs }, normalizations };
}

/** The moments that the file has for its BatchNormalizations, `[C]` each, by the names that a profile stores them under. */
export function momentsOfFile(graph: Graph): Map<string, Float32Array> {
  const moments = new Map<string, Float32Array>();
  for (const { op, inputs, output } of nodesOf(graph.outputs.values())) {
    if (op !== 'BatchNormalization') continue;
    const names = momentNames(output.name);
    moments.set(names.mean, Float32Array.from(inputs[3]?.constant?.data ?? []));
    moments.set(names.variance, Float32Array.from(inputs[4]?.constant?.data ?? []));
  }
  return moments;
}

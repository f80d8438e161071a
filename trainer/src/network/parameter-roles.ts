import type { Graph, Node, Value } from '@whet/compiler';
import type { ParameterSpec } from '@whet/models';

/** The axis of a parameter along which the output channels of the node that reads it lie. */
export function channelAxisOf(nodes: readonly Node[], parameter: Value): number {
  const reader = nodes.find(({ inputs }) => inputs.includes(parameter));
  const position = reader?.inputs.indexOf(parameter) ?? -1;
  const rank = parameter.shape.length;
  const { transA, transB } = (reader?.attributes ?? {}) as { transA?: 0 | 1; transB?: 0 | 1 };
  const isWeight = position === 0 || position === 1;
  if (reader?.op === 'Conv' && position === 1) return 0;
  if (reader?.op === 'ConvTranspose' && position === 1) return 1;
  if (reader?.op === 'MatMul' && isWeight) return Math.max(0, position === 1 ? rank - 1 : rank - 2);
  if (reader?.op === 'Gemm' && isWeight) return Number(position === 1 ? !transB : Boolean(transA));
  // What scales or shifts channels has one axis; of several, as of a position embedding, the last are the features.
  return Math.max(
    0,
    parameter.shape.findLastIndex((dim) => dim !== 1),
  );
}

/**
 * The same parameters, each in a layer of as many output channels as it has itself: masks per channel are shared by a
 * layer. What has others than the first of its layer, as a position embedding, is a layer of its own.
 */
export function layersOfChannels(parameters: readonly ParameterSpec[]): ParameterSpec[] {
  const channelsOf = ({ shape, channelAxis = 0 }: ParameterSpec) => shape[channelAxis] ?? 1;
  const known = new Map<string, number>();
  return parameters.map((spec) => {
    const channels = known.get(spec.layer) ?? channelsOf(spec);
    known.set(spec.layer, channels);
    return channels === channelsOf(spec) ? spec : { ...spec, layer: spec.name };
  });
}

/** Whether `added` holds one number a channel of `sum [N, C, ...]`. */
function isPerChannel(added: Value, sum: Value): boolean {
  const channelAxis = added.shape.length - sum.shape.length + 1;
  return added.shape.every((dim, axis) => dim === 1 || axis === channelAxis);
}

/** The parameters that are added to whole channels of what only a normalization reads. */
export function takenOutByMeans(
  graph: Graph,
  nodes: readonly Node[],
  isNormalization: (node: Node) => boolean,
): Set<Value> {
  const readers = new Map<Value, number>();
  for (const value of [...nodes.flatMap(({ inputs }) => inputs), ...graph.outputs.values()]) {
    if (value) readers.set(value, (readers.get(value) ?? 0) + 1);
  }
  const inputs = new Set(graph.inputs);
  const found = new Set<Value>();
  for (const node of nodes.filter(isNormalization)) {
    const sum = node.inputs[0] as Value;
    const maker = sum.producer;
    if (!maker || readers.get(sum) !== 1) continue;
    const added = maker.op === 'Add' ? maker.inputs : maker.inputs.slice(2, 3);
    if (!['Add', 'Conv', 'ConvTranspose', 'Gemm'].includes(maker.op)) continue;
    for (const value of added) {
      if (!value || !inputs.has(value) || readers.get(value) !== 1) continue;
      if (maker.op.startsWith('Conv') || isPerChannel(value, sum)) found.add(value);
    }
  }
  return found;
}

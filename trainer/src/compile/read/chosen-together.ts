import { type OnnxNode, readInnerGraph, readsOf } from '@whet/compiler';

/** What is known of a tensor's sizes alone. */
const sizing = new Set(['Shape', 'Size']);

/** Whether a node makes the sizes of what it reads. */
export const isSizing = (node: OnnxNode): boolean => node.domain === 'ai.onnx' && sizing.has(node.op);

const isOnnx = (node: OnnxNode, ...ops: readonly string[]): boolean =>
  node.domain === 'ai.onnx' && ops.includes(node.op);

/** `from`, and the tensors that nodes (each after those it reads) make of what is in them, not of how large they are alone. */
export function madeOfValues(nodes: readonly OnnxNode[], from: Iterable<string>): Set<string> {
  const values = new Set(from);
  for (const node of nodes) {
    if (isSizing(node)) continue;
    if (!readsOf(node).some((name) => values.has(name))) continue;
    for (const output of node.outputs) if (output !== '') values.add(output);
  }
  return values;
}

/**
 * The first If, Loop or Scan that goes one way for a whole batch and chooses it by what is in the images, be it inside another. Which way
 * it goes need not show on images that are tried. `values`: tensors that {@link madeOfValues} of the images.
 */
export function chosenTogether(nodes: readonly OnnxNode[], values: ReadonlySet<string>): OnnxNode | undefined {
  for (const node of nodes) {
    if (!readsOf(node).some((name) => values.has(name))) continue;
    const choosing = isOnnx(node, 'If') ? node.inputs.slice(0, 1) : isOnnx(node, 'Loop') ? node.inputs.slice(0, 2) : [];
    if (choosing.some((name) => values.has(name))) return node;
    for (const attribute of node.attributes.values()) {
      if (attribute.kind !== 'graph') continue;
      const inner = chosenInside(node, attribute.value, values);
      if (inner) return inner;
    }
  }
  return undefined;
}

function chosenInside(node: OnnxNode, graph: Uint8Array, values: ReadonlySet<string>): OnnxNode | undefined {
  const { nodes, inputs, outputs } = readInnerGraph(graph);
  // A Loop's body is given what it made the turn before, behind the turn's number and whether to go on; others what the node reads.
  const isLoop = isOnnx(node, 'Loop');
  const given = inputs.filter((_, i) => values.has(node.inputs[i] ?? ''));
  let made = madeOfValues(nodes, [...values, ...given]);
  const carried = () => inputs.filter((name, i) => i >= 2 && !made.has(name) && made.has(outputs[i - 1] ?? ''));
  for (let more = carried(); isLoop && more.length > 0; more = carried()) {
    made = madeOfValues(nodes, [...made, ...more]);
  }
  if (isLoop && made.has(outputs[0] ?? '')) return node;
  return chosenTogether(nodes, made);
}

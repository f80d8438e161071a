import { copyInputs, GraphBuilder, inline } from '../builder.js';
import type { Node, Value } from '../graph.js';
import { constantsOf } from '../graph.js';
import type { Tensor } from '../tensor.js';
import { sameShape } from '../tensor.js';
import type { Pass } from './pass.js';

/** A hash of a constant's type and values; equal constants have equal hashes. */
function hashOf({ dtype, shape, data }: Tensor): string {
  let hash = 0x811c9dc5;
  const bits = new DataView(new ArrayBuffer(8));
  for (let i = 0; i < data.length; i++) {
    bits.setFloat64(0, data[i] as number);
    hash = Math.imul(hash ^ bits.getUint32(0), 0x01000193);
    hash = Math.imul(hash ^ bits.getUint32(4), 0x01000193);
  }
  return `${dtype}[${shape.join()}]${hash}`;
}

/** Equal to the bit: 0 is not -0 (their reciprocals differ), and NaN is NaN. */
function sameTensor(a: Tensor, b: Tensor): boolean {
  if (a.dtype !== b.dtype || !sameShape(a.shape, b.shape)) return false;
  for (let i = 0; i < a.data.length; i++) if (!Object.is(a.data[i], b.data[i])) return false;
  return true;
}

/** For each constant the first of its content. */
function firstOfContent(constants: readonly Value[]): Map<Value, Value> {
  const buckets = new Map<string, Value[]>();
  const first = new Map<Value, Value>();
  for (const value of constants) {
    const tensor = value.constant as Tensor;
    const key = hashOf(tensor);
    const bucket = buckets.get(key) ?? [];
    const same = bucket.find((other) => sameTensor(other.constant as Tensor, tensor));
    if (!same) buckets.set(key, [...bucket, value]);
    first.set(value, same ?? value);
  }
  return first;
}

/** An attribute as text; lists and tensors by their content, in the order of the attributes' names. */
function attributesKey(attributes: Node['attributes']): string {
  const entries = Object.entries(attributes).filter(([, value]) => value !== undefined);
  return JSON.stringify(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * Merges nodes that apply one operator with equal attributes to the same values, and constants of equal content; the
 * first keeps its name. Run it when what is to be trained has become inputs: two parameters that merely start equal
 * (zero biases) would be merged as constants.
 */
export const mergeCommonSubexpressions: Pass = (graph) => {
  const g = new GraphBuilder();
  let changed = false;
  const bindings = copyInputs(g, graph);
  const inputs = [...bindings.values()];
  for (const [value, first] of firstOfContent(constantsOf(graph))) {
    if (value !== first) changed = true;
    const copy = bindings.get(first) ?? g.constant(first.constant as Tensor, first.name);
    bindings.set(first, copy).set(value, copy);
  }
  const seen = new Map<string, Value>();
  const outputs = inline(g, graph, bindings, (node, operands) => {
    const key = `${node.op}(${operands.map((operand) => operand?.index ?? '-').join()})${attributesKey(node.attributes)}`;
    const same = seen.get(key);
    if (same) {
      changed = true;
      return same;
    }
    const copy = g.apply(node.op, operands, node.attributes, node.name);
    seen.set(key, copy);
    return copy;
  });
  return { graph: { name: graph.name, inputs, outputs }, changed };
};

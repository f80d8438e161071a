import { OnnxError } from './errors.js';
import type { OnnxModel, OnnxNode } from './proto.js';

/** Values that a node reads, those that the graphs inside it read among them. */
export const readsOf = ({ inputs, captured }: OnnxNode): readonly string[] =>
  captured.size > 0 ? [...inputs, ...captured] : inputs;

/** The node that makes each value; throws where two things of the graph have one name. */
function producersOf(model: OnnxModel): Map<string, OnnxNode> {
  const given = new Map<string, string>();
  for (const { name } of model.inputs) {
    if (given.has(name)) throw new OnnxError(`two graph inputs are named "${name}"`);
    given.set(name, 'a graph input');
  }
  const initializers = new Set<string>();
  for (const { name } of model.initializers) {
    // Before IR version 4 every initializer had to be a graph input as well; later it may be, as a default.
    if (initializers.has(name)) throw new OnnxError(`two initializers are named "${name}"`);
    initializers.add(name);
    given.set(name, 'an initializer');
  }
  const producers = new Map<string, OnnxNode>();
  for (const node of model.nodes) {
    for (const output of node.outputs) {
      if (output === '') continue;
      const other = producers.get(output);
      const also = other ? `the output of ${other.op} "${other.name}"` : given.get(output);
      if (also) throw new OnnxError(`two values are named "${output}": ${also} and of ${node.op} "${node.name}"`);
      producers.set(output, node);
    }
  }
  const missing: string[] = [];
  for (const node of model.nodes) {
    for (const input of readsOf(node)) {
      if (input === '' || given.has(input) || producers.has(input)) continue;
      missing.push(`"${input}", read by ${node.op} "${node.name}"`);
    }
  }
  for (const { name } of model.outputs) {
    if (!given.has(name) && !producers.has(name)) missing.push(`"${name}", a graph output`);
  }
  if (missing.length > 0) {
    throw new OnnxError(`values that nothing makes (no node, input or initializer): ${missing.join('; ')}`);
  }
  return producers;
}

/**
 * Nodes that `wanted` (the outputs, when absent) needs, each after those it reads, whatever the file's order; what
 * makes the values of `given` is not among them. Throws {@link OnnxError} naming values that two things make or nothing
 * makes, and the nodes of a cycle (also of one that is not needed).
 */
export function orderNodes(
  model: OnnxModel,
  wanted: readonly string[] = model.outputs.map(({ name }) => name),
  given: ReadonlySet<string> = new Set(),
): OnnxNode[] {
  const producers = producersOf(model);
  // The whole file has to be sound, whatever of it is read.
  if (given.size > 0) orderNodes(model);
  for (const name of given) producers.delete(name);
  const state = new Map<OnnxNode, 'open' | 'done'>();
  const order: OnnxNode[] = [];
  const visit = (start: OnnxNode) => {
    const opened = (node: OnnxNode) => ({ node, reads: readsOf(node), next: 0 });
    const stack = [opened(start)];
    while (stack.length > 0) {
      const top = stack[stack.length - 1] as ReturnType<typeof opened>;
      if (top.next === 0) state.set(top.node, 'open');
      const input = top.reads[top.next++];
      if (input === undefined) {
        state.set(top.node, 'done');
        order.push(top.node);
        stack.pop();
        continue;
      }
      const producer = producers.get(input);
      if (!producer) continue;
      const seen = state.get(producer);
      if (!seen) stack.push(opened(producer));
      if (seen === 'open') {
        const cycle = stack.slice(stack.findIndex(({ node }) => node === producer)).map(({ node }) => node);
        const path = [...cycle, producer].map(({ op, name }) => `${op} "${name}"`).join(' <- ');
        throw new OnnxError(`the graph has a cycle: ${path}`);
      }
    }
  };
  for (const name of wanted) {
    const producer = producers.get(name);
    if (producer && !state.has(producer)) visit(producer);
  }
  const needed = order.length;
  for (const node of model.nodes) if (!state.has(node)) visit(node);
  return order.slice(0, needed);
}

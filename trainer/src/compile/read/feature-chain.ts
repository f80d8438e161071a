import { type Node, nodesOf, type Value } from '@whet/compiler';

/** What stands between two values through which all of an image goes: one node, or branches and the node that joins them. */
export interface Link {
  /** Where it begins; undefined where that is several values, as those that unread nodes hand on. */
  readonly from: Value | undefined;
  readonly to: Value;
  /** In the order of the graph. */
  readonly nodes: readonly Node[];
}

/** They read how large something is, not what it holds. */
const measuring = new Set(['Shape', 'Size']);

/** Nodes through which what `sources` hold comes to `end`, in the order of the graph. */
function flowBetween(sources: readonly Value[], end: Value): Node[] {
  const carried = new Set<Value>(sources);
  const ahead = nodesOf([end], sources).filter(({ op, inputs, output }) => {
    const carries = !measuring.has(op) && inputs.some((input) => input && carried.has(input));
    if (carries) carried.add(output);
    return carries;
  });
  const needed = new Set([end]);
  const flow = ahead.reverse().filter(({ inputs, output }) => {
    if (!needed.has(output)) return false;
    for (const input of inputs) if (input && carried.has(input)) needed.add(input);
    return true;
  });
  return flow.reverse();
}

/**
 * A network from `sources` to `end` as a chain. Its links meet at the values that every path goes through: those that no
 * edge passes by, in whatever order the nodes are.
 */
export function chainBetween(sources: readonly Value[], end: Value): Link[] {
  const flow = flowBetween(sources, end);
  const lastReader = new Map<Value, number>();
  for (const [i, { inputs }] of flow.entries()) for (const input of inputs) if (input) lastReader.set(input, i);
  const links: Link[] = [];
  let [from] = sources.length === 1 ? sources : [];
  let nodes: Node[] = [];
  let furthest = Math.max(-1, ...sources.map((source) => lastReader.get(source) ?? -1));
  for (const [i, node] of flow.entries()) {
    nodes.push(node);
    if (furthest <= i) {
      links.push({ from, to: node.output, nodes });
      from = node.output;
      nodes = [];
    }
    furthest = Math.max(furthest, lastReader.get(node.output) ?? -1);
  }
  return links;
}

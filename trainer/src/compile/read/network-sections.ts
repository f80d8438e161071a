import { type Graph, GraphBuilder, graphCost, inline, type Node, nodesOf, type Value } from '@whet/compiler';
import { chainBetween, type Link } from './feature-chain.js';
import { kindOfLink, type LinkKind } from './link-kinds.js';
import type { ModelParameter } from './model-parameters.js';
import { repeatingUnits, type Span } from './repeating-units.js';

/** A part of a network that all of an image goes into and comes out of: one of its blocks, or what stands beside these. */
export interface Section {
  /** Which block it is, the last one below the head being 1; undefined for what is none. */
  readonly block: number | undefined;
  /** What it makes. */
  readonly output: Value;
  /** From the image upward, those that cannot move among them. */
  readonly parameters: readonly ModelParameter[];
  /** Of one image. */
  readonly multiplyAdds: number;
}

/** What a normalization follows without belonging to it. */
const opening = new Set(['join', 'pool']);

/** Links by the span that they stand in: what is no layer belongs to the layer that it follows, else to what it leads to. */
function spansOfLinks(kinds: readonly (LinkKind | undefined)[], spans: readonly Span[]): (Span | undefined)[] {
  const found: (Span | undefined)[] = kinds.map(() => undefined);
  for (const span of spans) found.fill(span, span.first, span.last + 1);
  let above: Span | undefined;
  for (let i = kinds.length - 1; i >= 0; i--) {
    if (kinds[i]) above = found[i];
    else found[i] = above;
  }
  let followed: Span | undefined | 'none' = 'none';
  for (const [i, kind] of kinds.entries()) {
    if (kind) followed = opening.has(kind.name) ? 'none' : found[i];
    else if (followed !== 'none') found[i] = followed;
  }
  return found;
}

/** What a part of a graph costs to run for one image. */
function multiplyAddsOf(graph: Graph, links: readonly Link[]): number {
  const g = new GraphBuilder();
  const from = links[0]?.from;
  // Sizes may still be read from the images.
  const given = [...new Set(from ? [from, ...graph.inputs] : graph.inputs)];
  const inputs = given.map(({ name, shape, dtype }) => g.input(name, shape, dtype));
  const bindings = new Map(given.map((value, i) => [value, inputs[i] as Value]));
  const outputs = inline(g, { ...graph, outputs: new Map([['to', (links.at(-1) as Link).to]]) }, bindings);
  return graphCost({ name: 'section', inputs, outputs }, { N: 1 }).multiplyAdds;
}

/** Which group of links each node stands in: of what no image decides, the lowest that it is read in. */
function groupsOfNodes(graph: Graph, groups: readonly (readonly Link[])[]): Map<Node, number> {
  const found = new Map<Node, number>();
  for (const [i, links] of groups.entries())
    for (const { nodes } of links) for (const node of nodes) found.set(node, i);
  const lowest = new Map<Value, number>();
  for (const node of nodesOf(graph.outputs.values()).reverse()) {
    const group = found.get(node) ?? lowest.get(node.output) ?? groups.length - 1;
    found.set(node, group);
    for (const input of node.inputs) {
      if (input) lowest.set(input, Math.min(group, lowest.get(input) ?? group));
    }
  }
  return found;
}

/** Parameters by the group of the lowest node that reads them; those of no node of the graph are below all. */
function parametersIn(
  graph: Graph,
  groups: readonly (readonly Link[])[],
  parameters: readonly ModelParameter[],
): ModelParameter[][] {
  const groupOf = new Map<Value, number>();
  for (const [node, group] of groupsOfNodes(graph, groups)) {
    for (const input of node.inputs) {
      if (input) groupOf.set(input, Math.min(group, groupOf.get(input) ?? group));
    }
  }
  const found = groups.map((): ModelParameter[] => []);
  for (const parameter of parameters) found[groupOf.get(parameter.value) ?? 0]?.push(parameter);
  return found;
}

/**
 * A network of one output as its blocks and what stands below, between and above them, from the image upward: what is found
 * in how its nodes are joined, not in names. A parameter that several nodes read is where it is read first.
 *
 * Where all that an image becomes goes through one value, a block may begin or end. Between two such values, branches with
 * layers in them that are added or concatenated are a block: residual, dense, inception, shuffle. Gates that multiply, as
 * squeeze-and-excitation, are not. So are layers in a row beside such a block that are its layers, pointwise, depthwise or other,
 * without the join: MBConv at a stride; below the first join, which may leave out their first. A join of nothing but products (a
 * feed-forward part) is of the block below it, and where kinds take turns, as a layer and the join that reads it or attention and the joins
 * that follow, a block is one turn of each. In a network without joins a block is layers of different kinds that take turns, or
 * else all up to a pooling. A network of fewer than two blocks has none.
 */
export function sectionsOf(graph: Graph, parameters: readonly ModelParameter[]): Section[] {
  const [end] = graph.outputs.values();
  const links = chainBetween(graph.inputs, end as Value);
  const kinds = links.map((link) => kindOfLink(link));
  const units = repeatingUnits(kinds);
  const numberOf = new Map(units.map((unit, i) => [unit, units.length - i]));
  const spans = spansOfLinks(kinds, units);
  const groups: Link[][] = [];
  const numbers: (number | undefined)[] = [];
  for (const [i, link] of links.entries()) {
    const span = spans[i];
    if (i > 0 && span === spans[i - 1]) groups.at(-1)?.push(link);
    else {
      groups.push([link]);
      numbers.push(span && numberOf.get(span));
    }
  }
  const inGroups = parametersIn(graph, groups, parameters);
  return groups.map((group, i) => ({
    block: numbers[i],
    output: (group.at(-1) as Link).to,
    parameters: inGroups[i] ?? [],
    multiplyAdds: multiplyAddsOf(graph, group),
  }));
}

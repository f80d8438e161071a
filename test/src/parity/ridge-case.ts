import { readFileSync } from 'node:fs';
import { type Graph, GraphBuilder, makeTensor, type Tensor } from '@whet/compiler';
import { ridgeHeads } from '@whet/models';

interface Reference {
  readonly features: number[][];
  readonly labels: number[];
  readonly supports: number[][];
  readonly heads: { readonly weight: number[][]; readonly bias: number[]; readonly outputs: number[][] }[];
}

const place = new URL('../../reference/ridge.json', import.meta.url);
const { features, labels, supports, heads } = JSON.parse(readFileSync(place, 'utf8')) as Reference;
const [count, length, ways] = [labels.length, features[0]?.length as number, 3];

/** Heads in closed form, of numpy's least squares in float64: the graph, what it is fed, and what it has to give. */
export function ridgeCase(): { graph: Graph; feeds: Map<string, Tensor>; wanted: Record<string, number[]> } {
  const g = new GraphBuilder();
  const z = g.input('features', ['N', length]);
  const y = g.input('labels', ['N', 'W']);
  const support = g.input('support', ['K', 'N', 1]);
  const outputs = new Map(Object.entries(ridgeHeads(g, z, y, support)));
  const oneHot = labels.flatMap((label) => Array.from({ length: ways }, (_, way) => Number(way === label)));
  return {
    graph: { name: 'ridge', inputs: [z, y, support], outputs },
    feeds: new Map([
      ['features', makeTensor([count, length], Float64Array.from(features.flat()))],
      ['labels', makeTensor([count, ways], Float64Array.from(oneHot))],
      ['support', makeTensor([supports.length, count, 1], Float64Array.from(supports.flat()))],
    ]),
    wanted: Object.fromEntries(
      (['weight', 'bias', 'outputs'] as const).map((name) => [
        name,
        heads.flatMap((head) => (head[name] as (number | number[])[]).flat()),
      ]),
    ),
  };
}

import { firstOutput, type OnnxNode } from '@whet/compiler';
import type { NodeGraph } from './node-graph.js';

/** What may stand between a last layer and an output. */
const behindLayers = new Set([
  ...['Identity', 'Dropout', 'Cast', 'Reshape', 'Flatten', 'Squeeze', 'Unsqueeze', 'Add', 'Sub', 'Mul', 'Div', 'Clip'],
  ...['Softmax', 'LogSoftmax', 'Sigmoid', 'QuantizeLinear', 'DequantizeLinear'],
]);
/** What makes numbers of classes, and what may stand behind it. */
const choosing = new Set(['ArgMax', 'TopK', 'ArgMin']);
const keeping = new Set(['Identity', 'Cast', 'Reshape', 'Flatten', 'Squeeze', 'Unsqueeze']);
const layers = /Gemm|MatMul|Conv/;
/** Outputs that are looked at; a file may declare any number. */
const MOST = 64;

/** The last layers that an output is made of, with no more behind them than scales and adds; none where there is more. */
function layersOf(nodes: NodeGraph, ofImages: ReadonlySet<OnnxNode>, output: string): OnnxNode[] {
  const found: OnnxNode[] = [];
  const seen = new Set<OnnxNode>();
  const open = [nodes.maker(output)];
  for (let node = open.pop(); node; node = open.pop()) {
    if (seen.has(node)) continue;
    seen.add(node);
    if (layers.test(node.op)) found.push(node);
    else if (!behindLayers.has(node.op)) return [];
    else {
      for (const name of node.inputs) {
        const maker = nodes.maker(name);
        if (maker && ofImages.has(maker)) open.push(maker);
      }
    }
  }
  return found;
}

/** Layers that a head may have of its own: whose path is longer by more is no other head, but goes on where that one left. */
const HEAD_LAYERS = 3;

/** How many layers stand one after another below each tensor. */
function depthsOf(nodes: NodeGraph): Map<string, number> {
  const depths = new Map<string, number>();
  for (const node of nodes.nodes) {
    const below = nodes.readBy(node).reduce((most, name) => Math.max(most, depths.get(name) ?? 0), 0);
    for (const name of node.outputs) depths.set(name, below + Number(layers.test(node.op)));
  }
  return depths;
}

/** What an output of numbers of classes is chosen from; any other output itself. */
function chosenFrom(nodes: NodeGraph, output: string): string {
  let node = nodes.maker(output);
  while (node && keeping.has(node.op)) node = nodes.maker(node.inputs[0] ?? '');
  const [scores = ''] = node && choosing.has(node.op) ? node.inputs : [];
  return nodes.maker(scores) ? scores : output;
}

export interface MainOutput {
  /** An output, or what numbers of classes are chosen from. */
  readonly name: string;
  /** Outputs of other last layers, as auxiliary ones, which are left out. */
  readonly others: readonly string[];
  /** What its last layers make, where several are added up, as those of a distilled network. */
  readonly joined: readonly string[];
}

/**
 * The output whose last layer is the model's: the first that ends in one, that no other goes on from, and that no other leaves far behind, as
 * the last one does auxiliary ones which are listed before it. `features` has to be below it, where that is given.
 */
export function mainOutput(nodes: NodeGraph, image: string, features?: string): MainOutput {
  const ofImages = nodes.above([image]);
  const outputs = nodes.model.outputs.slice(0, MOST).map(({ name }) => name);
  const named = [...new Set(outputs.map((name) => chosenFrom(nodes, name)))];
  const below = new Map(named.map((name) => [name, nodes.below([name])]));
  const reaches = (name: string, tensor: string) => {
    const maker = nodes.maker(tensor);
    return maker !== undefined && (below.get(name)?.has(maker) ?? false);
  };
  const above = features === undefined ? named : named.filter((name) => reaches(name, features));
  const ending = above.filter((name) => layersOf(nodes, ofImages, name).length > 0);
  const last = ending.filter((name) => !ending.some((other) => other !== name && reaches(other, name)));
  const depths = depthsOf(nodes);
  const depthOf = (output: string) => depths.get(output) ?? 0;
  const deepest = Math.max(...last.map(depthOf));
  const name = last.find((output) => depthOf(output) + HEAD_LAYERS >= deepest) ?? above[0] ?? named[0] ?? '';
  const others = last.filter((output) => output !== name);
  const joined = layersOf(nodes, ofImages, name).map(firstOutput);
  return { name, others, joined: joined.length > 1 ? joined.sort() : [] };
}

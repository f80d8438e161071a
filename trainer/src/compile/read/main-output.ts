import type { OnnxNode } from '@whet/compiler';
import type { NodeGraph } from './node-graph.js';

/** What may stand between a last layer and an output. */
const behindLayers = new Set([
  ...['Identity', 'Dropout', 'Cast', 'Reshape', 'Flatten', 'Squeeze', 'Unsqueeze', 'Add', 'Sub', 'Mul', 'Div', 'Clip'],
  ...['Softmax', 'LogSoftmax', 'Sigmoid', 'QuantizeLinear', 'DequantizeLinear'],
]);
/** Outputs that are numbers of classes. */
const choosing = new Set(['ArgMax', 'TopK', 'ArgMin']);
const layers = /Gemm|MatMul|Conv/;
/** Outputs that are looked at; a file may declare any number. */
const MOST = 64;

/** Whether an output is what a last layer makes, with no more behind it than scales it. */
function endsInLayer(nodes: NodeGraph, ofImages: ReadonlySet<OnnxNode>, output: string): boolean {
  const seen = new Set<OnnxNode>();
  for (let node = nodes.maker(output); node && !seen.has(node); ) {
    if (layers.test(node.op)) return true;
    if (!behindLayers.has(node.op)) return false;
    seen.add(node);
    const makers: (OnnxNode | undefined)[] = node.inputs.map((name) => nodes.maker(name));
    node = makers.find((maker) => maker && ofImages.has(maker));
  }
  return false;
}

export interface MainOutput {
  readonly name: string;
  /** Outputs of other last layers, as auxiliary ones, which are left out. */
  readonly others: readonly string[];
}

/**
 * The output whose last layer is the model's: the first that ends in one and that no other goes on from. `features`
 * has to be below it, where that is given.
 */
export function mainOutput(nodes: NodeGraph, image: string, features?: string): MainOutput {
  const ofImages = nodes.above([image]);
  const named = nodes.model.outputs.slice(0, MOST).map(({ name }) => name);
  const below = new Map(named.map((name) => [name, nodes.below([name])]));
  const reaches = (name: string, tensor: string) => {
    const maker = nodes.maker(tensor);
    return maker !== undefined && (below.get(name)?.has(maker) ?? false);
  };
  const above = features === undefined ? named : named.filter((name) => reaches(name, features));
  const ending = above.filter((name) => endsInLayer(nodes, ofImages, name));
  const last = ending.filter((name) => !ending.some((other) => other !== name && reaches(other, name)));
  const plain = above.find((name) => !choosing.has(nodes.maker(name)?.op ?? ''));
  const [name = plain ?? above[0] ?? named[0] ?? '', ...others] = last;
  return { name, others };
}

import type { GraphBuilder } from '../builder.js';
import { type Node, nodesOf, type Value } from '../graph.js';
import type { ConvAttributes } from '../operators/attributes.js';
import { required } from '../operators/operator.js';
import { reshape } from '../operators/shape-helpers.js';
import { mergeCommonSubexpressions } from '../passes/common-subexpressions.js';
import type { Pass } from '../passes/pass.js';
import { makeTensor } from '../tensor.js';
import { rewriteNodes } from './rewrite-nodes.js';

/** Height and width. */
type Size = readonly [number, number];

/** A depthwise convolution: an image as large as its input, one as large as its output, and C channels of each. */
interface Depthwise {
  readonly large: Size;
  readonly small: Size;
  readonly channels: number;
  readonly attributes: ConvAttributes;
}

/** How many images a graph is run on: one, as pictures to predict come, or all examples of a task; where that is unknown, forward parts stay. */
export type RunsOn = 'one' | 'many' | 'unknown';

/**
 * Up to so many pairs of positions of input and output, a product with all of them is fastest (docs/bench/depthwise.md). The matrices are made
 * once a run, which of a single image are most of the work.
 */
const MOST_PAIRS = { one: 256, many: 4096, unknown: 0 } as const;

const areaOf = ([height, width]: Size): number => height * width;

/** The convolution of which a node is one of the three products; undefined where it is none of a kernel for each channel and few positions. */
function depthwiseOf({ op, inputs, output, attributes }: Node, runsOn: RunsOn): Depthwise | undefined {
  if (op !== 'Conv' && op !== 'ConvTranspose' && op !== 'ConvWeightGradient') return undefined;
  const [first, second] = inputs as readonly [Value, Value];
  // What is constant, onnxruntime arranges for its own kernels when it opens a graph; between gradients it does not, and makes the matrices once.
  if (op !== 'ConvWeightGradient' && second.constant && runsOn !== 'many') return undefined;
  const result = op === 'ConvWeightGradient' ? second : output;
  const [from, to] = op === 'ConvTranspose' ? [result, first] : [first, result];
  const sizes = [from, to].map(({ shape }) => shape.slice(1));
  if (!sizes.every((size) => size.length === 3 && size.every((dim) => typeof dim === 'number'))) return undefined;
  const [[channels, ...large], [out, ...small]] = sizes as unknown as [[number, ...Size], [number, ...Size]];
  const { group } = attributes as ConvAttributes;
  if (group === 1 || channels !== group || out !== group || areaOf(large) * areaOf(small) > MOST_PAIRS[runsOn])
    return undefined;
  return { large, small, channels, attributes: attributes as ConvAttributes };
}

/** `[kernel, large, small]`: 1 where a position of the kernel leads from a position of the output to one of the input. */
function reach({ large, small, attributes }: Depthwise): Float64Array {
  const { kernel_shape, strides, dilations, pads } = attributes;
  const [kh, kw] = kernel_shape;
  const [from, to] = [areaOf(large), areaOf(small)];
  const found = new Float64Array(kh * kw * from * to);
  for (let k = 0; k < kh * kw; k++) {
    for (let out = 0; out < to; out++) {
      const y = Math.floor(out / small[1]) * strides[0] - pads[0] + Math.floor(k / kw) * dilations[0];
      const x = (out % small[1]) * strides[1] - pads[1] + (k % kw) * dilations[1];
      if (y < 0 || x < 0 || y >= large[0] || x >= large[1]) continue;
      found[(k * from + y * large[1] + x) * to + out] = 1;
    }
  }
  return found;
}

/** {@link reach} as a constant `[kernel, large * small]`. */
function reachOf(g: GraphBuilder, of: Depthwise): Value {
  const [kh, kw] = of.attributes.kernel_shape;
  return g.constant(makeTensor([kh * kw, areaOf(of.large) * areaOf(of.small)], reach(of)));
}

/** `[N, C, H, W]` as `[C, N, H * W]`, and back. */
const channelsFirst = (g: GraphBuilder, x: Value, { channels }: Depthwise, size: Size): Value =>
  g.apply('Transpose', [reshape(g, x, [x.shape[0] as number, channels, areaOf(size)])], { perm: [1, 0, 2] });
const imagesFirst = (g: GraphBuilder, x: Value, { channels }: Depthwise, size: Size): Value =>
  reshape(g, g.apply('Transpose', [x], { perm: [1, 0, 2] }), [x.shape[1] as number, channels, ...size]);

/** What each channel's kernel does to a whole image, `[C, large, small]`. */
function matrices(g: GraphBuilder, weight: Value, of: Depthwise): Value {
  const [kh, kw] = of.attributes.kernel_shape;
  const rows = g.apply('MatMul', [reshape(g, weight, [of.channels, kh * kw]), reachOf(g, of)], {});
  return reshape(g, rows, [of.channels, areaOf(of.large), areaOf(of.small)]);
}

/** A convolution, or a transposed one, of images by such matrices. */
function convolve(g: GraphBuilder, node: Node, inputs: readonly (Value | undefined)[], of: Depthwise): Value {
  const [x, weight, bias] = [required(inputs, 0), required(inputs, 1), inputs[2]];
  const isTransposed = node.op === 'ConvTranspose';
  const [from, to] = isTransposed ? [of.small, of.large] : [of.large, of.small];
  const all = matrices(g, weight, of);
  const turned = isTransposed ? g.apply('Transpose', [all], { perm: [0, 2, 1] }) : all;
  const product = g.apply('MatMul', [channelsFirst(g, x, of, from), turned], {});
  const shifted = bias ? g.apply('Add', [product, reshape(g, bias, [of.channels, 1, 1])], {}) : product;
  return imagesFirst(g, shifted, of, to);
}

/** The gradient of the kernels: that of the matrices, added up over the positions that each entry of a kernel leads to. */
function weightGradient(g: GraphBuilder, inputs: readonly (Value | undefined)[], of: Depthwise): Value {
  const [x, dy] = [
    channelsFirst(g, required(inputs, 0), of, of.large),
    channelsFirst(g, required(inputs, 1), of, of.small),
  ];
  const product = g.apply('MatMul', [g.apply('Transpose', [x], { perm: [0, 2, 1] }), dy], {});
  const flat = reshape(g, product, [of.channels, areaOf(of.large) * areaOf(of.small)]);
  const back = g.apply('Transpose', [reachOf(g, of)], { perm: [1, 0] });
  return reshape(g, g.apply('MatMul', [flat, back], {}), [of.channels, 1, ...of.attributes.kernel_shape]);
}

const rewriteFor = (runsOn: RunsOn): Pass =>
  rewriteNodes(
    (node) => depthwiseOf(node, runsOn) !== undefined,
    (g, inputs, node) => {
      const of = depthwiseOf(node, runsOn) as Depthwise;
      return node.op === 'ConvWeightGradient' ? weightGradient(g, inputs, of) : convolve(g, node, inputs, of);
    },
  );

/**
 * Makes products of whole images, one for each channel, of depthwise convolutions of small images and of their gradients: with weights that
 * are not constants, and between gradients, onnxruntime's CPU unfolds each channel by itself. A graph with gradients of weights runs on many.
 */
export function depthwiseAsMatrices(runsOn: RunsOn): Pass {
  return (graph) => {
    const hasGradients = nodesOf(graph.outputs.values()).some(({ op }) => op === 'ConvWeightGradient');
    const { graph: found, changed } = rewriteFor(hasGradients ? 'many' : runsOn)(graph);
    // Images are turned for their product and for its gradients alike.
    return changed ? { graph: mergeCommonSubexpressions(found).graph, changed } : { graph, changed };
  };
}

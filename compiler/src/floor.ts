import { sizeWith } from './cost.js';
import type { Graph, Node, Value } from './graph.js';
import { nodesOf } from './graph.js';
import type { ConvAttributes } from './operators/attributes.js';
import type { Shape } from './tensor.js';

/** `batch` products of `[m, k]` with `[k, n]`, met `count` times in a graph. */
export interface MatrixProduct {
  readonly batch: number;
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly count: number;
}

type Sizes = (shape: Shape) => number;

/** The products that a node is when nothing but arithmetic is left of it; undefined for one without. */
function productOf({ op, inputs, output, attributes }: Node, size: Sizes): Omit<MatrixProduct, 'count'> | undefined {
  const [first, second] = inputs as readonly (Value | undefined)[];
  if (!first || !second) return undefined;
  switch (op) {
    case 'Conv':
    case 'ConvTranspose':
    case 'ConvWeightGradient': {
      const { group } = attributes as ConvAttributes;
      // [kernel of a group] x [its windows]: the small side of the convolution has the windows' positions.
      const [images, weight] =
        op === 'Conv' ? [output, second] : op === 'ConvTranspose' ? [first, second] : [second, output];
      const out = size(images.shape.slice(1, 2)) / group;
      const window = size(weight.shape) / (out * group);
      const positions = size(images.shape.slice(0, 1)) * size(images.shape.slice(2));
      const [m, k, n] = {
        Conv: [out, window, positions] as const,
        ConvTranspose: [window, out, positions] as const,
        ConvWeightGradient: [out, positions, window] as const,
      }[op];
      return { batch: group, m, k, n };
    }
    case 'MatMul': {
      const [k, n] = [second.shape.slice(-2, -1), second.shape.slice(-1)].map(size) as [number, number];
      const m = size(first.shape.slice(-2, -1));
      return { batch: size(output.shape) / (m * n), m, k, n };
    }
    case 'Gemm': {
      const { transA } = attributes as { transA?: number };
      const [m, n] = [output.shape.slice(0, 1), output.shape.slice(1)].map(size) as [number, number];
      return { batch: 1, m, k: size(transA ? first.shape.slice(0, 1) : first.shape.slice(1)), n };
    }
    default:
      return undefined;
  }
}

/**
 * The floor of a graph: the matrix products that its convolutions and products come down to, of the same multiply-adds,
 * each once with how often it is met. What a device takes for these alone is the least the graph could take there.
 * `symbols` gives each symbol its size, e.g. `{ N: 25, W: 5 }`.
 */
export function matrixProducts(graph: Graph, symbols: Readonly<Record<string, number>> = {}): MatrixProduct[] {
  const size: Sizes = (shape) => sizeWith(shape, symbols);
  const found = new Map<string, MatrixProduct>();
  for (const node of nodesOf(graph.outputs.values())) {
    const product = productOf(node, size);
    if (!product) continue;
    const key = JSON.stringify(product);
    found.set(key, { ...product, count: (found.get(key)?.count ?? 0) + 1 });
  }
  return [...found.values()];
}

import type { Graph, Node, Value } from './graph.js';
import { GraphError, nodesOf } from './graph.js';
import { productsForCpu } from './lowering/lower-for-cpu.js';
import { einsumSizes } from './operators/einsum.js';
import { formatShape, type Shape } from './tensor.js';

export interface GraphCost {
  /** Multiplications that are added up: those of Conv, ConvTranspose, MatMul, Gemm and Einsum. */
  readonly multiplyAdds: number;
  /** Bytes of everything the nodes write, each value once. */
  readonly activationBytes: number;
  /** The most bytes of these that are held at once, each from its node to its last reader, nodes in the order of the file. */
  readonly peakActivationBytes: number;
}

const elementBytes = { float64: 8, int64: 8, float32: 4, int32: 4, float16: 2, int8: 1, uint8: 1, bool: 1 } as const;

/**
 * The size of a shape whose symbols have the given sizes. Dimensions computed of symbols, as `2N` or `(H-1)`, are
 * worked out; throws {@link GraphError} where a symbol has no size.
 */
export function sizeWith(shape: Shape, symbols: Readonly<Record<string, number>>): number {
  return shape.reduce<number>((product, dim) => {
    if (typeof dim === 'number') return product * dim;
    const size = evaluateDim(dim, symbols);
    if (size === undefined) throw new GraphError(`${formatShape(shape)}: no size is given for "${dim}"`);
    return product * size;
  }, 1);
}

/** `6N`, `2N*M`: a product of a number and symbols. */
function evaluateDim(dim: string, symbols: Readonly<Record<string, number>>): number | undefined {
  if (Object.hasOwn(symbols, dim)) return symbols[dim];
  let product = 1;
  for (const factor of dim.split('*')) {
    const [, count = '', symbol = ''] = /^(\d*)(.*)$/s.exec(factor) ?? [];
    if (symbol !== '' && !Object.hasOwn(symbols, symbol)) return undefined;
    product *= (count === '' ? 1 : Number(count)) * (symbol === '' ? 1 : (symbols[symbol] as number));
  }
  return product;
}

/** Multiplications that a node adds up, of shapes as large as `sizeOf` says; 0 for what multiplies no matrices. */
export function multiplyAddsOf(node: Node, sizeOf: (shape: Shape) => number): number {
  const [first, second] = node.inputs as readonly (Value | undefined)[];
  if (!first || !second) return 0;
  switch (node.op) {
    case 'Conv':
      return sizeOf(node.output.shape) * sizeOf(second.shape.slice(1));
    case 'ConvTranspose':
      return sizeOf(first.shape) * sizeOf(second.shape.slice(1));
    case 'MatMul':
      return sizeOf(node.output.shape) * sizeOf(first.shape.slice(-1));
    case 'Gemm': {
      const { transA } = node.attributes as { transA?: number };
      return sizeOf(node.output.shape) * sizeOf(transA ? first.shape.slice(0, 1) : first.shape.slice(-1));
    }
    case 'Einsum': {
      const { equation } = node.attributes as { equation: string };
      const shapes = node.inputs.flatMap((input) => (input ? [input.shape] : []));
      // One operand is summed, not multiplied; a third one is multiplied with the product of two.
      return (shapes.length - 1) * sizeOf(einsumSizes(equation, shapes));
    }
    default:
      return 0;
  }
}

/** What one run of a graph costs, in the forms it has on a CPU, where its symbols have the sizes given, e.g. `{ N: 1, W: 5 }`. */
export function graphCost(graph: Graph, symbols: Readonly<Record<string, number>> = {}): GraphCost {
  const sizeOf = (shape: Shape) => sizeWith(shape, symbols);
  const bytesOf = ({ shape, dtype }: Value) => sizeOf(shape) * elementBytes[dtype];
  const { outputs } = productsForCpu(graph);
  const nodes = nodesOf(outputs.values());
  const kept = new Set(outputs.values());
  const lastReader = new Map<Value, Node>();
  for (const node of nodes) for (const input of node.inputs) if (input) lastReader.set(input, node);
  let multiplyAdds = 0;
  let activationBytes = 0;
  let held = 0;
  let peakActivationBytes = 0;
  for (const node of nodes) {
    multiplyAdds += multiplyAddsOf(node, sizeOf);
    const bytes = bytesOf(node.output);
    activationBytes += bytes;
    held += bytes;
    peakActivationBytes = Math.max(peakActivationBytes, held);
    for (const input of new Set(node.inputs)) {
      if (input?.producer && lastReader.get(input) === node && !kept.has(input)) held -= bytesOf(input);
    }
  }
  return { multiplyAdds, activationBytes, peakActivationBytes };
}

import { type Backend, type Graph, GraphBuilder, type MatrixProduct, matrixProducts } from '@whet/compiler';
import { type Contender, waves } from './harness.js';

function productGraph({ batch, m, k, n }: MatrixProduct): Graph {
  const g = new GraphBuilder();
  const [a, b] = [g.input('a', [batch, m, k]), g.input('b', [batch, k, n])];
  // A sum of the result, so that its way back from the device is not what is timed.
  const y = g.apply('ReduceMax', [g.apply('MatMul', [a, b], {})], { keepdims: 0 });
  return { name: 'product', inputs: [a, b], outputs: new Map([['y', y]]) };
}

/** Each product of a graph's floor on a backend, to be timed in turns with the graph itself; `symbols` as {@link matrixProducts} takes them. */
export async function floorContenders(
  backend: Backend,
  graph: Graph,
  symbols: Readonly<Record<string, number>> = {},
): Promise<{ contender: Contender; count: number }[]> {
  const contenders: { contender: Contender; count: number }[] = [];
  for (const product of matrixProducts(graph, symbols)) {
    const bare = productGraph(product);
    const executable = await backend.compile(bare);
    const feeds = waves(bare);
    const name = JSON.stringify(product);
    contenders.push({ contender: { name, run: () => executable.run(feeds) }, count: product.count });
  }
  return contenders;
}

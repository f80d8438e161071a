import { type Backend, type Graph, GraphBuilder, type MatrixProduct, matrixProducts, slice } from '@whet/compiler';
import { type TimedRun, waveFeeds } from './harness.js';

function productGraph({ batch, m, k, n }: MatrixProduct): Graph {
  const g = new GraphBuilder();
  const [a, b] = [g.input('a', [batch, m, k]), g.input('b', [batch, k, n])];
  // One number of the result: neither a pass over it nor its way back from the device is what is timed.
  const y = slice(g, g.apply('MatMul', [a, b], {}), [0, 1, 2], [0, 0, 0], [1, 1, 1]);
  return { name: 'product', inputs: [a, b], outputs: new Map([['y', y]]) };
}

/** Each product of a graph's floor on a backend, to be timed in turns with the graph itself; `symbols` as {@link matrixProducts} takes them. */
export async function floorContenders(
  backend: Backend,
  graph: Graph,
  symbols: Readonly<Record<string, number>> = {},
): Promise<{ contender: TimedRun; count: number }[]> {
  const contenders: { contender: TimedRun; count: number }[] = [];
  for (const product of matrixProducts(graph, symbols)) {
    const bare = productGraph(product);
    const executable = await backend.compile(bare);
    const feeds = waveFeeds(bare);
    const name = JSON.stringify(product);
    contenders.push({ contender: { name, run: () => executable.run(feeds) }, count: product.count });
  }
  return contenders;
}

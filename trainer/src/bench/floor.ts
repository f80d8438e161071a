import {
  type ExternalReader,
  encodeOnnx,
  type Graph,
  GraphBuilder,
  GraphError,
  int64s,
  type MatrixProduct,
  matrixProducts,
  OnnxError,
  readOnnx,
  sizeOf,
  slice,
  type Value,
} from '@whet/compiler';
import type { BundleSource, PatternManifest } from '@whet/runtime';
import { isSmall } from '@whet/runtime/format';
import { Tensor } from 'onnxruntime-node';

/** The floor of adapting with a pattern: its matrix products alone, ready to be timed beside it. */
export interface Floor {
  /** Milliseconds of the products of encoding once and of all inner steps. */
  measure(): Promise<number>;
  release(): Promise<void>;
}

export interface FloorOptions {
  readonly pattern: PatternManifest;
  /** The bundle's file of weights, where the graphs keep theirs. */
  readonly weights: string;
  /** Reads a file of the bundle. */
  readonly read: BundleSource['read'];
  readonly createSession: BundleSource['createSession'];
  /** Examples, and rows of the head that is adapted. */
  readonly examples: number;
  readonly classes: number;
  readonly steps: number;
}

/**
 * Bare `MatMul`s of the sizes that `products` lists, as often as it says. The larger operand is a constant, so that a
 * run copies little; the smaller differs each time, so that equal products are not merged. The output has one number of
 * each: a pass over the result is not what is timed.
 */
export function productsGraph(products: readonly MatrixProduct[]): Graph {
  const g = new GraphBuilder();
  const inputs: Value[] = [];
  const numbers = products.flatMap(({ batch, m, k, n, count }, at) => {
    const [first, second] = [
      [batch, m, k],
      [batch, k, n],
    ] as const;
    const [large, small] = m > n ? [first, second] : [second, first];
    const value = { dtype: 'float32', shape: [1], data: Float32Array.of(0.5) } as const;
    const constant = g.apply('ConstantOfShape', [g.constant(int64s(large))], { value });
    return Array.from({ length: count }, (_, i) => {
      const x = g.input(`x${at}.${i}`, small);
      inputs.push(x);
      const y = g.apply('MatMul', m > n ? [constant, x] : [x, constant], {});
      return slice(g, y, [0, 1, 2], [0, 0, 0], [1, 1, 1]);
    });
  });
  const y = g.apply('Concat', numbers, { axis: 0 });
  return { name: 'floor', inputs, outputs: new Map([['y', y]]) };
}

/**
 * The floor of a pattern; undefined where a graph of the bundle has operators that the compiler does not read, or has
 * sizes of its own. The caller releases it.
 */
export async function openFloor(options: FloorOptions): Promise<Floor | undefined> {
  const { pattern, weights, read, createSession, examples, classes, steps } = options;
  const paths = [
    ...(pattern.graphs.encode === null ? [] : [{ path: pattern.graphs.encode, times: 1, small: false }]),
    ...(steps > 0 ? [{ path: pattern.graphs.step, times: steps, small: isSmall(pattern) }] : []),
  ];
  const parts: { times: number; small: boolean; products: MatrixProduct[] }[] = [];
  try {
    const file = await read(weights);
    const external: ExternalReader = (_, offset, length) => file.subarray(offset, offset + length);
    for (const { path, times, small } of paths) {
      const products = matrixProducts(readOnnx(await read(path), { external }), { N: examples, W: classes });
      if (products.length > 0) parts.push({ times, small, products });
    }
  } catch (error) {
    if (error instanceof OnnxError || error instanceof GraphError) return undefined;
    throw error;
  }
  const runs = await Promise.all(
    parts.map(async ({ times, small, products }) => {
      const graph = productsGraph(products);
      const feeds = Object.fromEntries(
        graph.inputs.map(({ name, shape }) => {
          const dims = shape as readonly number[];
          const data = Float32Array.from({ length: sizeOf(dims) }, (_, i) => Math.sin(1.7 * i));
          return [name, new Tensor('float32', data, dims)];
        }),
      );
      return { times, feeds, session: await createSession(encodeOnnx(graph), undefined, small) };
    }),
  );
  return {
    measure: async () => {
      let total = 0;
      for (const { times, feeds, session } of runs) {
        const began = performance.now();
        await session.run(feeds);
        total += times * (performance.now() - began);
      }
      return total;
    },
    release: async () => {
      for (const { session } of runs) await session.release();
    },
  };
}

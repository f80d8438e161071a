import { evaluate, graphCost, matrixProducts, readOnnx } from '@whet/compiler';
import type { Bundle, PatternManifest } from '@whet/runtime';
import { openBundleFiles } from '@whet/runtime/node';
import { writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import {
  type Contender,
  movesEverything,
  openBenchBackend,
  openFloor,
  productsGraph,
  timePatterns,
} from '@whet/trainer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const task = { ways: 3, shots: 2, steps: 2 };
let directory: string;
let bundle: Bundle;
beforeAll(async () => {
  directory = await writeTinyBundle();
  bundle = await (await openBenchBackend('node')).load(directory);
});
afterAll(() => bundle.release());

const contenders = (): Contender[] =>
  Object.keys(bundle.manifest.patterns).map((pattern) => ({ label: 'tiny', backend: 'node', bundle, pattern }));

describe('timing patterns', () => {
  it('has every pattern, and speed-ups over the one that moves everything', async () => {
    const { results, failed } = await timePatterns({ contenders: contenders(), ...task, runs: 5 });
    expect(failed.size).toBe(0);
    expect(results.map(({ pattern }) => pattern)).toEqual(Object.keys(bundle.manifest.patterns));
    const full = results.find(({ pattern }) => pattern === 'full');
    for (const { runs, adapt, speedUp, movingWeights } of results) {
      expect(runs).toBe(5);
      expect(adapt.p25).toBeLessThanOrEqual(adapt.median);
      expect(adapt.median).toBeLessThanOrEqual(adapt.p75);
      expect(adapt.p75).toBeLessThanOrEqual(adapt.p95);
      expect(speedUp).toBeCloseTo((full?.adapt.median as number) / adapt.median);
      expect(movingWeights).toBeLessThanOrEqual(full?.movingWeights as number);
    }
  });

  it('knows dense MAML by what moves and what is cached', () => {
    const { manifest } = bundle;
    const dense = Object.keys(manifest.patterns).filter((name) => movesEverything(bundle, name));
    expect(dense).toEqual(['full']);
    const { full: _, ...others } = manifest.patterns;
    const without = { manifest: { ...manifest, patterns: others } };
    expect(Object.keys(others).some((name) => movesEverything(without, name))).toBe(false);
  });

  it('goes on without a contender that fails', async () => {
    const broken: Contender = { label: 'tiny', backend: 'node', bundle, pattern: 'tail' };
    const { results, failed } = await timePatterns({ contenders: [broken, ...contenders()], ...task, runs: 1 });
    expect(results).toHaveLength(contenders().length);
    expect([...failed.keys()]).toEqual([broken]);
    expect(String(failed.get(broken))).toMatch(/expected one of .*, got "tail"/);
  });

  it('returns what it timed before it was stopped', async () => {
    const controller = new AbortController();
    const onRun = (run: number) => run === 5 && controller.abort();
    const { results } = await timePatterns({
      ...{ contenders: contenders(), ...task, runs: 100, onRun },
      signal: controller.signal,
    });
    expect(results.map(({ runs }) => runs)).toEqual(contenders().map(() => 2));
  });
});

describe('the floor', () => {
  async function floorOf(name: string, backend: 'node' | 'wasm', read: (path: string) => Promise<Uint8Array>) {
    const { createSession } = await openBenchBackend(backend);
    const pattern = bundle.manifest.patterns[name] as PatternManifest;
    const { weights } = bundle.manifest;
    return openFloor({ pattern, weights, read, createSession, examples: 6, classes: 3, steps: 2 });
  }

  it('has the multiply-adds of the graph and none of its data movement', async () => {
    const read = openBundleFiles(directory);
    const weights = await read(bundle.manifest.weights);
    const external = (_: string, offset: number, length: number) => weights.subarray(offset, offset + length);
    const step = readOnnx(await read('full.step.onnx'), { external });
    const products = matrixProducts(step, { N: 6, W: 3 });
    const floor = productsGraph(products);
    expect(graphCost(floor).multiplyAdds).toBe(graphCost(step, { N: 6, W: 3 }).multiplyAdds);
    const count = products.reduce((sum, product) => sum + product.count, 0);
    const feeds = new Map(
      floor.inputs.map(({ name, shape }) => {
        const dims = shape as readonly number[];
        const data = new Float64Array(dims.reduce((a, b) => a * b)).fill(2);
        return [name, { dtype: 'float32' as const, shape: dims, data }];
      }),
    );
    // A row of ones half by twos: as many as are summed over.
    const sums = Array.from(evaluate(floor, feeds).get('y')?.data ?? []);
    expect(sums).toEqual(products.flatMap(({ k, count }) => Array.from({ length: count }, () => k)));
    expect(sums).toHaveLength(count);
  });

  it.each(['node', 'wasm'] as const)('is measured on %s', async (name) => {
    const floor = await floorOf('head', name, openBundleFiles(directory));
    expect(await floor?.measure()).toBeGreaterThan(0);
    await floor?.release();
  });

  it('is none of a graph that the compiler does not read', async () => {
    expect(await floorOf('full', 'node', () => openBundleFiles(directory)('manifest.json'))).toBeUndefined();
  });
});

import { type Backend, type Graph, referenceBackend, sizeOf, staticShape, type Tensor } from '@whet/compiler';
import { conv4 } from '@whet/models';
import { generatorFor } from '../data/random.js';
import { median } from '../statistics.js';
import { normalizations } from '../task/normalizations.js';
import { maml } from '../task/rules.js';
import { metaGradientGraph } from '../task/training-graphs.js';

/** Timings in milliseconds. */
export interface Trial {
  /** Loading the graph, and the first run with what it compiles. */
  readonly compile: number;
  readonly firstRun: number;
  /** Median of the runs after the first. */
  readonly run: number;
  /** The largest difference to the float64 reference, relative to the largest value of its tensor. */
  readonly error: number;
}

/** The largest {@link Trial.error} of a backend that computes in float32 and correctly. */
export const TRIAL_TOLERANCE = 1e-3;

/**
 * Images and weights at random, one-hot labels in order of the classes, for any task's graph; the same for the same
 * graph.
 */
export function randomFeeds(graph: Graph): Map<string, Tensor> {
  return new Map(
    graph.inputs.map((input) => {
      const shape = staticShape(input);
      const random = generatorFor(1, input.name, 0);
      const images = input.name === 'support' || input.name === 'query';
      const fan = shape.slice(1).reduce((a, b) => a * b, 1);
      const deviation = images ? 1 : Math.sqrt(2 / fan);
      const data = Float32Array.from({ length: sizeOf(shape) }, () => deviation * random.normal());
      if (input.name.endsWith('Labels')) {
        const [count, ways] = shape.slice(-2) as [number, number];
        data.forEach((_, i) => {
          const row = Math.floor(i / ways) % count;
          data[i] = Number(i % ways === Math.floor((row * ways) / count));
        });
      }
      if (input.name === 'head.scale') data.fill(0.1);
      return [input.name, { dtype: 'float32', shape, data }];
    }),
  );
}

/** The second-order meta-gradient of a small Conv4: 5-way 1-shot, 16 x 16 pixels, 8 channels, 2 inner steps. */
const trialGraph = (): Graph =>
  metaGradientGraph({
    backbone: conv4({ channels: 8, imageSize: 16 }),
    head: 'prototype',
    rule: maml,
    order: 2,
    normalization: normalizations.support,
    ways: 5,
    shots: 1,
    queries: 1,
    steps: 2,
    innerRate: 0.1,
  });

/** Timed runs, fewer where they take longer than this many milliseconds in all. */
const RUNS = 10;
const ENOUGH = 2000;

async function timed<T>(work: () => Promise<T>): Promise<[T, number]> {
  const start = performance.now();
  const result = await work();
  return [result, performance.now() - start];
}

/** Times a fixed meta-gradient and compares it with the float64 reference. */
export async function tryMetaGradient(backend: Backend): Promise<Trial> {
  const graph = trialGraph();
  const feeds = randomFeeds(graph);
  const [executable, compile] = await timed(() => backend.compile(graph));
  const [outputs, firstRun] = await timed(() => executable.run(feeds));
  const runs: number[] = [];
  const start = performance.now();
  do runs.push((await timed(() => executable.run(feeds)))[1]);
  while (runs.length < RUNS && performance.now() - start < ENOUGH);
  await executable.release();
  const expected = await (await referenceBackend.compile(graph)).run(feeds);
  const errors = Array.from(expected, ([name, want]) => relativeError(outputs.get(name), want));
  return { compile, firstRun, run: median(runs), error: Math.max(...errors) };
}

/** Never infinite or NaN, which JSON would make null of on the way out of the probing process. */
function relativeError(actual: Tensor | undefined, expected: Tensor): number {
  let [scale, error] = [1e-2, 0];
  for (const [i, want] of expected.data.entries()) {
    scale = Math.max(scale, Math.abs(want));
    const difference = Math.abs((actual?.data[i] ?? Number.NaN) - want);
    if (!Number.isFinite(difference)) return Number.MAX_VALUE;
    error = Math.max(error, difference);
  }
  return error / scale;
}

import os from 'node:os';
import { type Graph, sizeOf, type Tensor } from '@whet/compiler';
import { median, ortBackend } from '@whet/trainer';

/** A convolution that keeps the size of its images. */
export const convolution3x3 = {
  kernel_shape: [3, 3],
  strides: [1, 1],
  pads: [1, 1, 1, 1],
  dilations: [1, 1],
  group: 1,
} as const;

/** Something to be timed beside others. */
export interface TimedRun {
  readonly name: string;
  run(): Promise<unknown>;
}

/** float32 values that are not all alike, for inputs of static shape. */
export function waveFeeds(graph: Graph): Map<string, Tensor> {
  return new Map(
    graph.inputs.map(({ name, shape }, at) => {
      const known = shape as readonly number[];
      const data = Float32Array.from({ length: sizeOf(known) }, (_, i) => Math.sin(1.7 * i + at));
      return [name, { dtype: 'float32' as const, shape: known, data }];
    }),
  );
}

/** A graph on onnxruntime's CPU, ready to be timed. */
export async function graphContender(name: string, graph: Graph): Promise<TimedRun> {
  const executable = await ortBackend().compile(graph);
  const feeds = waveFeeds(graph);
  return { name, run: () => executable.run(feeds) };
}

/** Median milliseconds of each, measured in turns so that a busy moment of the machine meets all of them. */
export async function timeInTurns(contenders: readonly TimedRun[], rounds: number): Promise<Map<string, number>> {
  const times = new Map(contenders.map(({ name }) => [name, [] as number[]]));
  for (let round = -2; round < rounds; round++) {
    for (const { name, run } of contenders) {
      const began = performance.now();
      await run();
      if (round >= 0) times.get(name)?.push(performance.now() - began);
    }
  }
  return new Map([...times].map(([name, list]) => [name, median(list)]));
}

/** The machine, for the head of a table. */
export function machine(): string {
  return `Node ${process.versions.node}, onnxruntime on ${os.cpus().length} CPU cores (${os.cpus()[0]?.model ?? 'unknown'})`;
}

import type { Graph } from '@whet/compiler';

/** float32 tensors by name. Shapes are the graph's. */
export type Arrays = ReadonlyMap<string, Float32Array>;

/** A compiled graph on a device. */
export interface Executable {
  /** Runs once; every input of the graph must be fed. */
  run(feeds: Arrays): Promise<Map<string, Float32Array>>;
  release(): Promise<void>;
}

/** Where graphs run. The trainer knows no device beyond this. */
export interface Backend {
  readonly name: string;
  compile(graph: Graph): Promise<Executable>;
}

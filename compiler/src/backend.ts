import { evaluate } from './evaluate.js';
import type { Tensors } from './feeds.js';
import type { Graph } from './graph.js';
import type { Tensor } from './tensor.js';

/** A graph that is ready to run on a device. */
export interface Executable {
  /**
   * Runs the graph once. Every input has to be fed in the declared shape, where a symbol may be any size but the same
   * throughout; throws `GraphError` where one is not. Feeds that the graph has no input for are left alone.
   */
  run(feeds: Tensors): Promise<Map<string, Tensor>>;
  /** Gives back what the graph holds; it cannot run again. */
  release(): Promise<void>;
}

/**
 * The executor contract: where graphs run. All backends take the same graphs, gradients included, so that what differs
 * between devices is speed and the last digits of float32 and nothing else.
 */
export interface Backend {
  /** Short and stable, as a user would name it: `reference`, `ort-cpu`. */
  readonly name: string;
  /** What it computes on, for people: `CPU (AMD EPYC 9354, 2 threads)`. */
  readonly device: string;
  /** Runs that go on beside each other where a caller asks for several at once; 1 when absent. */
  readonly parallel?: number;
  compile(graph: Graph): Promise<Executable>;
}

/** The operator table's own `evaluate` rules in float64: slow, and what the other backends are compared with. */
export const referenceBackend: Backend = {
  name: 'reference',
  device: 'CPU, float64 in JavaScript',
  compile: async (graph) => ({
    run: async (feeds) => evaluate(graph, feeds),
    release: async () => {},
  }),
};

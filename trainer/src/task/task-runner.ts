import { type Backend, type Graph, staticShape } from '@whet/compiler';

/** float32 values by name. Shapes are the graph's. */
export type Arrays = ReadonlyMap<string, Float32Array>;

/** A graph of static shapes in float32, run on flat arrays. */
export interface TaskRunner {
  /** Runs that go on beside each other. */
  readonly parallel: number;
  run(feeds: Arrays): Promise<Map<string, Float32Array>>;
  release(): Promise<void>;
}

/** Compiles a task's graph for a backend. */
export async function taskRunner(backend: Backend, graph: Graph): Promise<TaskRunner> {
  const shapes = new Map(graph.inputs.map((input) => [input.name, staticShape(input)]));
  const executable = await backend.compile(graph);
  return {
    parallel: backend.parallel ?? 1,
    run: async (feeds) => {
      const tensors = [...feeds].flatMap(([name, data]) => {
        const shape = shapes.get(name);
        return shape ? [[name, { dtype: 'float32', shape, data }] as const] : [];
      });
      const outputs = await executable.run(new Map(tensors));
      return new Map(
        [...outputs].map(([name, { data }]) => [name, data instanceof Float32Array ? data : Float32Array.from(data)]),
      );
    },
    release: () => executable.release(),
  };
}

/** Runs of all of `feeds`, in their order, as many beside each other as the backend does. */
export async function* runAll<T extends Arrays>(
  runner: TaskRunner,
  feeds: Iterable<T>,
): AsyncGenerator<Map<string, Float32Array>> {
  const under: Promise<Map<string, Float32Array>>[] = [];
  for (const each of feeds) {
    const run = runner.run(each);
    // The first that fails is thrown in its turn; others must not end the process before.
    run.catch(() => undefined);
    under.push(run);
    if (under.length >= runner.parallel) yield (await under.shift()) as Map<string, Float32Array>;
  }
  for (const run of under) yield await run;
}

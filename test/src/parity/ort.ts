import type { Graph, Tensor } from '@whet/compiler';
import { ortBackend } from '@whet/trainer';

/** Runs a graph once with onnxruntime-node in float32, and returns float64 copies of its outputs. */
export async function runOnOrt(graph: Graph, feeds: ReadonlyMap<string, Tensor>): Promise<Map<string, Float64Array>> {
  const executable = await ortBackend().compile(graph);
  const outputs = await executable.run(feeds);
  await executable.release();
  return new Map([...outputs].map(([name, { data }]) => [name, Float64Array.from(data)]));
}

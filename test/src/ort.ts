import type { Graph, Tensor } from '@whet/compiler';
import { encodeOnnx } from '@whet/compiler';
import * as ort from 'onnxruntime-node';

/** Runs a graph once with onnxruntime-node in float32, and returns float64 copies of its outputs. */
export async function runOnOrt(graph: Graph, feeds: ReadonlyMap<string, Tensor>): Promise<Map<string, Float64Array>> {
  const session = await ort.InferenceSession.create(encodeOnnx(graph), {
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
  });
  const inputs: Record<string, ort.Tensor> = {};
  for (const { name, dtype } of graph.inputs) {
    const tensor = feeds.get(name);
    if (!tensor) throw new Error(`no feed for "${name}"`);
    inputs[name] =
      dtype === 'int64'
        ? new ort.Tensor('int64', BigInt64Array.from(Array.from(tensor.data, BigInt)), [...tensor.shape])
        : new ort.Tensor('float32', Float32Array.from(tensor.data), [...tensor.shape]);
  }
  const outputs = await session.run(inputs);
  await session.release();
  return new Map(
    Object.entries(outputs).map(([name, tensor]) => [name, Float64Array.from(tensor.data as Float32Array, Number)]),
  );
}

import { encodeOnnx, type Graph, removeUnusedInputs, staticShape } from '@whet/compiler';
import * as ort from 'onnxruntime-node';
import type { Arrays, Backend, Executable } from './backend.js';

export interface OrtBackendOptions {
  /** Threads inside an operator; onnxruntime's default (one per core) when absent. */
  readonly threads?: number;
}

/** onnxruntime-node on the CPU. */
export function ortBackend(options: OrtBackendOptions = {}): Backend {
  return {
    name: 'ort-cpu',
    compile: async (whole: Graph): Promise<Executable> => {
      const { graph } = removeUnusedInputs(whole);
      const shapes = new Map(graph.inputs.map((input) => [input.name, staticShape(input)]));
      const session = await ort.InferenceSession.create(encodeOnnx(graph), {
        executionProviders: ['cpu'],
        graphOptimizationLevel: 'all',
        ...(options.threads ? { intraOpNumThreads: options.threads } : {}),
      });
      return {
        run: async (feeds: Arrays) => {
          const inputs: Record<string, ort.Tensor> = {};
          for (const [name, shape] of shapes) {
            const data = feeds.get(name);
            if (!data) throw new Error(`${graph.name}: input "${name}" is not fed`);
            inputs[name] = new ort.Tensor('float32', data, shape);
          }
          const outputs = await session.run(inputs);
          return new Map(Object.entries(outputs).map(([name, tensor]) => [name, tensor.data as Float32Array]));
        },
        release: () => session.release(),
      };
    },
  };
}

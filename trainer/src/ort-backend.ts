import {
  type Backend,
  bindFeeds,
  type DType,
  encodeOnnx,
  removeUnusedInputs,
  storedArray,
  type Tensor,
} from '@whet/compiler';
import * as ort from 'onnxruntime-node';

export interface OrtBackendOptions {
  /** Threads inside an operator; onnxruntime's default (one per core) when absent. */
  readonly threads?: number;
}

const toOrt = (tensor: Tensor): ort.Tensor =>
  new ort.Tensor(tensor.dtype, storedArray(tensor) as never, tensor.shape) as ort.Tensor;

/** Floats as they come; whole numbers as numbers, which is how the compiler holds them. */
function fromOrt({ data, dims }: ort.Tensor, dtype: DType): Tensor {
  const held = data instanceof Float32Array || data instanceof Float64Array;
  return { dtype, shape: dims, data: held ? data : Float64Array.from(data as ArrayLike<number>, Number) };
}

/** onnxruntime-node on the CPU. */
export function ortBackend(options: OrtBackendOptions = {}): Backend {
  return {
    name: 'ort-cpu',
    compile: async (whole) => {
      const { graph } = removeUnusedInputs(whole);
      const session = await ort.InferenceSession.create(encodeOnnx(graph), {
        executionProviders: ['cpu'],
        graphOptimizationLevel: 'all',
        logSeverityLevel: 3,
        ...(options.threads ? { intraOpNumThreads: options.threads } : {}),
      });
      return {
        run: async (feeds) => {
          const bound = bindFeeds(graph, feeds);
          const inputs = Object.fromEntries(bound.map(([{ name }, tensor]) => [name, toOrt(tensor)]));
          const found = await session.run(inputs);
          return new Map(
            [...graph.outputs].map(([name, { dtype }]) => [name, fromOrt(found[name] as ort.Tensor, dtype)]),
          );
        },
        release: () => session.release(),
      };
    },
  };
}

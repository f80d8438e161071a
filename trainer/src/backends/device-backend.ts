import { type Backend, type Executable, GraphError } from '@whet/compiler';
import { BackendUnavailableError, DeviceError, failureOf, firstLine } from './errors.js';

/** A backend on a device of this machine that was tried out when it was opened. */
export interface DeviceBackend extends Backend {
  /** Whether the device is a GPU in hardware, and not a CPU or a GPU's driver in software. */
  readonly accelerated: boolean;
  /** The library it runs on: `onnxruntime-node 1.30.0`. */
  readonly version: string;
}

/** Options that choose among a machine's devices. */
export interface DeviceOptions {
  /** Threads inside an operator, on backends that compute on the CPU; the library's default when absent. */
  readonly threads?: number;
  /**
   * Threads that run graphs beside each other, on `ort-cpu`; 1 when absent, where graphs run in the calling thread. With
   * more, `threads` is of each, and by default its share of the cores. A process that is made to exit during such a run
   * is aborted instead, by onnxruntime.
   */
  readonly workers?: number;
  /** Which device: a CUDA device's number, or a part of a WebGPU adapter's name. */
  readonly device?: string;
}

/** Throws {@link BackendUnavailableError} where more than one worker is asked of a backend that runs one graph at a time. */
export function refuseWorkers(name: string, { workers = 1 }: DeviceOptions): void {
  if (workers > 1) throw new BackendUnavailableError(name, `it runs one graph at a time, not ${workers} in workers`);
}

/**
 * The same backend with every failure of its device as a {@link DeviceError}; what is wrong with the graph or the feeds
 * stays a `GraphError`. A device that is gone cannot be given anything back, so releasing does not throw.
 */
export function reportingFailures<B extends Backend>(backend: B): B {
  const guard = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (cause) {
      if (cause instanceof GraphError || cause instanceof DeviceError) throw cause;
      const detail = firstLine(cause);
      throw new DeviceError(backend.name, backend.device, failureOf(detail), detail, { cause });
    }
  };
  return {
    ...backend,
    compile: async (graph) => {
      const executable: Executable = await guard(() => backend.compile(graph));
      return {
        run: (feeds) => guard(() => executable.run(feeds)),
        release: () => executable.release().catch(() => undefined),
      };
    },
  };
}

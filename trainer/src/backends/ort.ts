import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, cpus } from 'node:os';
import { dirname, join } from 'node:path';
import {
  type Backend,
  bindFeeds,
  type DType,
  type Executable,
  encodeOnnx,
  type Graph,
  GraphBuilder,
  lowerForCpu,
  lowerForGpu,
  removeUnusedInputs,
  storedArray,
  type Tensor,
} from '@whet/compiler';
import { defaultThreads, tuneModel } from '@whet/runtime/node';
import * as ort from 'onnxruntime-node';
import { type DeviceBackend, type DeviceOptions, refuseWorkers, reportingFailures } from './device-backend.js';
import { BackendUnavailableError, firstLine, NO_ADAPTER } from './errors.js';
import { loadedDrivers } from './loaded-drivers.js';
import { lowerForWebGpu } from './lower-for-webgpu.js';
import { type OrtWorkers, ortWorkers } from './ort-workers.js';

export type OrtProvider = 'cpu' | 'webgpu' | 'cuda';

export interface OrtOptions extends DeviceOptions {
  /** onnxruntime's execution provider; `cpu` when absent. */
  readonly provider?: OrtProvider;
}

const toOrt = (tensor: Tensor): ort.Tensor =>
  new ort.Tensor(tensor.dtype, storedArray(tensor) as never, tensor.shape) as ort.Tensor;

/** Floats as they come; whole numbers as numbers, which is how the compiler holds them. */
function fromOrt({ data, dims }: { readonly data: unknown; readonly dims: readonly number[] }, dtype: DType): Tensor {
  const held = data instanceof Float32Array || data instanceof Float64Array;
  return { dtype, shape: dims, data: held ? data : Float64Array.from(data as ArrayLike<number>, Number) };
}

const providers: Readonly<
  Record<OrtProvider, (options: OrtOptions) => ort.InferenceSession.ExecutionProviderConfig[]>
> = {
  cpu: () => ['cpu'],
  webgpu: () => ['webgpu', 'cpu'],
  cuda: ({ device }) => [{ name: 'cuda', deviceId: Number(device ?? 0) }, 'cpu'],
};

/** The forms in which each provider is given a graph. */
export const lowerings: Readonly<Record<OrtProvider, (graph: Graph) => Graph>> = {
  cpu: (graph) => lowerForCpu(graph, 'many'),
  webgpu: lowerForWebGpu,
  cuda: lowerForGpu,
};

/** `CPU (AMD EPYC 9354, 2 threads)`, or `2 workers of 1 thread`. */
export function cpuText(threads?: number, workers = 1): string {
  const cores = cpus();
  const count = threads ?? defaultThreads() ?? cores.length;
  const each = `${count} ${count === 1 ? 'thread' : 'threads'}`;
  return `CPU (${cores[0]?.model.trim() || process.arch}, ${workers > 1 ? `${workers} workers of ${each}` : each})`;
}

/**
 * What onnxruntime need not look for in graphs: MatMul with an Add after it, which takes it more time than all else where there are
 * thousands of nodes (a ResNet-12's meta-gradient opens in 1.9 s in place of 4.9), and makes no step faster.
 */
const DISABLED_OPTIMIZER = 'MatMulAddFusion';

/** A loaded model, in this thread or in those of a pool. */
interface Session {
  run(
    feeds: ReadonlyMap<string, Tensor>,
  ): Promise<Readonly<Record<string, { data: unknown; dims: readonly number[] }>>>;
  release(): Promise<void>;
}

/** A view's buffer goes to another thread with it: of a part of one a copy. */
const ownBuffer = (data: Float32Array): Float32Array =>
  data.byteLength < data.buffer.byteLength ? data.slice() : data;

async function openSession(
  model: Uint8Array,
  options: ort.InferenceSession.SessionOptions,
  pool: OrtWorkers | undefined,
): Promise<Session> {
  if (!pool) {
    const session = await ort.InferenceSession.create(model, options);
    return {
      run: (feeds) => session.run(Object.fromEntries([...feeds].map(([name, tensor]) => [name, toOrt(tensor)]))),
      release: () => session.release(),
    };
  }
  const session = await pool.create(model, options);
  return {
    run: async (feeds) => {
      const sent = [...feeds].map(([name, tensor]) => {
        const { dtype: type, shape } = tensor;
        return { name, type, dims: shape, data: ownBuffer(storedArray(tensor) as Float32Array) };
      });
      return Object.fromEntries((await session.run(sent)).map((output) => [output.name, output]));
    },
    release: () => session.release(),
  };
}

/**
 * onnxruntime-node, which is not tried out before the first graph is compiled; {@link openOrtBackend} does that.
 * Operators a provider lacks run on the CPU.
 */
export function ortBackend(options: OrtOptions = {}): Backend {
  const { provider = 'cpu', workers = 1 } = options;
  const pool = workers > 1 ? ortWorkers(workers) : undefined;
  const threadsOf = () => {
    const share = pool ? Math.max(1, Math.floor(availableParallelism() / workers)) : undefined;
    return options.threads ?? defaultThreads() ?? share;
  };
  return {
    name: `ort-${provider}`,
    device: provider === 'cpu' ? cpuText(threadsOf(), workers) : provider,
    parallel: workers,
    compile: async (whole) => {
      const { graph } = removeUnusedInputs(lowerings[provider](whole));
      const threads = threadsOf();
      const model = encodeOnnx(graph);
      const sessionOptions: ort.InferenceSession.SessionOptions = {
        executionProviders: providers[provider](options),
        graphOptimizationLevel: 'all',
        logSeverityLevel: 3,
        // Graphs run in turns, and threads of one that has run are not to keep the cores from the next.
        extra: {
          optimization: { disable_specified_optimizers: DISABLED_OPTIMIZER },
          session: { force_spinning_stop: '1' },
        },
        ...(threads ? { intraOpNumThreads: threads } : {}),
      };
      const open = (bytes: Uint8Array) => openSession(bytes, sessionOptions, pool);
      const tuned = provider === 'cpu' ? await tuneModel(model) : model;
      const session = tuned === model ? await open(model) : await open(tuned).catch(() => open(model));
      return {
        run: async (feeds) => {
          const bound = bindFeeds(graph, feeds);
          const found = await session.run(new Map([...bound].map(([{ name }, tensor]) => [name, tensor])));
          return new Map(
            [...graph.outputs].map(([name, { dtype }]) => {
              const output = found[name];
              if (!output) throw new Error(`onnxruntime gave no output "${name}"`);
              return [name, fromOrt(output, dtype)];
            }),
          );
        },
        release: () => session.release(),
      };
    },
  };
}

/**
 * onnxruntime-node on a provider that was tried out with a graph of one node. Throws {@link BackendUnavailableError}
 * saying what is missing.
 */
export async function openOrtBackend(provider: OrtProvider, options: DeviceOptions = {}): Promise<DeviceBackend> {
  const name = `ort-${provider}`;
  if (options.device && provider !== 'cuda') {
    throw new BackendUnavailableError(name, `it has no devices to choose from, so not "${options.device}" either`);
  }
  if (provider !== 'cpu') refuseWorkers(name, options);
  if (options.device && !/^\d+$/.test(options.device)) {
    throw new BackendUnavailableError(name, `expected a device's number, got "${options.device}"`);
  }
  const library = provider === 'cuda' ? cudaLibrary(name) : undefined;
  const backend = ortBackend({ ...options, provider });
  try {
    const trial = await tryOut(backend);
    if (provider === 'webgpu') keepers.push(trial);
    else await trial.release();
  } catch (cause) {
    throw new BackendUnavailableError(name, whyNot(firstLine(cause), provider, library), { cause });
  }
  const version = `onnxruntime-node ${ort.env.versions.node ?? ort.env.versions.common}`;
  return reportingFailures({ ...backend, ...deviceOf(provider, backend.device, options), version });
}

function deviceOf(provider: OrtProvider, own: string, { device }: DeviceOptions) {
  if (provider === 'cpu') return { device: own, accelerated: false };
  if (provider === 'cuda') return { device: `CUDA device ${device ?? 0}`, accelerated: true };
  const api = { win32: 'Direct3D 12', darwin: 'Metal' }[process.platform as string];
  if (api) return { device: `WebGPU (${api})`, accelerated: true };
  const { text, software } = loadedDrivers();
  return { device: `WebGPU (${text || 'Vulkan'})`, accelerated: !software };
}

/** A WebGPU device lives as long as one of its sessions, and with it the shaders it has compiled: seconds of work. */
const keepers: Executable[] = [];

async function tryOut(backend: Backend): Promise<Executable> {
  const g = new GraphBuilder();
  const x = g.input('x', [2, 2]);
  const y = g.apply('MatMul', [x, x], {});
  const executable = await backend.compile({ name: 'trial', inputs: [x], outputs: new Map([['y', y]]) });
  const feeds = new Map([['x', { dtype: 'float32', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) } as const]]);
  const found = (await executable.run(feeds)).get('y')?.data ?? [];
  if (Array.from(found).join() !== '7,10,15,22') throw new Error(`it multiplies wrongly: got ${found}`);
  return executable;
}

const INSTALL_CUDA =
  'run `node node_modules/onnxruntime-node/script/install.js --onnxruntime-node-install` (linux-x64), and install CUDA 12 and cuDNN 9';

/** Where the CUDA provider's library lies, which is no part of the npm package. Throws where it is not installed. */
function cudaLibrary(name: string): string {
  const root = dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'));
  const file = process.platform === 'win32' ? 'onnxruntime_providers_cuda.dll' : 'libonnxruntime_providers_cuda.so';
  const path = join(root, 'bin', 'napi-v6', process.platform, process.arch, file);
  if (!existsSync(path)) throw new BackendUnavailableError(name, `${file} is not installed; ${INSTALL_CUDA}`);
  return path;
}

/**
 * The library that the dynamic linker misses for `path`, which onnxruntime only logs. Not to be asked before
 * onnxruntime has tried to load it: without the bridge that it loads first, the library ends the process.
 */
function missingLibrary(path: string): string | undefined {
  try {
    process.dlopen({ exports: {} }, path);
  } catch (error) {
    return /([^\s/]+): cannot open shared object file/.exec((error as Error).message)?.[1];
  }
  return undefined;
}

function whyNot(detail: string, provider: OrtProvider, library: string | undefined): string {
  if (library && /load (shared )?library/i.test(detail)) {
    const missing = missingLibrary(library);
    return missing ? `${missing} is missing; ${INSTALL_CUDA}` : detail;
  }
  return provider === 'webgpu' && /adapter/i.test(detail) ? NO_ADAPTER : detail;
}

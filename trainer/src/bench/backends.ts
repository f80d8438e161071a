import type { Bundle, BundleSource } from '@whet/runtime';
import { BackendUnavailableError, firstLine } from '../backends/errors.js';

/** What runs a bundle's graphs: onnxruntime-node, or onnxruntime-web's WebAssembly in this process. */
export const benchBackends = ['node', 'wasm'] as const;
export type BenchBackendName = (typeof benchBackends)[number];

/** A runtime that bundles are loaded into. */
export interface BenchBackend {
  readonly name: BenchBackendName;
  /** `onnxruntime-node 1.30.0` */
  readonly version: string;
  /** Loads a bundle, or some of its patterns, from a folder; throws `BundleError` naming the file that does not fit. */
  load(directory: string, patterns?: readonly string[]): Promise<Bundle>;
  readonly createSession: BundleSource['createSession'];
}

export interface BenchBackendOptions {
  /** Threads inside an operator of onnxruntime-node, one per core when absent. WebAssembly has one in Node.js. */
  readonly threads?: number;
  /** What onnxruntime-node does with an adaptation's memory; `fast` when absent. WebAssembly never gives any back. */
  readonly memory?: 'fast' | 'small';
}

const openers: Readonly<Record<BenchBackendName, (options: BenchBackendOptions) => Promise<BenchBackend>>> = {
  node: async (options) => {
    const { createSession, loadBundle, ortVersion } = await import('@whet/runtime/node');
    return {
      name: 'node',
      version: `onnxruntime-node ${ortVersion}`,
      load: (directory, patterns) => loadBundle(directory, { ...options, ...(patterns && { patterns }) }),
      createSession: (model, weights, small = false) => createSession(model, { ...options, small }, weights),
    };
  },
  wasm: async () => {
    const { createSession, loadBundle, ortVersion } = await import('@whet/runtime/web');
    const { openBundleFiles } = await import('@whet/runtime/node');
    return {
      name: 'wasm',
      version: `onnxruntime-web ${ortVersion}`,
      // Unless it is told, it loads the default pattern alone, as a page wants it.
      load: (place, patterns) =>
        loadBundle(openBundleFiles(place), { patterns: patterns ?? ((manifest) => Object.keys(manifest.patterns)) }),
      createSession: (model, weights) => createSession(model, {}, weights),
    };
  },
};

const packages: Readonly<Record<BenchBackendName, string>> = { node: 'onnxruntime-node', wasm: 'onnxruntime-web' };

/** Opens a runtime by name. Throws {@link BackendUnavailableError} saying what to install where its package is missing. */
export async function openBenchBackend(
  name: BenchBackendName,
  options: BenchBackendOptions = {},
): Promise<BenchBackend> {
  try {
    return await openers[name](options);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const reason =
      code === 'ERR_MODULE_NOT_FOUND' && message.includes(packages[name])
        ? `${packages[name]} is not installed; run \`npm install ${packages[name]}\``
        : firstLine(cause);
    throw new BackendUnavailableError(name, reason, { cause });
  }
}

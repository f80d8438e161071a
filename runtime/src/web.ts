import type { InferenceSession } from 'onnxruntime-common';
import * as ort from 'onnxruntime-web/wasm';
import { Bundle, type OpenOptions } from './bundle.js';
import { BundleError } from './errors.js';
import type { BundleSource } from './source.js';

export interface WebLoadOptions extends OpenOptions {
  /**
   * Threads of the WebAssembly module; 1 when absent. It counts when the first bundle of a page is loaded. More than 1 needs
   * `SharedArrayBuffer`, so a page that is isolated from other origins; in Node.js the module starts with 1 only.
   */
  readonly threads?: number;
}

/** The version of onnxruntime-web that runs the graphs. */
export const ortVersion: string = ort.env.versions.web ?? ort.env.versions.common;

/** Reads a file of a bundle by its path in the bundle's folder, e.g. `sparse/step.onnx`. */
export type ReadFile = (path: string) => Promise<Uint8Array>;

/**
 * Loads a bundle to run as WebAssembly on onnxruntime-web, in a browser or in Node.js. `source` is the address of the
 * bundle's folder, whose files are fetched, or a function that reads them. Checks the digests of all files and the tensor
 * names of all graphs; throws {@link BundleError} naming the file that does not fit.
 */
export function loadBundle(source: string | URL | ReadFile, options: WebLoadOptions = {}): Promise<Bundle> {
  const [location, read] = typeof source === 'function' ? ['bundle', source] : [String(source), fetchFrom(source)];
  const files: BundleSource = {
    location,
    read: async (path) => {
      try {
        return await read(path);
      } catch (cause) {
        if (cause instanceof BundleError) throw cause;
        throw new BundleError(`${location}/${path}: cannot be read: ${(cause as Error).message}`, { cause });
      }
    },
    createSession: (model) => createSession(model, options),
  };
  return Bundle.open(files, options);
}

/** A session of an ONNX model on onnxruntime-web's WebAssembly, as bundles run on. */
export function createSession(model: Uint8Array, options: WebLoadOptions = {}): Promise<InferenceSession> {
  ort.env.wasm.numThreads = options.threads ?? 1;
  return ort.InferenceSession.create(model, {
    executionProviders: ['wasm'],
    graphOptimizationLevel: 'all',
  }) as Promise<InferenceSession>;
}

function fetchFrom(address: string | URL): ReadFile {
  const base = String(address).replace(/\/*$/, '/');
  return async (path) => {
    const response = await fetch(base + path);
    if (!response.ok) {
      throw new BundleError(`${base}${path}: expected the file, got HTTP ${response.status} ${response.statusText}`);
    }
    return new Uint8Array(await response.arrayBuffer());
  };
}

export { Bundle, type OpenOptions } from './bundle.js';
export { BundleError, InputError, ProfileError } from './errors.js';
export type { PredictionRequest } from './predict.js';
export type {
  AdaptOptions,
  AdaptResult,
  AdaptTimings,
  EncodedImage,
  Example,
  ImageInput,
  Prediction,
} from './types.js';

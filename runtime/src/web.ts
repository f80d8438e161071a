import type { InferenceSession } from 'onnxruntime-common';
import { Bundle, type OpenOptions } from './bundle.js';
import type { BundleSource } from './source.js';
import type { OrtFiles } from './web/assets.js';
import type { BackendChoice, ChoiceMemory, WebBackend } from './web/choose.js';
import type { FetchOptions, ReadFile } from './web/fetch-files.js';
import type { DeviceProfileStore, ProfileStoreOptions } from './web/profile-store.js';
import { readerOf } from './web/read-bundle.js';
import { createWasmSession, usableThreads } from './web/wasm.js';

export interface WebLoadOptions extends OpenOptions, FetchOptions {
  /**
   * `wasm` when absent. `webgpu` throws `BundleError` where there is none. `auto` loads the bundle on both, where there is a
   * GPU, and takes the faster one that computes the same; `memory` keeps the answer for the next time.
   */
  readonly backend?: WebBackend | 'auto';
  /**
   * Threads of the WebAssembly module; 1 when absent. It counts when the first bundle of a page is loaded. More than 1 needs
   * `SharedArrayBuffer`, so a page that is isolated from other origins; `auto` takes up to four there. In Node.js the module starts with 1 only.
   */
  readonly threads?: number | 'auto';
  /** Where onnxruntime-web's files are; beside its script when absent. */
  readonly files?: { readonly wasm?: OrtFiles; readonly webgpu?: OrtFiles };
  readonly memory?: ChoiceMemory;
  /** Told once what runs the graphs. */
  readonly onBackend?: (choice: BackendChoice) => void;
  /** Told, with the reason, when WebGPU was lost and WebAssembly goes on, from the step that failed. */
  readonly onLost?: (reason: string) => void;
}

/**
 * Loads a bundle to run on onnxruntime-web, in a browser, in a worker of one or in Node.js. `source` is the address of the
 * bundle's folder, whose files are fetched, or a function that reads them. Checks the digests of all files it reads and the
 * tensor names of all graphs; throws {@link BundleError} naming the file that does not fit. Where no `patterns` are named, the bundle's
 * default alone is loaded: `Bundle.load` fetches another when it is needed.
 */
export async function loadBundle(source: string | URL | ReadFile, options: WebLoadOptions = {}): Promise<Bundle> {
  const { backend = 'wasm', onBackend } = options;
  const threads = options.threads === 'auto' ? usableThreads() : (options.threads ?? 1);
  const read = readerOf(source, options, backend === 'auto');
  const openWasm = () => open({ ...read, loops: true }, wasmSessions(options, threads), options);
  const openGpu = async () => {
    const { openWebGpu } = await import('./web/webgpu.js');
    const fallback = wasmSessions(options, threads);
    const sessions = await openWebGpu({ files: options.files?.webgpu, fallback, onLost: options.onLost });
    // Whether a GPU runs a graph shows when its session is made, while there is another choice.
    return open(read, sessions, { ...options, preload: true });
  };
  if (backend !== 'auto') {
    const bundle = await (backend === 'wasm' ? openWasm() : openGpu());
    onBackend?.({ backend, threads, reason: 'chosen' });
    return bundle;
  }
  const { openFaster } = await import('./web/choose.js');
  const { bundle, choice } = await openFaster(openWasm, openGpu, threads, options.memory);
  onBackend?.(choice);
  return bundle;
}

const wasmSessions =
  ({ files }: WebLoadOptions, threads: number) =>
  (model: Uint8Array, weights?: ReadonlyMap<string, Uint8Array>) =>
    createWasmSession(model, { threads, files: files?.wasm }, weights);

function open(
  source: Omit<BundleSource, 'createSession'>,
  createSession: BundleSource['createSession'],
  { patterns = ({ defaultPattern }) => [defaultPattern], preload = true }: OpenOptions,
): Promise<Bundle> {
  return Bundle.open({ ...source, createSession }, { preload, patterns });
}

/** A session of an ONNX model on onnxruntime-web's WebAssembly, as bundles run on. */
export function createSession(
  model: Uint8Array,
  { threads = 1 }: { threads?: number } = {},
  weights?: ReadonlyMap<string, Uint8Array>,
): Promise<InferenceSession> {
  return createWasmSession(model, { threads }, weights);
}

/**
 * Opens the device's profiles. Never rejects: where IndexedDB is denied, or a write fails because the device is full, the
 * store goes on in memory, over what was written before, and says so in `problem`.
 */
export async function openProfileStore<Extra = unknown>(
  options: ProfileStoreOptions = {},
): Promise<DeviceProfileStore<Extra>> {
  const { openDeviceStore } = await import('./web/profile-store.js');
  return openDeviceStore<Extra>(options);
}

export { Bundle, type OpenOptions } from './bundle.js';
export { BundleError, type ImageProblem, InputError, ProfileError, type ProfileProblem } from './errors.js';
export type { FreezeOptions } from './freeze.js';
export type { Manifest, PatternManifest } from './manifest.js';
export { filesOf } from './manifest.js';
export { pixelsToTensor, type RgbaImage, resizePixels } from './pixels.js';
export type { PredictionRequest } from './predict.js';
export type { Preprocessing } from './preprocessing.js';
export { Profile, readProfile } from './profile.js';
export type * from './types.js';
export { findAdapter } from './web/adapter.js';
export type { OrtFiles } from './web/assets.js';
export type { BackendChoice, ChoiceMemory, WebBackend } from './web/choose.js';
export { type BrowserDecodeOptions, decodeFile, decodeRgba } from './web/decode-image.js';
export { type DownloadProgress, fetchFrom, type ReadFile } from './web/fetch-files.js';
export { onceLoaded } from './web/once-loaded.js';
export type { DeviceProfileStore, ProfileStoreOptions, StoredProfile } from './web/profile-store.js';
export { ortVersion, usableThreads } from './web/wasm.js';

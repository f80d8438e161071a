import pageScript from '@whet/runtime/html-script.js?url';
import type { BackendChoice, DownloadProgress, WebBackend } from '@whet/runtime/web';
import * as Comlink from 'comlink';
import gpuMjs from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.mjs?url';
import gpuWasm from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url';
import wasmMjs from 'onnxruntime-web/ort-wasm-simd-threaded.mjs?url';
import wasmWasm from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url';
import type { Compute, Opened, OpenRequest } from '../workers/compute.js';
import type { Loader } from '../workers/loader.js';

const absolute = (url: string) => new URL(url, location.href).href;
const urls: OpenRequest['urls'] = {
  wasm: { mjs: absolute(wasmMjs), wasm: absolute(wasmWasm) },
  webgpu: { mjs: absolute(gpuMjs), wasm: absolute(gpuWasm) },
  webPage: { script: absolute(pageScript), wasm: absolute(wasmWasm) },
};

/** Milliseconds that a cancel may take before the worker is ended: as long as one step of a large pattern may compute. */
const PATIENCE_MS = 1500;

export interface ComputeEvents {
  readonly onProgress?: (progress: DownloadProgress) => void;
  readonly onLost?: (reason: string) => void;
}

export interface Memory {
  get(key: string): Promise<unknown>;
  set(key: string, value: unknown): Promise<void>;
}

const aborted = () => new DOMException('cancelled', 'AbortError');

/** The worker that fetches files, for all workers of the page. */
export class LoaderClient {
  readonly #worker = new Worker(new URL('../workers/loader.ts', import.meta.url), { type: 'module', name: 'loader' });
  readonly #remote: Comlink.Remote<Loader> = Comlink.wrap<Loader>(this.#worker);
  #hasStarted = false;
  #end: (reason: Error) => void = () => {};
  /** Rejects where the worker does not start, or is closed. */
  readonly ended = new Promise<never>((_, reject) => {
    this.#end = reject;
  });

  constructor() {
    this.ended.catch(() => {});
    this.#worker.addEventListener('error', ({ message, filename }) => {
      // Of one that answered, errors are answers.
      if (this.#hasStarted) return;
      const reason = message ? `${message} (${filename})` : 'its script cannot be loaded';
      this.#end(new Error(`the worker that fetches the model does not start: ${reason}`));
    });
  }

  /** Asks the worker for something; rejects where it does not start. */
  async call<T>(ask: (loader: Comlink.Remote<Loader>) => Promise<T>): Promise<T> {
    const answer = await Promise.race([ask(this.#remote), this.ended]);
    this.#hasStarted = true;
    return answer;
  }

  close(): void {
    this.#worker.terminate();
    this.#end(aborted());
  }

  /** A port on which a worker may ask for files. */
  port(): MessagePort {
    const { port1, port2 } = new MessageChannel();
    this.#worker.postMessage({ kind: 'port' }, [port1]);
    return port2;
  }
}

/** The worker that computes, of one bundle. It is replaced by a new one where it does not stop when told to. */
export class ComputeClient {
  #worker: Worker | undefined;
  #remote: Comlink.Remote<Compute> | undefined;
  #end: (reason: Error) => void = () => {};
  #ended: Promise<never> = Promise.reject(aborted());
  #opening: Promise<Opened> | undefined;

  constructor(
    private readonly loader: LoaderClient,
    private readonly request: {
      readonly bundle: string;
      readonly backend: WebBackend | 'auto';
      readonly threads: number | 'auto';
    },
    private readonly events: ComputeEvents = {},
    private readonly memory?: Memory,
  ) {
    this.#ended.catch(() => {});
  }

  /** Starts a worker and opens the bundle in it. */
  open(): Promise<Opened> {
    const worker = new Worker(new URL('../workers/compute-worker.ts', import.meta.url), {
      type: 'module',
      name: 'compute',
    });
    this.#worker = worker;
    this.#ended = new Promise((_, reject) => {
      this.#end = reject;
    });
    this.#ended.catch(() => {});
    const onError = (event: ErrorEvent) => this.#end(new Error(event.message || 'the worker does not start'));
    worker.addEventListener('error', onError);
    const remote = Comlink.wrap<Compute>(worker);
    this.#remote = remote;
    const port = this.loader.port();
    const told = Comlink.proxy({
      onProgress: (progress: DownloadProgress) => this.events.onProgress?.(progress),
      onLost: (reason: string) => this.events.onLost?.(reason),
    });
    const memory = this.memory && Comlink.proxy(this.memory);
    const request: OpenRequest = { ...this.request, urls };
    this.#opening = Promise.race([
      remote.open(request, Comlink.transfer(port, [port]), told, memory) as Promise<Opened>,
      this.#ended,
      this.loader.ended,
    ]);
    // Later errors are those of a lost GPU's callbacks; what was asked for is answered by WebAssembly.
    this.#opening.then(
      () => worker.removeEventListener('error', onError),
      () => {},
    );
    return this.#opening;
  }

  /** Asks the worker for something, once it is open; rejects where it was ended meanwhile. */
  async call<T>(ask: (compute: Comlink.Remote<Compute>) => Promise<T>): Promise<T> {
    await this.#opening;
    if (!this.#remote) throw aborted();
    return Promise.race([ask(this.#remote), this.#ended]);
  }

  /** Cancels what is computed now. A worker that goes on all the same is ended, and its bundle opened anew. */
  async cancel(running: Promise<unknown>): Promise<void> {
    void this.#remote?.cancel();
    const stopped = running.then(
      () => true,
      () => true,
    );
    const patience = new Promise<false>((resolve) => setTimeout(() => resolve(false), PATIENCE_MS));
    if (await Promise.race([stopped, patience])) return;
    this.close();
    void this.open();
  }

  close(): void {
    this.#worker?.terminate();
    this.#remote = undefined;
    this.#end(aborted());
  }
}

/** Measures in a worker of its own which backend is faster, so that nobody waits; resolves to the choice. */
export async function measureChoice(loader: LoaderClient, bundle: string, memory: Memory): Promise<BackendChoice> {
  const client = new ComputeClient(loader, { bundle, backend: 'auto', threads: 'auto' }, {}, memory);
  try {
    return (await client.open()).choice;
  } finally {
    client.close();
  }
}

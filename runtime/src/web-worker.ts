import * as Comlink from 'comlink';
import type { Bundle } from './bundle.js';
import { BundleError, InputError, ProfileError } from './errors.js';
import type { FreezeOptions } from './freeze.js';
import type { Manifest } from './manifest.js';
import type { RgbaImage } from './pixels.js';
import { type Profile, readProfile } from './profile.js';
import type { AdaptOptions, AdaptResult, EncodedImage, Example, ImageInput, Prediction } from './types.js';
import type { OrtFiles } from './web/assets.js';
import type { Crossed, Host } from './web/worker-host.js';
import type { WebLoadOptions } from './web.js';

export interface WorkerLoadOptions extends Omit<WebLoadOptions, 'patterns' | 'onFetched'> {
  /** Patterns to load, by name; the bundle's default when absent. */
  readonly patterns?: readonly string[];
}

const classes = { BundleError, ProfileError };

function contentOf<T>({ value, error }: Crossed<T>): T {
  if (!error) return value as T;
  const { name, message, field } = error;
  if (field !== undefined) throw new InputError(field, message);
  throw new classes[name as keyof typeof classes](message);
}

const absolute = (address: string | URL): string => new URL(address, globalThis.location?.href).href;
const filesAt = ({ mjs, wasm }: OrtFiles): OrtFiles => ({
  mjs: absolute(mjs),
  wasm: wasm instanceof ArrayBuffer ? wasm : absolute(wasm),
});
/** A function that the worker may call: by a copy, as Comlink marks what it is given. */
const calledBack = <A extends unknown[]>(told: ((...given: A) => unknown) | undefined) =>
  told && Comlink.proxy((...given: A) => void told(...given));

/** A function that is told no more once it threw; `fail` gets what it threw. */
function guarded<A extends unknown[]>(told: (...given: A) => void, fail: (cause: unknown) => void) {
  let failed = false;
  return (...given: A): void => {
    if (failed) return;
    try {
      told(...given);
    } catch (cause) {
      failed = true;
      fail(cause);
    }
  };
}

/**
 * Opens a bundle in a worker that is made for it: adapting and predicting, decoding and resizing too, take no time of this thread. `source` is the
 * address of the bundle's folder or `.whet` file. Throws {@link BundleError} as `loadBundle` does, and where the worker's script cannot be loaded.
 */
export async function openInWorker(source: string | URL, options: WorkerLoadOptions = {}): Promise<WorkerBundle> {
  const { signal, onProgress, onBackend, onLost, memory, files, ...rest } = options;
  signal?.throwIfAborted();
  const worker = new Worker(new URL('./web/worker.js', import.meta.url), { type: 'module', name: 'whet' });
  const ending = new AbortController();
  worker.addEventListener('error', ({ message }) =>
    ending.abort(new BundleError(`${source}: the worker failed: ${message || 'its script cannot be loaded'}`)),
  );
  const host = Comlink.wrap<Host>(worker);
  const moved = Object.entries(files ?? {}).map(([name, own]) => [name, filesAt(own)]);
  try {
    const opening = host.open(
      absolute(source),
      { ...rest, ...(files ? { files: Object.fromEntries(moved) } : {}) },
      calledBack(onProgress),
      calledBack(onBackend),
      calledBack(onLost),
      memory &&
        Comlink.proxy({
          get: (key: string) => memory.get(key),
          set: (key: string, value: unknown) => memory.set(key, value),
        }),
    );
    const { manifest, digest } = contentOf(
      await until(opening, signal ? AbortSignal.any([ending.signal, signal]) : ending.signal),
    );
    return new WorkerBundle(manifest, digest, worker, host, ending);
  } catch (cause) {
    worker.terminate();
    throw cause;
  }
}

/** What comes of a call, unless what it waits for ends before. */
async function until<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  let stop = () => {};
  const stopped = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop);
  });
  try {
    return await Promise.race([answer, stopped]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** A bundle that works in a worker, with the methods that it has elsewhere. A profile stays on this side, and goes over as its bytes. */
export class WorkerBundle implements Pick<Bundle, 'adapt' | 'predict' | 'encode' | 'freeze' | 'load' | 'release'> {
  #calls = 0;

  constructor(
    readonly manifest: Manifest,
    readonly digest: string,
    private readonly worker: Worker,
    private readonly host: Comlink.Remote<Host>,
    private readonly ending: AbortController,
  ) {}

  /** As `Bundle.adapt`; `onStep` is told a little later, and `signal`, or an error of `onStep`, heard between steps. */
  async adapt(examples: readonly Example<ImageInput>[], options: AdaptOptions = {}): Promise<AdaptResult> {
    const { signal, onStep, from, ...rest } = options;
    const failing = new AbortController();
    const stopping = AbortSignal.any(signal ? [signal, failing.signal] : [failing.signal]);
    stopping.throwIfAborted();
    const call = this.#calls++;
    const cancel = () => void this.host.cancel(call);
    stopping.addEventListener('abort', cancel);
    const told = onStep && guarded(onStep, (cause) => failing.abort(cause));
    try {
      const asked = { ...rest, ...(from ? { from: from.toBytes() } : {}) };
      const { profile, ...result } = await this.#answer(this.host.adapt(call, examples, asked, calledBack(told)));
      failing.signal.throwIfAborted();
      return { ...result, profile: readProfile(profile) };
    } catch (cause) {
      // An error crosses as a copy: what stopped it is told itself.
      stopping.throwIfAborted();
      throw cause;
    } finally {
      stopping.removeEventListener('abort', cancel);
    }
  }

  /** As `Bundle.predict`. */
  predict(profile: Profile, images: readonly ImageInput[]): Promise<Prediction[]> {
    return this.#answer(this.host.predict(profile.toBytes(), images));
  }

  /** As `Bundle.encode`. */
  async encode(
    images: readonly Float32Array[],
    { pattern, signal }: Pick<AdaptOptions, 'pattern' | 'signal'> = {},
  ): Promise<EncodedImage[]> {
    signal?.throwIfAborted();
    const encoded = await this.#answer(this.host.encode(images, pattern));
    signal?.throwIfAborted();
    return encoded;
  }

  /** As `Bundle.profileFromBytes`, which the worker does. */
  async profileFromBytes(bytes: Uint8Array): Promise<Profile> {
    await this.#answer(this.host.check(bytes));
    return readProfile(bytes);
  }

  /** As `Bundle.initialProfile`, which the worker does. */
  async initialProfile(pattern?: string): Promise<Profile> {
    return readProfile(await this.#answer(this.host.initialProfile(pattern)));
  }

  /** As `Bundle.freeze`, but for `upgrade`. */
  freeze(profile: Profile, { input }: Omit<FreezeOptions, 'upgrade'> = {}): Promise<Uint8Array> {
    return this.#answer(this.host.freeze(profile.toBytes(), input));
  }

  /** As `Bundle.load`. */
  load(pattern: string): Promise<void> {
    return this.#answer(this.host.load(pattern));
  }

  /**
   * A picture as the bundle takes it, `[C, H, W]`: a file, pixels such as a canvas gives, or an `ImageBitmap`, as of a video, which is handed over and
   * cannot be used afterwards. Throws {@link InputError} where a file is no picture.
   */
  decode(picture: Blob | RgbaImage | ImageBitmap): Promise<Float32Array> {
    const given = picture instanceof ImageBitmap ? Comlink.transfer(picture, [picture]) : picture;
    return this.#answer(this.host.decode(given));
  }

  /** Ends the worker; the bundle cannot be used afterwards. */
  async release(): Promise<void> {
    this.ending.abort(new Error('the bundle was released'));
    this.worker.terminate();
  }

  async #answer<T>(answering: Promise<Crossed<T>>): Promise<T> {
    return contentOf(await until(answering, this.ending.signal));
  }
}

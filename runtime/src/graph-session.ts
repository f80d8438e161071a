import type { InferenceSession } from 'onnxruntime-common';
import { BundleError } from './errors.js';
import { checkOutline } from './outline.js';
import type { Runnable } from './run-session.js';
import type { BundleSource } from './source.js';

/** Names of tensors: those that a graph's inputs may have, those that they must, and outputs that it must have. */
export type TensorNames = readonly [allowed: readonly string[], needed: readonly string[], outputs: readonly string[]];

export interface GraphOptions {
  readonly names: TensorNames;
  /** Whether one thread runs it in less time than several. */
  readonly small: boolean;
  /** Whether it runs on many images at once; as many as are asked about, where it does not. */
  readonly many?: boolean;
  /** Makes the model to run of the bundle's, whose tensors are checked. */
  readonly prepare?: ((model: Uint8Array) => Uint8Array) | undefined;
}

/** A graph of a bundle, and its session: made once, when it is opened or first runs. */
export class GraphSession implements Runnable {
  readonly inputNames: readonly string[];
  #opening: Promise<InferenceSession> | undefined;
  #isOpen = false;
  #released = false;
  /** Dropped once there is a session, with the bytes that it is made of. */
  #make: (() => Promise<InferenceSession>) | undefined;

  /** Throws {@link BundleError} where the graph keeps values elsewhere than in `weights`, or its tensors have other names. */
  constructor(
    source: BundleSource,
    path: string,
    model: Uint8Array,
    weights: ReadonlyMap<string, Uint8Array>,
    { names, small, many = false, prepare = (bytes) => bytes }: GraphOptions,
  ) {
    const location = `${source.location}/${path}`;
    try {
      const outline = checkOutline(model, weights);
      checkNames(outline, names);
      this.inputNames = outline.inputs;
    } catch (cause) {
      throw new BundleError(`${location}: ${(cause as Error).message}`, { cause });
    }
    this.#make = async () => {
      const open = (bytes: Uint8Array) => source.createSession(prepare(bytes), weights, small);
      try {
        const tuned = many && source.tune ? await source.tune(model) : model;
        // What onnxruntime has beside its promises may change: then as it stands, which says what is wrong where that is it.
        return tuned === model ? await open(model) : await open(tuned).catch(() => open(model));
      } catch (cause) {
        if (cause instanceof BundleError) throw new BundleError(`${location}: ${cause.message}`, { cause });
        throw new BundleError(`${location}: onnxruntime does not load it: ${(cause as Error).message}`, { cause });
      }
    };
  }

  /** Whether there is a session. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Throws {@link BundleError} where onnxruntime does not load the graph; it is tried again next time. */
  open(): Promise<InferenceSession> {
    if (this.#released) return Promise.reject(new Error('the bundle was released'));
    this.#opening ??= this.#open();
    return this.#opening;
  }

  async #open(): Promise<InferenceSession> {
    try {
      const session = await (this.#make as () => Promise<InferenceSession>)();
      this.#make = undefined;
      this.#isOpen = !this.#released;
      return session;
    } catch (cause) {
      this.#opening = undefined;
      throw cause;
    }
  }

  async run(feeds: InferenceSession.FeedsType): Promise<InferenceSession.ReturnType> {
    return (await this.open()).run(feeds);
  }

  /** Frees the session, also one that is being made; the graph does not run afterwards. */
  async release(): Promise<void> {
    const opening = this.#opening;
    [this.#released, this.#isOpen, this.#opening, this.#make] = [true, false, undefined, undefined];
    const session = await opening?.catch(() => undefined);
    await session?.release();
  }
}

function checkNames(
  { inputs, outputs }: { readonly inputs: readonly string[]; readonly outputs: readonly string[] },
  [allowed, needed, told]: TensorNames,
): void {
  const problems = [
    ...inputs
      .filter((input) => !allowed.includes(input))
      .map((input) => `unexpected input "${input}" (expected of ${allowed.join(', ')})`),
    ...needed
      .filter((input) => !inputs.includes(input))
      .map((input) => `missing input "${input}" (got ${inputs.join(', ')})`),
    ...told
      .filter((output) => !outputs.includes(output))
      .map((output) => `missing output "${output}" (got ${outputs.join(', ')})`),
  ];
  if (problems.length > 0) throw new BundleError(`tensor names: ${problems.join('; ')}`);
}

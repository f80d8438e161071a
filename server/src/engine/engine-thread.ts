import { Worker } from 'node:worker_threads';
import { BundleError } from '@whet/runtime';
import {
  type AdaptControl,
  type AdaptedProfile,
  type Answer,
  type Engine,
  EngineError,
  type Model,
  type ProfileSummary,
} from './engine.js';
import { receiveError } from './local.js';
import type { FromThread, SentAnswer, ThreadSettings, ToThread } from './messages.js';

/** Milliseconds. */
export interface Patience {
  /** That a thread may say nothing while an answer is due: to a prediction, or to an adaptation that is to stop. */
  readonly answerMs: number;
  /** That one which is started anew may take longer than at first. */
  readonly startMs: number;
  /** That it may take to end when it is told to. */
  readonly closeMs: number;
  /** Until one that did not start is started again, and twice as long each time, up to the second. */
  readonly restartMs: readonly [least: number, most: number];
}

const PATIENCE: Patience = { answerMs: 120_000, startMs: 120_000, closeMs: 5000, restartMs: [500, 30_000] };

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
  readonly onStep: AdaptControl['onStep'];
  /** Whether an answer is due, so that a thread which says nothing is taken for stuck. */
  due: boolean;
}

/**
 * A thread and the requests that it has not answered yet. One that ends by itself, or is stuck, is started anew; what it was asked
 * rejects with `EngineError`, and so does what is asked while it cannot be started.
 */
export class EngineThread {
  models: readonly { readonly manifest: Model['manifest']; readonly digest: string }[] = [];
  sessions = 0;
  /** What it read of its bundles, for threads beside it. Started anew, it runs on the same. */
  files: ThreadSettings['files'];
  /** One more each time it is started anew: what it was told before, it does not know. */
  generation = 0;
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | undefined;
  #ready: Promise<void>;
  #failed: (error: Error) => void = () => undefined;
  #silence: NodeJS.Timeout | undefined;
  #restarting: NodeJS.Timeout | undefined;
  #restartMs: number;
  #isReady = false;
  /** Milliseconds that the first start took. */
  #startMs: number | undefined;
  #next = 0;
  /** Requests that wait for its start. */
  #early = 0;
  #closed = false;

  private constructor(
    private readonly script: URL,
    private readonly settings: ThreadSettings,
    private readonly patience: Patience,
  ) {
    this.#restartMs = patience.restartMs[0];
    this.files = settings.files;
    this.#ready = this.#spawn();
  }

  /** Rejects with `BundleError` where a folder is no bundle, or with what the thread ended with. */
  static async start(script: URL, settings: ThreadSettings, patience: Partial<Patience> = {}): Promise<EngineThread> {
    const thread = new EngineThread(script, settings, { ...PATIENCE, ...patience });
    await thread.#ready;
    return thread;
  }

  /**
   * The same without waiting for it: what it is asked waits until it has started. Where it does not start it is tried again, as `settings` have
   * been seen to work within `startMs` milliseconds.
   */
  static begin(script: URL, settings: ThreadSettings, startMs: number): EngineThread {
    const thread = new EngineThread(script, settings, PATIENCE);
    thread.#startMs = startMs;
    return thread;
  }

  /** Requests that it has not answered yet, also those that wait for its start. */
  get busy(): number {
    return this.#waiting.size + this.#early;
  }

  adapt(job: Parameters<Engine['adapt']>[0], { signal, onStep }: AdaptControl): Promise<AdaptedProfile> {
    const id = this.#next++;
    return new Promise<AdaptedProfile>((resolve, reject) => {
      const abort = () => {
        const waiting = this.#waiting.get(id);
        if (waiting) {
          waiting.due = true;
          this.#worker?.postMessage({ type: 'abort', id } satisfies ToThread);
          this.#watch();
        }
        // What the thread still says of it is for nobody.
        reject(signal.reason);
      };
      if (signal.aborted) return reject(signal.reason);
      signal.addEventListener('abort', abort, { once: true });
      this.#ask({ type: 'adapt', id, job }, (step, loss) => !signal.aborted && onStep?.(step, loss), signal)
        .then((value) => resolve(value as AdaptedProfile), reject)
        .finally(() => signal.removeEventListener('abort', abort));
    });
  }

  async predict(model: string, queries: Parameters<Engine['predict']>[1]): Promise<Answer[]> {
    const answers = (await this.#ask({ type: 'predict', id: this.#next++, model, queries })) as SentAnswer[];
    return answers.map((each) => (each.kind === 'error' ? { kind: 'error', error: receiveError(each.sent) } : each));
  }

  async inspect(model: string, bytes: Uint8Array): Promise<ProfileSummary> {
    return (await this.#ask({ type: 'inspect', id: this.#next++, model, bytes })) as ProfileSummary;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#restarting);
    const worker = this.#worker;
    if (!worker) return;
    const ended = new Promise((resolve) => worker.once('exit', resolve));
    const timer = setTimeout(() => void worker.terminate(), this.patience.closeMs);
    worker.postMessage({ type: 'close' } satisfies ToThread);
    await ended;
    clearTimeout(timer);
  }

  async #ask(
    message: Exclude<ToThread, { type: 'abort' | 'close' }>,
    onStep?: AdaptControl['onStep'],
    signal?: AbortSignal,
  ): Promise<unknown> {
    if (this.#closed) throw new EngineError('a thread of the engine has ended');
    this.#early++;
    try {
      await this.#ready;
    } finally {
      this.#early--;
    }
    // It was ended while the thread was started anew.
    signal?.throwIfAborted();
    return new Promise((resolve, reject) => {
      if (!this.#worker) throw new EngineError('a thread of the engine has ended');
      // Throws where something in it cannot be sent.
      this.#worker.postMessage(message);
      this.#waiting.set(message.id, { resolve, reject, onStep, due: message.type !== 'adapt' });
      this.#watch();
    });
  }

  /** Begins anew to wait for a sign of life, while an answer is due. */
  #watch(): void {
    clearTimeout(this.#silence);
    const worker = this.#worker;
    if (!worker || ![...this.#waiting.values()].some(({ due }) => due)) return;
    const { answerMs } = this.patience;
    const error = new EngineError(`expected an answer of a thread of the engine within ${answerMs} ms, got none`);
    this.#silence = setTimeout(() => this.#end(worker, error), answerMs).unref();
  }

  #spawn(): Promise<void> {
    const began = performance.now();
    const worker = new Worker(this.script, { workerData: { ...this.settings, files: this.files } });
    this.#worker = worker;
    if (this.#startMs !== undefined) {
      const limit = this.#startMs + this.patience.startMs;
      const error = new EngineError(`expected a thread of the engine to start within ${Math.round(limit)} ms`);
      this.#silence = setTimeout(() => this.#end(worker, error), limit).unref();
    }
    const ready = new Promise<void>((resolve, reject) => {
      this.#failed = reject;
      let failure: Error | undefined;
      worker.on('message', (message: FromThread) => {
        // What one that was given up still says is of another time.
        if (worker !== this.#worker) return;
        if (message.type === 'ready') {
          this.models = message.models;
          this.files = message.files;
          this.sessions = message.sessions;
          this.#startMs ??= performance.now() - began;
          this.#restartMs = this.patience.restartMs[0];
          this.#isReady = true;
          clearTimeout(this.#silence);
          resolve();
        } else this.#receive(message);
      });
      worker.on('error', (error) => {
        failure = error as Error;
      });
      worker.on('messageerror', (cause) => {
        this.#end(worker, new EngineError('a thread of the engine sent what cannot be read', { cause }));
      });
      worker.once('exit', (code) => {
        const told = failure?.message ?? `code ${code}`;
        const error =
          failure?.name === 'BundleError' && this.#startMs === undefined
            ? new BundleError(failure.message)
            : new EngineError(`a thread of the engine ended: ${told}`, { cause: failure });
        this.#end(worker, error);
      });
    });
    // Whoever asks next is told.
    ready.catch(() => undefined);
    return ready;
  }

  /** The thread has ended, or is given up: who waits for it is told, and it is started anew unless it never worked. */
  #end(worker: Worker, error: Error): void {
    if (worker !== this.#worker) return;
    this.#worker = undefined;
    this.sessions = 0;
    clearTimeout(this.#silence);
    // A thread that is stuck in the machine's own code may never end; nothing waits for it.
    void worker.terminate().catch(() => undefined);
    this.#failed(error);
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
    if (this.#closed || this.#startMs === undefined) return;
    this.generation++;
    // One that worked works again; what keeps one from starting, such as a bundle that is just being replaced, may pass.
    const delay = this.#isReady ? 0 : this.#restartMs;
    if (!this.#isReady) this.#restartMs = Math.min(this.#restartMs * 2, this.patience.restartMs[1]);
    this.#isReady = false;
    const restart = () => {
      this.#ready = this.#spawn();
    };
    if (delay === 0) restart();
    else this.#restarting = setTimeout(restart, delay).unref();
  }

  #receive(message: Exclude<FromThread, { type: 'ready' }>): void {
    const waiting = this.#waiting.get(message.id);
    if (!waiting) return;
    if (message.type === 'step') {
      this.#watch();
      try {
        waiting.onStep?.(message.step, message.loss);
      } catch (error) {
        waiting.due = true;
        this.#worker?.postMessage({ type: 'abort', id: message.id } satisfies ToThread);
        waiting.reject(error as Error);
      }
      return;
    }
    this.sessions = message.sessions;
    this.#waiting.delete(message.id);
    this.#watch();
    if (message.type === 'done') waiting.resolve(message.value);
    else waiting.reject(receiveError(message.error));
  }
}

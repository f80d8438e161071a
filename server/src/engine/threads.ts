import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { BundleError } from '@whet/runtime';
import { LRUCache } from 'lru-cache';
import type { AdaptControl, AdaptedProfile, Answer, Engine, Model, ProfileSummary } from './engine.js';
import { receiveError } from './local.js';
import type { FromThread, SentAnswer, ThreadSettings, ToThread } from './messages.js';

export interface ThreadOptions {
  /** Threads inside an operator, of predictions and of adaptations each; the machine's cores when absent. */
  readonly threads?: number;
  /** Adaptations that run at the same time, each in a thread with sessions of its own; 1 when absent. */
  readonly adaptThreads?: number;
  /**
   * How far adaptations give way to predictions, to the thread that answers requests, and to whatever else runs on the
   * machine: 0 not at all, to 19; 10 when absent. On Linux only.
   */
  readonly adaptNiceness?: number;
}
/** Profiles that the predicting thread is known to have; it forgets none by itself before its own, larger limit. */
const KNOWN_BYTES = 128 * 1024 * 1024;

/**
 * An engine whose graphs run in threads of their own: one predicts, others adapt at a lower priority, so that neither
 * requests nor predictions wait for an inner step. Rejects with `BundleError` where a folder is no bundle.
 */
export async function threadedEngine(directories: readonly string[], options: ThreadOptions = {}): Promise<Engine> {
  const { threads = availableParallelism(), adaptThreads = 1, adaptNiceness = 10 } = options;
  const started = await Promise.allSettled([
    Thread.start({ directories, threads, niceness: 0 }),
    ...Array.from({ length: adaptThreads }, () => Thread.start({ directories, threads, niceness: adaptNiceness })),
  ]);
  const failure = started.find(({ status }) => status === 'rejected') as PromiseRejectedResult | undefined;
  const [predictor, ...adapters] = started.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
  if (failure || !predictor) {
    for (const thread of [predictor, ...adapters]) await thread?.close();
    throw failure?.reason;
  }
  const models = new Map<string, Model>();
  for (const { manifest, digest } of predictor.models) {
    if (models.has(manifest.name)) {
      for (const thread of [predictor, ...adapters]) await thread.close();
      throw new BundleError(`two bundles are called "${manifest.name}"; names must differ`);
    }
    models.set(manifest.name, { name: manifest.name, manifest, digest });
  }
  const known = new LRUCache<string, true>({ maxSize: KNOWN_BYTES });
  const idlest = () => adapters.reduce((best, each) => (each.busy < best.busy ? each : best));
  return {
    models,
    get sessions() {
      return [predictor, ...adapters].reduce((sum, { sessions }) => sum + sessions, 0);
    },
    adapt: (job, control) => idlest().adapt(job, control),
    async predict(model, queries) {
      const sent = queries.map((query) => {
        if (query.key === undefined) return query;
        const name = `${predictor.generation} ${model} ${query.key}`;
        if (query.bytes) known.set(name, true, { size: Math.max(1, query.bytes.byteLength) });
        else if (!known.get(name)) return undefined;
        return query;
      });
      const asked = sent.filter((query) => query !== undefined);
      const got = asked.length === 0 ? [] : await predictor.predict(model, asked);
      let next = 0;
      return sent.map((query): Answer => (query ? (got[next++] as Answer) : { kind: 'unknown' }));
    },
    // Not where predictions run: whatever the bytes are, nobody's prediction waits for them.
    inspect: (model, bytes) => idlest().inspect(model, bytes),
    async close() {
      await Promise.all([predictor, ...adapters].map((thread) => thread.close()));
    },
  };
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
  readonly onStep: AdaptControl['onStep'];
}

/** A thread and the requests that it has not answered yet. One that ends by itself is started anew. */
class Thread {
  models: readonly { readonly manifest: Model['manifest']; readonly digest: string }[] = [];
  sessions = 0;
  /** One more each time it is started anew: what it was told before, it does not know. */
  generation = 0;
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | undefined;
  #ready: Promise<void>;
  #next = 0;
  #closed = false;

  private constructor(private readonly settings: ThreadSettings) {
    this.#ready = this.#spawn();
  }

  static async start(settings: ThreadSettings): Promise<Thread> {
    const thread = new Thread(settings);
    await thread.#ready;
    return thread;
  }

  get busy(): number {
    return this.#waiting.size;
  }

  adapt(job: Parameters<Engine['adapt']>[0], { signal, onStep }: AdaptControl): Promise<AdaptedProfile> {
    const id = this.#next++;
    return new Promise<AdaptedProfile>((resolve, reject) => {
      const abort = () => {
        // What the thread still says of it is not listened to any more.
        if (this.#waiting.delete(id)) this.#worker?.postMessage({ type: 'abort', id } satisfies ToThread);
        reject(signal.reason);
      };
      if (signal.aborted) return reject(signal.reason);
      signal.addEventListener('abort', abort, { once: true });
      this.#ask({ type: 'adapt', id, job }, onStep)
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
    const worker = this.#worker;
    if (!worker) return;
    const ended = new Promise((resolve) => worker.once('exit', resolve));
    worker.postMessage({ type: 'close' } satisfies ToThread);
    await ended;
  }

  async #ask(
    message: Exclude<ToThread, { type: 'abort' | 'close' }>,
    onStep?: AdaptControl['onStep'],
  ): Promise<unknown> {
    await this.#ready;
    return new Promise((resolve, reject) => {
      this.#waiting.set(message.id, { resolve, reject, onStep });
      this.#worker?.postMessage(message);
    });
  }

  #spawn(): Promise<void> {
    const worker = new Worker(new URL('./thread.js', import.meta.url), { workerData: this.settings });
    this.#worker = worker;
    return new Promise((resolve, reject) => {
      let failure: Error | undefined;
      worker.on('message', (message: FromThread) => {
        if (message.type === 'ready') {
          this.models = message.models;
          this.sessions = message.sessions;
          resolve();
        } else this.#receive(message);
      });
      worker.on('error', (error) => {
        failure = error as Error;
      });
      worker.once('exit', (code) => {
        const error = failure ?? new Error(`a thread of the engine ended with code ${code}`);
        // Of a thread that never was ready, for instance one without its bundle.
        reject(failure?.name === 'BundleError' ? new BundleError(failure.message) : error);
        for (const waiting of this.#waiting.values()) waiting.reject(error);
        this.#waiting.clear();
        this.#worker = undefined;
        this.sessions = 0;
        if (this.#closed || this.models.length === 0) return;
        this.generation++;
        this.#ready = this.#spawn();
        this.#ready.catch(() => undefined);
      });
    });
  }

  #receive(message: Exclude<FromThread, { type: 'ready' }>): void {
    const waiting = this.#waiting.get(message.id);
    if (!waiting) return;
    if (message.type === 'step') {
      waiting.onStep?.(message.step, message.loss);
      return;
    }
    this.#waiting.delete(message.id);
    if (message.type === 'done') waiting.resolve(message.value);
    else waiting.reject(receiveError(message.error));
  }
}

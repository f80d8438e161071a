import { Worker } from 'node:worker_threads';
import type * as ort from 'onnxruntime-node';
import type { SentTensor, WorkerAnswer, WorkerRequest } from './ort-worker.js';

/** A model that is loaded in every thread of a pool. */
export interface PooledSession {
  /** Runs in the first thread that is free. */
  run(feeds: readonly SentTensor[]): Promise<readonly SentTensor[]>;
  release(): Promise<void>;
}

export interface OrtWorkers {
  create(model: Uint8Array, options: ort.InferenceSession.SessionOptions): Promise<PooledSession>;
}

/** A request without its number. */
type Asked = WorkerRequest extends infer R ? (R extends unknown ? Omit<R, 'id'> : never) : never;

/** One thread: its requests are answered in order. */
class OrtThread {
  readonly #worker: Worker;
  readonly #waiting = new Map<
    number,
    { resolve: (outputs: readonly SentTensor[]) => void; reject: (e: Error) => void }
  >();
  #next = 0;
  #failure: Error | undefined;

  constructor() {
    // From src as from dist: tests run the one, users the other, and a thread loads JavaScript only.
    this.#worker = new Worker(new URL('../../dist/backends/ort-worker.js', import.meta.url));
    this.#worker.on('message', (answer: WorkerAnswer) => {
      const waiting = this.#waiting.get(answer.id);
      this.#waiting.delete(answer.id);
      if ('error' in answer) waiting?.reject(new Error(answer.error));
      else waiting?.resolve(answer.outputs);
      if (this.#waiting.size === 0) this.#worker.unref();
    });
    this.#worker.on('error', (error) => this.#fail(error));
    this.#worker.on('exit', () => this.#fail(new Error('a thread that runs tasks has ended')));
    this.#worker.unref();
  }

  get pending(): number {
    return this.#waiting.size;
  }

  ask(request: Asked): Promise<readonly SentTensor[]> {
    return new Promise((resolve, reject) => {
      if (this.#failure) return reject(this.#failure);
      const id = this.#next++;
      this.#waiting.set(id, { resolve, reject });
      // A process waits for what it asked, and for nothing else of a pool.
      this.#worker.ref();
      this.#worker.postMessage({ ...request, id });
    });
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#failure);
    this.#waiting.clear();
  }
}

/**
 * `count` threads that each hold every session: onnxruntime-node computes inside the thread that asks, and an operator
 * of a small graph gains little from more threads, so tasks beside each other use cores better than one after the other.
 */
export function ortWorkers(count: number): OrtWorkers {
  const threads = Array.from({ length: count }, () => new OrtThread());
  const freest = () => threads.reduce((best, each) => (each.pending < best.pending ? each : best));
  let sessions = 0;
  return {
    create: async (model, options) => {
      const session = sessions++;
      await Promise.all(threads.map((thread) => thread.ask({ kind: 'compile', session, model, options })));
      return {
        run: (feeds) => freest().ask({ kind: 'run', session, feeds }),
        release: async () => {
          await Promise.all(threads.map((thread) => thread.ask({ kind: 'release', session })));
        },
      };
    },
  };
}

import { Worker } from 'node:worker_threads';
import type * as ort from 'onnxruntime-node';
import type { SentTensor, WorkerAnswer, WorkerRequest } from './ort-worker.js';

/** A model that is loaded in every thread of a pool. */
export interface PooledSession {
  /** Runs in the thread that has the least to do. */
  run(feeds: readonly SentTensor[]): Promise<readonly SentTensor[]>;
  release(): Promise<void>;
}

export interface OrtWorkers {
  create(model: Uint8Array, options: ort.InferenceSession.SessionOptions): Promise<PooledSession>;
}

/** A request without its number. */
type Asked = WorkerRequest extends infer R ? (R extends unknown ? Omit<R, 'id'> : never) : never;

interface Waiting {
  readonly resolve: (outputs: readonly SentTensor[]) => void;
  readonly reject: (error: Error) => void;
}

/** One thread, which answers requests in their order. */
class OrtThread {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #next = 0;
  #failure: Error | undefined;

  constructor() {
    this.#worker = new Worker(new URL('./ort-worker.js', import.meta.url));
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

  /** Why it answers nothing any more. */
  get failure(): Error | undefined {
    return this.#failure;
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

  /** Ends the thread after what it was asked: ended from outside during a run, onnxruntime would end the process. */
  end(): void {
    if (!this.#failure) this.#worker.postMessage('end');
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
 * The threads live as long as a session does. When one dies, all that is asked later fails with its reason.
 */
export function ortWorkers(count: number): OrtWorkers {
  let threads: OrtThread[] = [];
  let open = 0;
  let next = 0;
  const close = () => {
    open--;
    if (open > 0) return;
    for (const thread of threads) thread.end();
    threads = [];
  };
  return {
    create: async (model, options) => {
      if (threads.length === 0) threads = Array.from({ length: count }, () => new OrtThread());
      const own = threads;
      const session = next++;
      open++;
      let released = false;
      const release = async () => {
        if (released) return;
        released = true;
        await Promise.allSettled(own.map((thread) => thread.ask({ kind: 'release', session })));
        close();
      };
      try {
        await Promise.all(own.map((thread) => thread.ask({ kind: 'compile', session, model, options })));
      } catch (error) {
        await release();
        throw error;
      }
      return {
        run: async (feeds) => {
          if (released) throw new Error('the session was given back');
          const dead = own.find(({ failure }) => failure);
          if (dead) throw dead.failure;
          return own
            .reduce((best, each) => (each.pending < best.pending ? each : best))
            .ask({ kind: 'run', session, feeds });
        },
        release,
      };
    },
  };
}

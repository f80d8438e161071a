export interface BatcherOptions {
  /** Weight of a batch at most; an item that is heavier alone is a batch of its own. */
  readonly maxBatch: number;
  /** Milliseconds that an item waits for others at most, while nothing runs. */
  readonly maxWaitMs: number;
  /** Weight of all that waits at most. */
  readonly maxWaiting: number;
}

interface Waiting<Q, R> {
  readonly item: Q;
  readonly weight: number;
  readonly since: number;
  readonly signal: AbortSignal;
  resolve(result: R): void;
  reject(error: unknown): void;
}

/** Milliseconds after which an item's turn comes before lighter ones. */
const OVERDUE_MS = 500;

/** More waits than may. */
export class FullError extends Error {
  override readonly name = 'FullError';
}

/**
 * Runs items of many callers together, one batch at a time, the lightest first and else in their order. While a batch runs the next one gathers;
 * while nothing runs an item waits for others no longer than it was told to. Items of callers who went away are left out.
 */
export class Batcher<Q, R> {
  #waiting: Waiting<Q, R>[] = [];
  #weight = 0;
  #running = false;
  #timer: NodeJS.Timeout | NodeJS.Immediate | undefined;

  constructor(
    private readonly run: (items: readonly Q[]) => Promise<readonly R[]>,
    private readonly options: BatcherOptions,
    /** Told of each batch: how many items, and the milliseconds that the first of them waited. */
    private readonly onBatch: (items: number, waited: number) => void = () => undefined,
  ) {}

  /** Weight of all that waits. */
  get waiting(): number {
    return this.#weight;
  }

  /** Rejects with {@link FullError}, the signal's reason, or what the batch fails with. */
  submit(item: Q, weight: number, signal: AbortSignal): Promise<R> {
    signal.throwIfAborted();
    const { maxBatch, maxWaiting } = this.options;
    if (this.#weight > 0 && this.#weight + weight > maxWaiting) {
      throw new FullError(`expected at most ${maxWaiting} images that wait, got ${this.#weight + weight}`);
    }
    return new Promise<R>((resolve, reject) => {
      // Also where its batch runs already: nobody waits for that any more.
      const leave = () => reject(signal.reason);
      signal.addEventListener('abort', leave, { once: true });
      const settle =
        <V>(call: (value: V) => void) =>
        (value: V) => {
          signal.removeEventListener('abort', leave);
          call(value);
        };
      const since = performance.now();
      this.#waiting.push({ item, weight, since, signal, resolve: settle(resolve), reject: settle(reject) });
      this.#weight += weight;
      if (this.#weight >= maxBatch) this.#start();
      else this.#startLater();
    });
  }

  #startLater(): void {
    if (this.#running || this.#timer) return;
    const begin = () => {
      this.#timer = undefined;
      this.#start();
    };
    const { maxWaitMs } = this.options;
    this.#timer = maxWaitMs > 0 ? setTimeout(begin, maxWaitMs) : setImmediate(begin);
  }

  #start(): void {
    if (this.#running) return;
    this.#cancelTimer();
    const batch = this.#take();
    if (batch.length === 0) return;
    this.#running = true;
    this.onBatch(batch.length, performance.now() - (batch[0]?.since ?? 0));
    this.run(batch.map(({ item }) => item))
      .then(
        (results) => {
          for (const [i, { resolve }] of batch.entries()) resolve(results[i] as R);
        },
        (error) => {
          for (const { reject } of batch) reject(error);
        },
      )
      .finally(() => {
        this.#running = false;
        // What gathered meanwhile has waited already.
        if (this.#waiting.length > 0) this.#start();
      });
  }

  #cancelTimer(): void {
    if (!this.#timer) return;
    clearTimeout(this.#timer as NodeJS.Timeout);
    clearImmediate(this.#timer as NodeJS.Immediate);
    this.#timer = undefined;
  }

  /** The lightest go first, so that one image waits for no long lists of others; but none waits for ever. */
  #take(): Waiting<Q, R>[] {
    const overdue = performance.now() - OVERDUE_MS;
    const isOverdue = ({ since }: Waiting<Q, R>) => (since < overdue ? 0 : 1);
    const waiting = this.#waiting
      .filter(({ signal }) => !signal.aborted)
      .sort((a, b) => isOverdue(a) - isOverdue(b) || (isOverdue(a) === 1 ? a.weight - b.weight : 0));
    let [taken, weight] = [0, 0];
    for (const each of waiting) {
      if (taken > 0 && weight + each.weight > this.options.maxBatch) break;
      weight += each.weight;
      taken++;
    }
    this.#waiting = waiting.slice(taken);
    this.#weight = this.#waiting.reduce((sum, each) => sum + each.weight, 0);
    return waiting.slice(0, taken);
  }
}

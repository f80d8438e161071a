import { Problem } from '../problems.js';

export interface TurnOptions {
  /** Jobs that run at the same time. */
  readonly slots: number;
  /** Of them, how many may be large. */
  readonly largeSlots: number;
  /** Size from which a job is large. */
  readonly large: number;
}

interface Job {
  readonly size: number;
  readonly order: number;
  readonly run: () => void;
}

interface Line {
  /** Size of all that it has had since it began, from where the others stood then. */
  had: number;
  running: number;
  /** By their order. */
  readonly jobs: Job[];
}

/**
 * Gives jobs their turns: to whoever has had the least, and of theirs to the first in order. Large ones never take all slots, so that a small
 * one waits for small ones only.
 */
export class Turns {
  readonly #lines = new Map<string, Line>();
  #now = 0;
  #running = 0;
  #runningLarge = 0;

  constructor(private readonly options: TurnOptions) {}

  /**
   * Rejects with the signal's reason as soon as it aborts; what runs then keeps its slot until it has ended. `order` among the jobs of an
   * owner is their size, or that of all which a request has had with it, so that a long list lets others pass.
   */
  run<T>(owner: string, size: number, signal: AbortSignal, work: () => Promise<T>, order = size): Promise<T> {
    signal.throwIfAborted();
    return new Promise<T>((resolve, reject) => {
      const isLarge = size >= this.options.large;
      const job: Job = {
        size,
        order,
        run: () => {
          this.#running++;
          if (isLarge) this.#runningLarge++;
          // A job that throws at once fails as any other.
          new Promise<T>((done) => done(work())).then(resolve, reject).finally(() => {
            signal.removeEventListener('abort', leave);
            this.#running--;
            if (isLarge) this.#runningLarge--;
            const line = this.#lines.get(owner);
            if (line) line.running--;
            this.#forget(owner);
            this.#next();
          });
        },
      };
      const leave = () => {
        this.#remove(owner, job);
        reject(signal.reason);
      };
      signal.addEventListener('abort', leave, { once: true });
      this.#add(owner, job);
      this.#next();
    });
  }

  #add(owner: string, job: Job): void {
    const line = this.#lines.get(owner) ?? { had: this.#now, running: 0, jobs: [] };
    this.#lines.set(owner, line);
    const at = line.jobs.findIndex(({ order }) => order > job.order);
    line.jobs.splice(at < 0 ? line.jobs.length : at, 0, job);
  }

  #remove(owner: string, job: Job): void {
    const line = this.#lines.get(owner);
    const at = line?.jobs.indexOf(job) ?? -1;
    if (at >= 0) line?.jobs.splice(at, 1);
    this.#forget(owner);
  }

  #forget(owner: string): void {
    const line = this.#lines.get(owner);
    if (line?.jobs.length === 0 && line.running === 0) this.#lines.delete(owner);
  }

  #next(): void {
    const { slots, largeSlots, large } = this.options;
    while (this.#running < slots) {
      const noLarge = this.#runningLarge >= largeSlots;
      let chosen: Line | undefined;
      for (const line of this.#lines.values()) {
        const [first] = line.jobs;
        const isReady = first && !(noLarge && first.size >= large);
        if (isReady && (!chosen || line.had < chosen.had)) chosen = line;
      }
      if (!chosen) return;
      const job = chosen.jobs.shift() as Job;
      this.#now = chosen.had;
      chosen.had += job.size;
      chosen.running++;
      job.run();
    }
  }
}

/** Bounds what each owner has waiting and running, all requests together. */
export class Budget {
  readonly #taken = new Map<string, number>();

  constructor(
    private readonly most: number,
    private readonly what: string,
  ) {}

  /** Takes some until the function that it gives back is called. Throws {@link Problem} `busy`; one request alone always passes. */
  take(owner: string, amount: number): () => void {
    const taken = this.#taken.get(owner) ?? 0;
    if (taken > 0 && taken + amount > this.most) {
      const detail = `expected at most ${this.most} ${this.what} at once, got ${taken + amount} with those of other requests`;
      throw new Problem('busy', 'request', detail, { 'Retry-After': '1' });
    }
    this.#taken.set(owner, taken + amount);
    return () => {
      const rest = (this.#taken.get(owner) ?? 0) - amount;
      if (rest > 0) this.#taken.set(owner, rest);
      else this.#taken.delete(owner);
    };
  }
}

import type { Prediction } from '@whet/runtime';
import PQueue from 'p-queue';
import type { AdaptControl, AdaptedProfile, AdaptJob, Answer, Engine, Query } from '../engine/engine.js';
import { Problem } from '../problems.js';
import { Batcher, FullError } from './batcher.js';
import { within } from './deadline.js';
import { defaultWork, type WorkOptions } from './options.js';

/** Milliseconds and sizes, as they come. */
export interface WorkObserver {
  /** Milliseconds of a stage: `queue` and `adapt` of adaptations, `wait` and `predict` of predictions. */
  stage(name: 'queue' | 'adapt' | 'wait' | 'predict', milliseconds: number): void;
  batch(requests: number): void;
}

const unobserved: WorkObserver = { stage: () => undefined, batch: () => undefined };

/** What waits and runs on one engine: predictions in batches, adaptations in a queue with an end. */
export class Workload {
  readonly #adaptations: PQueue;
  readonly #predictions = new Map<string, Batcher<Query, Answer>>();
  /** Milliseconds of a recent adaptation, to tell a client when to come again. */
  #typical = 1000;
  #users = 0;
  #onUnused: (() => void) | undefined;

  constructor(
    readonly engine: Engine,
    private readonly options: WorkOptions = defaultWork,
    private readonly observer: WorkObserver = unobserved,
  ) {
    this.#adaptations = new PQueue({ concurrency: options.adaptThreads });
  }

  /** Adaptations that wait, and that run. */
  get adaptations(): { readonly waiting: number; readonly running: number } {
    return { waiting: this.#adaptations.size, running: this.#adaptations.pending };
  }

  /** Images that wait to be predicted. */
  get waitingImages(): number {
    return [...this.#predictions.values()].reduce((sum, { waiting }) => sum + waiting, 0);
  }

  /** Throws {@link Problem} `busy` where an adaptation could not wait now: before its images are read and decoded. */
  checkRoom(): void {
    const { size } = this.#adaptations;
    const { adaptQueue, adaptThreads } = this.options;
    if (size < adaptQueue) return;
    const seconds = Math.max(1, Math.ceil((size * this.#typical) / adaptThreads / 1000));
    const detail = `expected at most ${adaptQueue} adaptations that wait, got ${size}`;
    throw new Problem('busy', 'request', detail, { 'Retry-After': String(seconds) });
  }

  /**
   * Works within the time that an adaptation or a prediction has from `began` on. Rejects with {@link Problem} `deadline`, or the signal's
   * reason.
   */
  within<T>(
    what: 'adapt' | 'predict',
    began: number,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const { adaptDeadlineMs, predictDeadlineMs } = this.options;
    const deadline = { began, milliseconds: what === 'adapt' ? adaptDeadlineMs : predictDeadlineMs };
    return within(signal, { ...deadline, expected: what === 'adapt' ? 'a profile' : 'predictions' }, work);
  }

  /** Runs an adaptation when its turn comes. Throws {@link Problem} `busy`, or the signal's reason. */
  async adapt(job: AdaptJob, { signal, onStep }: AdaptControl): Promise<AdaptedProfile & { readonly queued: number }> {
    this.checkRoom();
    const entered = performance.now();
    return this.#adaptations.add(
      async () => {
        const began = performance.now();
        this.observer.stage('queue', began - entered);
        const adapted = await this.engine.adapt(job, onStep ? { signal, onStep } : { signal });
        const taken = performance.now() - began;
        this.#typical += (taken - this.#typical) / 8;
        this.observer.stage('adapt', taken);
        return { ...adapted, queued: began - entered };
      },
      { signal },
    );
  }

  /**
   * Predicts images for a profile, together with what others ask at the same time. A long list goes in parts, between
   * which others have their turn. `undefined` where the engine wants the profile's bytes. Throws {@link Problem} `busy`.
   */
  async predict(model: string, query: Query, signal: AbortSignal): Promise<Prediction[] | undefined> {
    const batcher = this.#predictions.get(model) ?? this.#batcherOf(model);
    const { batchImages } = this.options;
    const predictions: Prediction[] = [];
    for (let from = 0; from < query.images.length; from += batchImages) {
      const images = query.images.slice(from, from + batchImages);
      const answer = await submit(batcher, { ...query, images }, signal);
      if (answer.kind === 'error') throw answer.error;
      if (answer.kind === 'unknown') return undefined;
      predictions.push(...answer.predictions);
    }
    return predictions;
  }

  /** A request begins that uses this workload. */
  enter(): void {
    this.#users++;
  }

  /** It has ended. */
  leave(): void {
    this.#users--;
    if (this.#users === 0) this.#onUnused?.();
  }

  /** Resolves when no request uses it and nothing runs any more, and the engine is closed. */
  async close(): Promise<void> {
    if (this.#users > 0) {
      await new Promise<void>((resolve) => {
        this.#onUnused = resolve;
      });
    }
    await this.#adaptations.onIdle();
    await this.engine.close();
  }

  #batcherOf(model: string): Batcher<Query, Answer> {
    const { batchImages, batchWaitMs, predictQueue } = this.options;
    const run = async (queries: readonly Query[]) => {
      const began = performance.now();
      const answers = await this.engine.predict(model, queries);
      this.observer.stage('predict', performance.now() - began);
      return answers;
    };
    const batcher = new Batcher<Query, Answer>(
      run,
      { maxBatch: batchImages, maxWaitMs: batchWaitMs, maxWaiting: predictQueue },
      (requests, waited) => {
        this.observer.batch(requests);
        this.observer.stage('wait', waited);
      },
    );
    this.#predictions.set(model, batcher);
    return batcher;
  }
}

async function submit(batcher: Batcher<Query, Answer>, query: Query, signal: AbortSignal): Promise<Answer> {
  try {
    return await batcher.submit(query, query.images.length, signal);
  } catch (error) {
    if (!(error instanceof FullError)) throw error;
    throw new Problem('busy', 'request', error.message, { 'Retry-After': '1' });
  }
}

import { availableParallelism } from 'node:os';
import { BundleError } from '@whet/runtime';
import { LRUCache } from 'lru-cache';
import { type Answer, type Engine, EngineError, type Model } from './engine.js';
import { EngineThread } from './engine-thread.js';

export interface ThreadOptions {
  /** Threads inside an operator, of predictions and of adaptations each; the machine's cores when absent. */
  readonly threads?: number;
  /**
   * What is ready before the first request: `default`, when absent, what the first bundle takes where no pattern is named; `all`, every
   * graph that adapts or predicts, of every bundle, so that one which onnxruntime does not load is found before. The rest is made ready by
   * the first request for it.
   */
  readonly preload?: 'default' | 'all';
  /**
   * Whether it is there only when the threads that adapt are ready, too, as where another serves until then; always with `preload: 'all'`. Else,
   * or when absent, they start when they are first needed.
   */
  readonly complete?: boolean;
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
  const { threads = availableParallelism(), preload = 'default', adaptThreads = 1, adaptNiceness = 10 } = options;
  const isComplete = options.complete || preload === 'all';
  const script = new URL('./thread.js', import.meta.url);
  const settings = { directories, threads, preload };
  const began = performance.now();
  const predictor = await EngineThread.start(script, { ...settings, runs: 'predict', niceness: 0 });
  const startMs = performance.now() - began;
  // On what the first has read, whatever becomes of the folders: threads of one engine run the same bundles.
  const adapting = { ...settings, files: predictor.files, runs: 'adapt', niceness: adaptNiceness } as const;
  const adapters: EngineThread[] = [];
  const close = () => Promise.all([predictor, ...adapters].map((thread) => thread.close()));
  const models = new Map<string, Model>();
  for (const { manifest, digest } of predictor.models) {
    if (models.has(manifest.name)) {
      await close();
      throw new BundleError(`two bundles are called "${manifest.name}"; names must differ`);
    }
    models.set(manifest.name, { name: manifest.name, manifest, digest });
  }
  if (isComplete) {
    const all = Array.from({ length: adaptThreads }, () => EngineThread.start(script, adapting));
    const started = await Promise.allSettled(all);
    adapters.push(...started.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : [])));
    const failure = started.find((each) => each.status === 'rejected');
    if (failure) {
      await close();
      throw failure.reason;
    }
  }
  const known = new LRUCache<string, true>({ maxSize: KNOWN_BYTES });
  let closed = false;
  const expectOpen = () => {
    if (closed) throw new EngineError('expected an engine that runs, got one that was closed');
  };
  /** One that adapts and has nothing to do: a new one where all are busy, up to as many as there may be, or else the least busy. */
  const idlest = (): EngineThread => {
    expectOpen();
    const free = adapters.find(({ busy }) => busy === 0);
    if (free) return free;
    // Threads that adapt start when they are first needed: a service that only predicts is there in less time, and in less memory.
    if (adapters.length >= adaptThreads) return adapters.reduce((best, each) => (each.busy < best.busy ? each : best));
    const begun = EngineThread.begin(script, adapting, startMs);
    adapters.push(begun);
    return begun;
  };
  return {
    models,
    get sessions() {
      return [predictor, ...adapters].reduce((sum, { sessions }) => sum + sessions, 0);
    },
    adapt: async (job, control) => idlest().adapt(job, control),
    async predict(model, queries) {
      expectOpen();
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
    inspect: async (model, bytes) => idlest().inspect(model, bytes),
    async close() {
      closed = true;
      await close();
    },
  };
}

import { availableParallelism } from 'node:os';
import { BundleError } from '@whet/runtime';
import { LRUCache } from 'lru-cache';
import type { Answer, Engine, Model } from './engine.js';
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
  const settings = (runs: 'predict' | 'adapt', niceness: number) => ({ directories, threads, preload, runs, niceness });
  const adapting = Array.from({ length: adaptThreads }, () => settings('adapt', adaptNiceness));
  const began = performance.now();
  // Threads that adapt start when they are first needed: a service that only predicts is there in less time, and in less memory.
  const started = await Promise.allSettled([
    EngineThread.start(script, settings('predict', 0)),
    ...(isComplete ? adapting.map((each) => EngineThread.start(script, each)) : []),
  ]);
  const failure = started.find(({ status }) => status === 'rejected') as PromiseRejectedResult | undefined;
  const [predictor, ...ready] = started.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
  if (failure || !predictor) {
    for (const thread of [predictor, ...ready]) await thread?.close();
    throw failure?.reason;
  }
  const models = new Map<string, Model>();
  for (const { manifest, digest } of predictor.models) {
    if (models.has(manifest.name)) {
      for (const thread of [predictor, ...ready]) await thread.close();
      throw new BundleError(`two bundles are called "${manifest.name}"; names must differ`);
    }
    models.set(manifest.name, { name: manifest.name, manifest, digest });
  }
  const startMs = performance.now() - began;
  const adapters = [...ready];
  const known = new LRUCache<string, true>({ maxSize: KNOWN_BYTES });
  /** One that adapts and has nothing to do: a new one where all are busy, up to as many as there may be, or else the least busy. */
  const idlest = (): EngineThread => {
    const free = adapters.find(({ busy }) => busy === 0);
    if (free) return free;
    const next = adapting[adapters.length];
    if (!next) return adapters.reduce((best, each) => (each.busy < best.busy ? each : best));
    const begun = EngineThread.begin(script, next, startMs, predictor.models);
    adapters.push(begun);
    return begun;
  };
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

import type * as Comlink from 'comlink';
import type { Compute } from '../workers/compute.js';
import type { ComputeClient, LoaderClient } from './compute-client.js';

/** The workers of the page, as `opening.ts` started them. */
export const engine: {
  loader: LoaderClient | undefined;
  client: ComputeClient | undefined;
  /** What was asked for last that takes long: what *Cancel* ends. */
  running: Promise<unknown>;
} = { loader: undefined, client: undefined, running: Promise.resolve() };

/** Asks the worker that computes; rejects with an AbortError where it was ended, as by opening another bundle. */
export function ask<T>(work: (compute: Comlink.Remote<Compute>) => Promise<T>): Promise<T> {
  if (!engine.client) return Promise.reject(new Error('the model is not loaded'));
  return engine.client.call(work);
}

/** The same, for what *Cancel* ends. */
export function askLong<T>(work: (compute: Comlink.Remote<Compute>) => Promise<T>): Promise<T> {
  const running = ask(work);
  engine.running = running;
  return running;
}

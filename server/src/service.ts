import type { ServerResponse } from 'node:http';
import type { Bundle } from '@whet/runtime';
import type { Limits } from './limits.js';
import { Problem, show } from './problems.js';
import type { ProfileRecord, ProfileStore } from './stores/contract.js';

/** What every handler works with. */
export interface Service {
  /** Bundles by name; the first is the one used where a request names none. */
  readonly bundles: ReadonlyMap<string, Bundle>;
  readonly store: ProfileStore;
  readonly limits: Limits;
  readonly version: string;
}

/** Owner of all profiles where no keys are asked for. */
export const LOCAL = 'local';

/** The bundle of that name, or the first, with its name. Throws {@link Problem} `not-found`. */
export function findBundle({ bundles }: Service, name: string | undefined): { model: string; bundle: Bundle } {
  const model = name ?? (bundles.keys().next().value as string);
  const bundle = bundles.get(model);
  if (bundle) return { model, bundle };
  throw new Problem('not-found', 'model', `expected one of ${[...bundles.keys()].join(', ')}, got ${show(model)}`);
}

/** The stored profile of that id. Throws {@link Problem} `not-found`. */
export async function findProfile({ store }: Service, id: string): Promise<ProfileRecord> {
  const record = await store.get(LOCAL, id);
  if (record) return record;
  throw new Problem('not-found', 'profile', `expected the id of a stored profile, got ${show(id)}`);
}

/** A signal that aborts when the client goes away before it has its answer. */
export function abortedBy(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) controller.abort();
  });
  return controller.signal;
}

/** Milliseconds to the microsecond. */
export function roundMilliseconds<K extends string>(milliseconds: Readonly<Record<K, number>>): Record<K, number> {
  const entries = Object.entries<number>(milliseconds).map(([name, value]) => [name, Math.round(value * 1000) / 1000]);
  return Object.fromEntries(entries) as Record<K, number>;
}

/** The same milliseconds as a `Server-Timing` header. */
export function serverTiming(milliseconds: Readonly<Record<string, number>>): string {
  return Object.entries(milliseconds)
    .map(([name, value]) => `${name};dur=${value}`)
    .join(', ');
}

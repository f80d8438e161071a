import type { ServerResponse } from 'node:http';
import type { Request, Response } from 'express';
import { ipKeyGenerator } from 'express-rate-limit';
import type { Model } from './engine/engine.js';
import type { Limits } from './limits.js';
import type { Metrics } from './metrics.js';
import { Problem, show } from './problems.js';
import type { Decoding } from './request/decoding.js';
import type { HeldBodies } from './request/held-bodies.js';
import type { JsonReader } from './request/json-reader.js';
import type { Pace } from './request/pace.js';
import type { KeyRecord, ProfileRecord, ProfileStore } from './stores/contract.js';
import type { Workload } from './work/workload.js';

/** What every handler works with. */
export interface Service {
  /** What requests that begin now run on; another after bundles were loaded anew. */
  workload: Workload;
  /** Set when the service is to end: it is not ready for more requests. */
  draining: boolean;
  readonly store: ProfileStore;
  readonly limits: Limits;
  /** Bodies that are held now. */
  readonly held: HeldBodies;
  readonly pace: Pace;
  readonly json: JsonReader;
  readonly decoding: Decoding;
  readonly version: string;
  readonly auth: 'off' | 'keys';
  readonly metrics: Metrics;
  /** The refusal that an error stands for; faults of the server are told to the operator. */
  problemOf(error: unknown): Problem;
}

/** Who asks. */
export interface Caller {
  /** Owner of the profiles that are read and written. */
  readonly namespace: string;
  /** Absent where no keys are asked for. */
  readonly key?: KeyRecord;
}

/** Owner of all profiles where no keys are asked for. */
export const LOCAL = 'local';

export function callerOf(response: Response): Caller {
  return response.locals['caller'] as Caller;
}

/** Who asks, as what they have at once is counted: a key, or an address without keys. */
export function ownerOf(request: Request, response: Response): string {
  const { key } = callerOf(response);
  return key ? `key ${key.id}` : `address ${ipKeyGenerator(request.ip ?? '')}`;
}

/** The most images that a request may be told of, and the most values of one, over all models. */
export function largestOf({ engine }: Workload): { readonly examples: number; readonly imageLength: number } {
  const manifests = [...engine.models.values()].map(({ manifest }) => manifest);
  return {
    examples: Math.max(...manifests.map(({ limits }) => limits.maxExamples)),
    imageLength: Math.max(...manifests.map(({ preprocessing: p }) => p.channels * p.height * p.width)),
  };
}

/** The workload for a request, which is not closed before the request has ended. Throws where the client has gone away. */
export function enter({ workload }: Service, response: ServerResponse): Workload {
  if (response.destroyed) throw new Error('the client went away');
  workload.enter();
  response.once('close', () => workload.leave());
  return workload;
}

/** The model of that name, or the first. Throws {@link Problem} `not-found`. */
export function findModel({ engine: { models } }: Workload, name: string | undefined): Model {
  const wanted = name ?? (models.keys().next().value as string);
  const model = models.get(wanted);
  if (model) return model;
  throw new Problem('not-found', 'model', `expected one of ${[...models.keys()].join(', ')}, got ${show(wanted)}`);
}

const ID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/;

/** The id, if it may be one. Throws {@link Problem} `not-found`, the same as for an id that is nobody's. */
export function checkId(id: string): string {
  if (ID.test(id)) return id;
  throw noProfile(id);
}

export function noProfile(id: string): Problem {
  return new Problem('not-found', 'profile', `expected the id of a stored profile, got ${show(id)}`);
}

/** The caller's stored profile of that id. Throws {@link Problem} `not-found`. */
export async function findProfile({ store }: Service, { namespace }: Caller, id: string): Promise<ProfileRecord> {
  const record = await store.get(namespace, checkId(id));
  if (record) return record;
  throw noProfile(id);
}

/** A signal that aborts when the client goes away before it has its answer. */
export function abortedBy(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  if (response.destroyed && !response.writableFinished) controller.abort();
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

import { type Bundle, InputError, type Profile, ProfileError } from '@whet/runtime';
import { withoutMemory } from '@whet/runtime/format';
import { LRUCache } from 'lru-cache';
import type { AdaptControl, AdaptedProfile, AdaptJob, Answer, Engine, ProfileSummary, Query } from './engine.js';

/** Bytes of profiles that are kept ready to predict with. */
const CACHE_BYTES = 256 * 1024 * 1024;

/**
 * An engine in this thread, on bundles that the caller has loaded and releases. Running a graph holds the thread.
 */
export function localEngine(bundles: ReadonlyMap<string, Bundle>): Engine {
  const models = new Map([...bundles].map(([name, { manifest, digest }]) => [name, { name, manifest, digest }]));
  const profiles = new LRUCache<string, Profile>({
    maxSize: CACHE_BYTES,
    sizeCalculation: ({ byteLength }) => Math.max(1, byteLength),
  });
  const bundleOf = (name: string): Bundle => {
    const bundle = bundles.get(name);
    if (!bundle) throw new InputError('model', `expected one of ${[...bundles.keys()].join(', ')}, got "${name}"`);
    return bundle;
  };
  /** The profile of a query; undefined where its bytes are wanted. */
  const profileOf = (model: string, { key, bytes }: Query): Profile | undefined => {
    const name = `${model} ${key ?? ''}`;
    const cached = profiles.get(name);
    if (cached) return cached;
    if (key !== undefined && !bytes) return undefined;
    const bundle = bundleOf(model);
    const profile = bytes ? withoutMemory(bundle.profileFromBytes(bytes)) : bundle.initialProfile();
    profiles.set(name, profile);
    return profile;
  };
  return {
    models,
    get sessions() {
      return [...new Set(bundles.values())].reduce((sum, { sessionCount }) => sum + sessionCount, 0);
    },
    async adapt(job, control) {
      return adaptOn(bundleOf(job.model), job, control);
    },
    async predict(model, queries) {
      const answers = new Array<Answer>(queries.length);
      const ready: { at: number; profile: Profile; images: readonly Float32Array[] }[] = [];
      for (const [at, query] of queries.entries()) {
        try {
          const profile = profileOf(model, query);
          if (profile) ready.push({ at, profile, images: query.images });
          else answers[at] = { kind: 'unknown' };
        } catch (error) {
          answers[at] = { kind: 'error', error: error as Error };
        }
      }
      await predictTogether(bundleOf(model), ready, answers);
      return answers;
    },
    async inspect(model, bytes) {
      return summaryOf(bundleOf(model).profileFromBytes(bytes));
    },
    async close() {
      profiles.clear();
    },
  };
}

async function adaptOn(bundle: Bundle, job: AdaptJob, { signal, onStep }: AdaptControl): Promise<AdaptedProfile> {
  const { model: _, examples, from, ...options } = job;
  const { profile, added, solved, losses, loss, halved, heldBack, spared, auto, milliseconds } = await bundle.adapt(
    examples,
    {
      ...options,
      signal,
      ...(from === undefined ? {} : { from: bundle.profileFromBytes(from) }),
      ...(onStep ? { onStep } : {}),
    },
  );
  const result = { added, solved, losses, loss, halved, heldBack, spared, auto, milliseconds };
  return { ...summaryOf(profile), bytes: profile.toBytes(), ...result };
}

const summaryOf = ({ pattern, classes, examples }: Profile): ProfileSummary => ({ pattern, classes, examples });

async function predictTogether(
  bundle: Bundle,
  ready: readonly { at: number; profile: Profile; images: readonly Float32Array[] }[],
  answers: Answer[],
): Promise<void> {
  if (ready.length === 0) return;
  try {
    const results = await bundle.predictMany(ready);
    for (const [i, { at }] of ready.entries()) answers[at] = { kind: 'predictions', predictions: results[i] ?? [] };
  } catch (error) {
    // Of several, one is at fault: each is tried by itself, and only that one fails.
    const [only] = ready;
    if (only && ready.length === 1) answers[only.at] = { kind: 'error', error: error as Error };
    else for (const each of ready) await predictTogether(bundle, [each], answers);
  }
}

/** An error that crosses a thread. */
export interface SentError {
  readonly name: string;
  readonly message: string;
  readonly field?: string;
  readonly stack?: string;
}

export function sendError(error: unknown): SentError {
  if (error instanceof InputError) return { name: error.name, message: error.message, field: error.field };
  if (!(error instanceof Error)) return { name: 'Error', message: String(error) };
  const { name, message, stack } = error;
  return { name, message, ...(stack === undefined ? {} : { stack }) };
}

export function receiveError({ name, message, field, stack }: SentError): Error {
  if (name === 'InputError') return new InputError(field ?? 'request', message);
  if (name === 'ProfileError') return new ProfileError(message);
  const error = new Error(message);
  if (stack !== undefined) error.stack = stack;
  return error;
}

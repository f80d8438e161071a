import { createHash, randomBytes } from 'node:crypto';
import type { Request, RequestHandler } from 'express';
import { ipKeyGenerator, rateLimit } from 'express-rate-limit';
import { LRUCache } from 'lru-cache';
import { Problem } from '../problems.js';
import { type Caller, LOCAL, ownerOf, type Service } from '../service.js';
import type { KeyRecord, KeyStore } from '../stores/contract.js';

export interface NewKey {
  readonly name: string;
  /** Namespace of profiles; one of its own when absent. */
  readonly namespace?: string;
  readonly role?: KeyRecord['role'];
  /** Requests a minute. */
  readonly rateLimit?: number;
}

/** Makes a key and keeps its hash. The key itself is in the result and nowhere else. Rejects with `KeyNameError`. */
export async function addKey(
  keys: KeyStore,
  key: NewKey,
): Promise<{ readonly key: string; readonly record: KeyRecord }> {
  const text = `whet_${randomBytes(32).toString('base64url')}`;
  const id = randomBytes(6).toString('hex');
  const record: KeyRecord = {
    id,
    name: key.name,
    hash: hashKey(text),
    namespace: key.namespace ?? randomBytes(12).toString('hex'),
    role: key.role ?? 'user',
    ...(key.rateLimit === undefined ? {} : { rateLimit: key.rateLimit }),
    created: new Date().toISOString(),
  };
  await keys.add(record);
  return { key: text, record };
}

/** Keys are 256 random bits, which a fast hash keeps as well as a slow one. */
function hashKey(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}

/** Puts the caller into `response.locals`, by the key that the request brings; all are one where none are asked for. */
export function authenticate({ auth, store }: Service): RequestHandler {
  if (auth === 'off') {
    const caller: Caller = { namespace: LOCAL };
    return (_request, response, next) => {
      response.locals['caller'] = caller;
      next();
    };
  }
  const wrong = new WrongKeys();
  return async (request, response, next) => {
    const [, bearer] = /^Bearer +(\S{1,200})$/i.exec(request.headers.authorization ?? '') ?? [];
    const key = bearer ?? request.headers['x-api-key'];
    // Looked up by its hash, so the time it takes says nothing of how much of a guess is right.
    const hash = typeof key === 'string' ? hashKey(key) : undefined;
    if (hash !== undefined) wrong.check(request, hash);
    const record = hash === undefined ? undefined : await store.keys.find(hash);
    if (hash !== undefined) wrong.note(request, hash, record !== undefined);
    if (!record) {
      const got = key === undefined ? 'none' : 'one that is not known';
      throw new Problem('unauthorized', 'authorization', `expected "Bearer" and an API key, got ${got}`, {
        'WWW-Authenticate': 'Bearer realm="whet"',
      });
    }
    response.locals['caller'] = { namespace: record.namespace, key: record } satisfies Caller;
    next();
  };
}

/** Wrong keys a minute of an address before the store is asked no more. */
const MAX_WRONG = 60;
const MINUTE_MS = 60_000;

/** Counts keys that were wrong, so that guessing costs the store nothing. A key that was right a moment ago is not held up. */
class WrongKeys {
  readonly #right = new LRUCache<string, true>({ max: 10_000, ttl: 10 * MINUTE_MS });
  readonly #wrong = new LRUCache<string, { count: number; readonly until: number }>({ max: 10_000 });

  /** Throws {@link Problem} `busy` where too many keys of this address were wrong. */
  check(request: Request, hash: string): void {
    if (this.#right.has(hash)) return;
    const { count, until } = this.#counted(request);
    if (count < MAX_WRONG) return;
    const detail = `expected at most ${MAX_WRONG} wrong keys a minute, got more`;
    const seconds = Math.max(1, Math.ceil((until - Date.now()) / 1000));
    throw new Problem('busy', 'authorization', detail, { 'Retry-After': String(seconds) });
  }

  note(request: Request, hash: string, isRight: boolean): void {
    if (isRight) this.#right.set(hash, true);
    else {
      this.#right.delete(hash);
      this.#counted(request).count++;
    }
  }

  #counted(request: Request) {
    const address = ipKeyGenerator(request.ip ?? '');
    const known = this.#wrong.get(address);
    if (known && known.until > Date.now()) return known;
    const fresh = { count: 0, until: Date.now() + MINUTE_MS };
    this.#wrong.set(address, fresh);
    return fresh;
  }
}

/** Lets only keys of operators pass, where keys are asked for. */
export function operatorsOnly({ auth }: Service): RequestHandler {
  return (_request, response, next) => {
    const { key } = response.locals['caller'] as Caller;
    if (auth === 'keys' && key?.role !== 'operator') {
      throw new Problem('forbidden', 'authorization', `expected the key of an operator, got that of a ${key?.role}`);
    }
    next();
  };
}

/** Refuses more than so many requests a minute of a key, or of an address where there are no keys. 0 means no limit. */
export function limitRate(perMinute: number): RequestHandler {
  const limitOf = ({ key }: Caller) => key?.rateLimit ?? perMinute;
  return rateLimit({
    windowMs: 60_000,
    limit: (_request, response) => limitOf(response.locals['caller'] as Caller),
    skip: (_request, response) => limitOf(response.locals['caller'] as Caller) === 0,
    keyGenerator: ownerOf,
    standardHeaders: 'draft-8',
    legacyHeaders: false,
    validate: { trustProxy: false, xForwardedForHeader: false },
    handler: (_request, response) => {
      const limit = limitOf(response.locals['caller'] as Caller);
      throw new Problem('busy', 'request', `expected at most ${limit} requests a minute, got more`);
    },
  });
}

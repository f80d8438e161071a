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
    const record = hash === undefined ? undefined : await wrong.find(request, hash, (each) => store.keys.find(each));
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

interface Counted {
  wrong: number;
  /** Keys that the store is asked for, of which nobody knows yet. */
  asking: number;
  readonly until: number;
  /** Who goes on when one of them is known. */
  readonly waiting: (() => void)[];
}

/**
 * Counts keys that were wrong, so that guessing costs the store nothing, however many guesses come at once. A key that was right a moment
 * ago is not held up.
 */
class WrongKeys {
  readonly #right = new LRUCache<string, true>({ max: 10_000, ttl: 10 * MINUTE_MS });
  readonly #counted = new LRUCache<string, Counted>({ max: 10_000 });

  /** What `ask` finds. Throws {@link Problem} `busy` where too many keys of this address were wrong. */
  async find(
    request: Request,
    hash: string,
    ask: (hash: string) => Promise<KeyRecord | undefined>,
  ): Promise<KeyRecord | undefined> {
    const counted = this.#countedOf(request);
    const doubtful = this.#right.has(hash) ? 0 : 1;
    if (doubtful) await takeRoom(counted);
    try {
      const record = await ask(hash);
      if (record) this.#right.set(hash, true);
      else {
        this.#right.delete(hash);
        counted.wrong++;
      }
      return record;
    } finally {
      counted.asking -= doubtful;
      for (const go of counted.waiting.splice(0)) go();
    }
  }

  #countedOf(request: Request): Counted {
    const address = ipKeyGenerator(request.ip ?? '');
    const known = this.#counted.get(address);
    if (known && known.until > Date.now()) return known;
    const fresh = { wrong: 0, asking: 0, until: Date.now() + MINUTE_MS, waiting: [] };
    this.#counted.set(address, fresh);
    return fresh;
  }
}

/** Waits until a key could be wrong without being one too many, and counts it as asked for. */
async function takeRoom(counted: Counted): Promise<void> {
  while (counted.wrong + counted.asking >= MAX_WRONG) {
    if (counted.wrong >= MAX_WRONG) {
      const detail = `expected at most ${MAX_WRONG} wrong keys a minute, got more`;
      const seconds = Math.max(1, Math.ceil((counted.until - Date.now()) / 1000));
      throw new Problem('busy', 'authorization', detail, { 'Retry-After': String(seconds) });
    }
    await new Promise<void>((resolve) => counted.waiting.push(resolve));
  }
  // Not a moment later: others wait for the same room.
  counted.asking++;
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

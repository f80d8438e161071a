/** What a caller stores of one profile. `bytes` is the runtime's own encoding. */
export interface ProfileDraft {
  /** Name of the bundle. */
  readonly model: string;
  readonly pattern: string;
  readonly classes: readonly string[];
  /** Examples per class, in the order of `classes`. */
  readonly examples: readonly number[];
  readonly bytes: Uint8Array;
}

/** What tells one state of a profile from every other, also from that of another profile which had its id before. */
export interface ProfileState {
  /** 1 when it is created, one more with every change. */
  readonly version: number;
  /** ISO 8601, UTC, to the millisecond. */
  readonly created: string;
}

/** All that is known of a profile but its bytes. */
export interface ProfileInfo extends Omit<ProfileDraft, 'bytes'>, ProfileState {
  /** When it last changed: ISO 8601, UTC. */
  readonly updated: string;
  /** Length of its bytes. */
  readonly size: number;
}

export interface ProfileRecord extends ProfileInfo {
  readonly bytes: Uint8Array;
}

/** A profile with its place: what copies of a store are made of. */
export interface PlacedProfile extends ProfileRecord {
  readonly owner: string;
  readonly id: string;
  /** When it was last used: ISO 8601, UTC. */
  readonly used: string;
}

export interface Page {
  /** In the order of ids. */
  readonly profiles: readonly (ProfileInfo & { readonly id: string })[];
  /** The id to go on after; absent on the last page. */
  readonly next?: string;
}

export interface Usage {
  readonly profiles: number;
  readonly bytes: number;
}

export const EMPTY: Usage = { profiles: 0, bytes: 0 };

/** What a store holds. */
export interface StoreCounts extends Usage {
  readonly keys: number;
}

/** An API key as it is kept: the key itself is not, only its SHA-256. */
export interface KeyRecord {
  /** Names the key in lists and logs; says nothing about it. */
  readonly id: string;
  readonly name: string;
  /** SHA-256 of the key, in hex. */
  readonly hash: string;
  /** Owner of the profiles that it reads and writes. Keys of one namespace share them. */
  readonly namespace: string;
  /** `operator` reads `/metrics` too. */
  readonly role: 'user' | 'operator';
  /** Requests a minute; the service's own limit when absent. */
  readonly rateLimit?: number;
  readonly created: string;
}

export interface KeyStore {
  /** Throws {@link KeyNameError} where a key has that name. */
  add(key: KeyRecord): Promise<void>;
  find(hash: string): Promise<KeyRecord | undefined>;
  /** In the order they were made. */
  list(): Promise<KeyRecord[]>;
  /** Takes the key of that id or name away; false where there is none. */
  revoke(idOrName: string): Promise<boolean>;
}

/**
 * Where profiles are kept. All but `close` may be called at any time, from any number of requests; what one call sees is
 * whole. `owner` is a namespace: nothing reaches from one into another. Every method rejects with
 * {@link StoreUnavailableError} while what it stands on does not answer.
 */
export interface ProfileStore {
  readonly kind: 'memory' | 'lmdb' | 'postgres';
  readonly keys: KeyStore;
  get(owner: string, id: string): Promise<ProfileRecord | undefined>;
  info(owner: string, id: string): Promise<ProfileInfo | undefined>;
  /**
   * Stores the next version of a profile, whole or not at all, if its state is still `expected`: `undefined` where there
   * must be none. Resolves when it is kept. Rejects with {@link VersionConflictError}, and with {@link StoreFullError}
   * where the profile alone is over the size limit.
   */
  put(owner: string, id: string, draft: ProfileDraft, expected: ProfileState | undefined): Promise<ProfileInfo>;
  /** False where there is none. Rejects with {@link VersionConflictError} where its state is not `expected`, if given. */
  delete(owner: string, id: string, expected?: ProfileState): Promise<boolean>;
  /** The owner's profiles, `limit` at most, from the one after the id `after`. */
  list(owner: string, limit: number, after?: string): Promise<Page>;
  /**
   * Of one owner, or of all. Looks at no profile but the first thousand that have expired, so that where more of them wait
   * to be swept, these count still.
   */
  usage(owner?: string): Promise<Usage>;
  /** Notes that a profile was used, for {@link StoreLimits.maxBytes}. Costs nothing where there is no such limit. */
  touch(owner: string, id: string): void;
  /** Frees the room of expired profiles, which are not to be seen any more already, some at a time; how many. */
  sweep(): Promise<number>;
  /** Rejects with {@link StoreUnavailableError} where the store does not answer, or did not take a write a moment ago. */
  check(): Promise<void>;
  /** All profiles as they are at one moment, in the order of owners and ids, with those that expired and are not swept. */
  all(): AsyncGenerator<PlacedProfile>;
  /** Takes profiles as they are, versions and times included, all or none. Rejects where a place is taken. */
  restore(profiles: readonly PlacedProfile[]): Promise<void>;
  close(): Promise<void>;
}

export interface StoreLimits {
  /** Milliseconds after its last change that a profile is gone; never when absent. */
  readonly ttlMs?: number;
  /** Bytes of profiles of each owner; over it, those that were not used for longest are dropped. No limit when absent. */
  readonly maxBytes?: number;
  /** Milliseconds since 1970; the system's clock when absent. */
  readonly now?: () => number;
}

/** The profile is in another state than the caller took it for. */
export class VersionConflictError extends Error {
  override readonly name = 'VersionConflictError';
  constructor(
    /** The version that is stored; undefined where there is none. */
    readonly current: number | undefined,
    readonly expected: number | undefined,
  ) {
    super(`expected ${say(expected)}, got ${say(current)}`);
  }
}

const say = (version: number | undefined) => (version === undefined ? 'no profile' : `version ${version}`);

/** A profile that is larger than all of an owner's may be together. */
export class StoreFullError extends Error {
  override readonly name = 'StoreFullError';
  constructor(size: number, maxBytes: number) {
    super(`expected a profile of at most ${maxBytes} bytes, got ${size}`);
  }
}

/** What the store stands on does not answer. Nothing is known of a write that was under way. */
export class StoreUnavailableError extends Error {
  override readonly name = 'StoreUnavailableError';
}

/** A name that a key has already. */
export class KeyNameError extends Error {
  override readonly name = 'KeyNameError';
  constructor(name: string) {
    super(`name: expected one that no key has, got "${name}"`);
  }
}

/** What is stored is not what was written. */
export class StoreDamagedError extends Error {
  override readonly name = 'StoreDamagedError';
}

/** Expired profiles that {@link ProfileStore.usage} looks at, at most. */
export const COUNTED = 1000;

/** Throws {@link VersionConflictError} where a stored state, if any, is not the expected one. */
export function checkState(stored: ProfileState | undefined, expected: ProfileState | undefined): void {
  const same = stored?.version === expected?.version && stored?.created === expected?.created;
  if (!same) throw new VersionConflictError(stored?.version, expected?.version);
}

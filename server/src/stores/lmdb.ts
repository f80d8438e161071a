import { mkdirSync } from 'node:fs';
import { type Database, open, type RootDatabase } from 'lmdb';
import {
  checkState,
  KeyNameError,
  type KeyRecord,
  type KeyStore,
  type ProfileInfo,
  type ProfileState,
  type ProfileStore,
  StoreFullError,
  type StoreLimits,
  StoreUnavailableError,
  type Usage,
} from './contract.js';

type Stored = ProfileInfo & { readonly used: number };

const TOUCH_MS = 1000;
const EMPTY: Usage = { profiles: 0, bytes: 0 };

/**
 * Profiles and keys in a folder on this machine's disk, by LMDB: what a call has resolved for is on the disk, and a
 * process that is killed at any moment leaves every profile whole. Several processes may open one folder. Throws
 * {@link StoreUnavailableError} where the folder cannot be used.
 */
export function openLmdbStore(folder: string, limits: StoreLimits = {}): ProfileStore {
  let root: RootDatabase;
  try {
    // Profiles are personal: nobody else on the machine reads them.
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    // Not overlapping: a write is acknowledged when it is synced to the disk. Without the batches of a turn, whose
    // promises nobody holds: their rejection, on a full disk, would end the process.
    const unbatched = { overlappingSync: false, eventTurnBatching: false };
    root = open({ path: folder, noSubdir: false, ...unbatched, maxDbs: 8, cache: false });
  } catch (cause) {
    throw new StoreUnavailableError(`${folder}: expected a folder for profiles: ${(cause as Error).message}`, {
      cause,
    });
  }
  // A process that was killed leaves its slot in the table of readers.
  root.readerCheck();
  return createStore(root, limits);
}

function createStore(root: RootDatabase, { ttlMs, maxBytes, now = Date.now }: StoreLimits): ProfileStore {
  const infos = root.openDB<Stored, string[]>({ name: 'profiles' });
  const values = root.openDB<Uint8Array, string[]>({ name: 'values', encoding: 'binary' });
  /** Ids by owner and time of use, and by time of change. */
  const uses = root.openDB<true, (string | number)[]>({ name: 'uses' });
  const changes = root.openDB<true, (string | number)[]>({ name: 'changes' });
  const totals = root.openDB<Usage, string>({ name: 'totals' });
  const touched = new Map<string, readonly [owner: string, id: string, used: number]>();
  let timer: NodeJS.Timeout | undefined;

  const isExpired = ({ updated }: ProfileInfo) => ttlMs !== undefined && Date.parse(updated) + ttlMs <= now();
  const living = (owner: string, id: string): Stored | undefined => {
    const stored = infos.get([owner, id]);
    return stored && !isExpired(stored) ? stored : undefined;
  };
  const count = (owner: string, profiles: number, bytes: number) => {
    const old = totals.get(owner) ?? EMPTY;
    const next = { profiles: old.profiles + profiles, bytes: old.bytes + bytes };
    if (next.profiles === 0) totals.removeSync(owner);
    else totals.putSync(owner, next);
  };
  // In a transaction, like all that is called `...Sync` below.
  const removeSync = (owner: string, id: string) => {
    const stored = infos.get([owner, id]);
    if (!stored) return;
    infos.removeSync([owner, id]);
    values.removeSync([owner, id]);
    uses.removeSync([owner, stored.used, id]);
    changes.removeSync([Date.parse(stored.updated), owner, id]);
    count(owner, -1, -stored.size);
  };
  const touchSync = () => {
    for (const [owner, id, used] of touched.values()) {
      const stored = infos.get([owner, id]);
      if (!stored || stored.used >= used) continue;
      uses.removeSync([owner, stored.used, id]);
      uses.putSync([owner, used, id], true);
      infos.putSync([owner, id], { ...stored, used });
    }
    touched.clear();
  };
  /** Of one owner, or of all. */
  const dropExpiredSync = (of?: string) => {
    if (ttlMs === undefined) return 0;
    const expired = [...changes.getKeys({ end: [now() - ttlMs, '\uffff'] })] as [number, string, string][];
    const dropped = expired.filter(([, owner]) => of === undefined || owner === of);
    for (const [, owner, id] of dropped) removeSync(owner, id);
    return dropped.length;
  };
  const evictSync = (owner: string, kept: string) => {
    const { bytes: filled } = totals.get(owner) ?? EMPTY;
    if (maxBytes === undefined || filled <= maxBytes) return;
    dropExpiredSync(owner);
    const dropped: string[] = [];
    let { bytes } = totals.get(owner) ?? EMPTY;
    for (const { key } of uses.getRange({ start: [owner, 0], end: [owner, Number.MAX_VALUE] })) {
      if (bytes <= maxBytes) break;
      const id = key[2] as string;
      if (id === kept) continue;
      bytes -= infos.get([owner, id])?.size ?? 0;
      dropped.push(id);
    }
    for (const id of dropped) removeSync(owner, id);
  };
  /** Runs in one transaction; what it throws before its first write changes nothing. */
  const write = async <T>(action: () => T): Promise<T> => {
    let outcome: { readonly value: T } | { readonly error: unknown } | undefined;
    try {
      await root.transaction(() => {
        try {
          outcome = { value: action() };
        } catch (error) {
          outcome = { error };
        }
      });
    } catch (cause) {
      // Rejected later, with what LMDB has said on standard error; unhandled it would end the process.
      (cause as { commitError?: Promise<unknown> }).commitError?.catch(() => undefined);
      throw new StoreUnavailableError(`the disk does not take a profile: ${(cause as Error).message}`, { cause });
    }
    if (outcome && 'value' in outcome) return outcome.value;
    throw outcome?.error;
  };

  return {
    kind: 'lmdb',
    keys: lmdbKeys(root.openDB({ name: 'keys' }), write),
    async get(owner, id) {
      const stored = living(owner, id);
      const bytes = stored && values.getBinary([owner, id]);
      return bytes && { ...withoutUse(stored), bytes: new Uint8Array(bytes) };
    },
    async info(owner, id) {
      const stored = living(owner, id);
      return stored && withoutUse(stored);
    },
    put: (owner, id, { bytes, ...draft }, expected) =>
      write(() => {
        const size = bytes.byteLength;
        if (maxBytes !== undefined && size > maxBytes) throw new StoreFullError(size, maxBytes);
        const stored = living(owner, id);
        checkState(stored, expected);
        touchSync();
        const used = now();
        const updated = new Date(used).toISOString();
        const { version, created }: ProfileState = stored ?? { version: 0, created: updated };
        const info: ProfileInfo = { ...draft, version: version + 1, created, updated, size };
        removeSync(owner, id);
        infos.putSync([owner, id], { ...info, used });
        values.putSync([owner, id], bytes);
        uses.putSync([owner, used, id], true);
        changes.putSync([used, owner, id], true);
        count(owner, 1, size);
        evictSync(owner, id);
        return info;
      }),
    delete: (owner, id, expected) =>
      write(() => {
        const stored = living(owner, id);
        if (expected) checkState(stored, expected);
        removeSync(owner, id);
        return stored !== undefined;
      }),
    async list(owner, limit, after) {
      const profiles = [];
      const start = after === undefined ? [owner, ''] : [owner, after];
      for (const { key, value } of infos.getRange({ start, end: [owner, '\uffff'] })) {
        const id = key[1] as string;
        if (id === after || isExpired(value)) continue;
        if (profiles.length === limit) return { profiles, next: profiles.at(-1)?.id as string };
        profiles.push({ id, ...withoutUse(value) });
      }
      return { profiles };
    },
    async usage(owner) {
      if (ttlMs !== undefined) return countLiving(infos, owner, isExpired);
      if (owner !== undefined) return totals.get(owner) ?? EMPTY;
      let all = EMPTY;
      for (const { value } of totals.getRange()) {
        all = { profiles: all.profiles + value.profiles, bytes: all.bytes + value.bytes };
      }
      return all;
    },
    touch(owner, id) {
      if (maxBytes === undefined) return;
      touched.set(JSON.stringify([owner, id]), [owner, id, now()]);
      // One transaction a second, however many predictions.
      timer ??= setTimeout(() => {
        timer = undefined;
        write(touchSync).catch(() => undefined);
      }, TOUCH_MS).unref();
    },
    sweep: () => write(() => dropExpiredSync()),
    async check() {
      try {
        totals.get('');
      } catch (cause) {
        throw new StoreUnavailableError(`the folder cannot be read: ${(cause as Error).message}`, { cause });
      }
    },
    async close() {
      clearTimeout(timer);
      if (touched.size > 0) await write(touchSync);
      await root.close();
    },
  };
}

function withoutUse({ used: _, ...info }: Stored): ProfileInfo {
  return info;
}

function countLiving(infos: Database<Stored, string[]>, owner: string | undefined, isExpired: (i: Stored) => boolean) {
  let [profiles, bytes] = [0, 0];
  const range = owner === undefined ? {} : { start: [owner, ''], end: [owner, '\uffff'] };
  for (const { value } of infos.getRange(range)) {
    if (isExpired(value)) continue;
    profiles++;
    bytes += value.size;
  }
  return { profiles, bytes };
}

function lmdbKeys(keys: Database<KeyRecord, string>, write: <T>(action: () => T) => Promise<T>): KeyStore {
  const all = () => [...keys.getRange().map(({ value }) => value)];
  return {
    add: (key) =>
      write(() => {
        if (all().some(({ name }) => name === key.name)) throw new KeyNameError(key.name);
        keys.putSync(key.hash, key);
      }),
    async find(hash) {
      return keys.get(hash);
    },
    async list() {
      return all().sort((a, b) => (a.created < b.created ? -1 : 1));
    },
    revoke: (idOrName) =>
      write(() => {
        const found = all().find(({ id, name }) => id === idOrName || name === idOrName);
        if (found) keys.removeSync(found.hash);
        return found !== undefined;
      }),
  };
}

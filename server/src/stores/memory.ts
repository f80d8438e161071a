import { setImmediate as turn } from 'node:timers/promises';
import {
  COUNTED,
  checkState,
  EMPTY,
  KeyNameError,
  type KeyRecord,
  type KeyStore,
  type PlacedProfile,
  type ProfileInfo,
  type ProfileRecord,
  type ProfileStore,
  StoreFullError,
  type StoreLimits,
  StoreUnavailableError,
  type Usage,
} from './contract.js';

/** Profiles that are dropped at once, which the thread that answers waits for. */
const BATCH = 1000;

/** Profiles and keys in this process's memory: gone when it ends. */
export function createMemoryStore({ ttlMs, maxBytes, now = Date.now }: StoreLimits = {}): ProfileStore {
  /** By owner; an owner's in the order they were used, the longest ago first. */
  const owners = new Map<string, Map<string, PlacedProfile>>();
  /** Ids of each owner, in their order. */
  const ordered = new Map<string, string[]>();
  /** In the order they were changed. */
  const changes = new Set<PlacedProfile>();
  const totals = new Map<string, Usage>();
  const recordsOf = (owner: string) => owners.get(owner) ?? new Map<string, PlacedProfile>();
  const isExpired = ({ updated }: ProfileRecord) => ttlMs !== undefined && Date.parse(updated) + ttlMs <= now();
  const living = (owner: string, id: string) => {
    const record = recordsOf(owner).get(id);
    return record && !isExpired(record) ? record : undefined;
  };
  const count = (owner: string, profiles: number, bytes: number) => {
    const old = totals.get(owner) ?? EMPTY;
    totals.set(owner, { profiles: old.profiles + profiles, bytes: old.bytes + bytes });
  };
  const place = (record: PlacedProfile) => {
    const { owner, id, size } = record;
    owners.set(owner, recordsOf(owner).set(id, record));
    const ids = ordered.get(owner) ?? [];
    ids.splice(placeIn(ids, id), 0, id);
    ordered.set(owner, ids);
    changes.add(record);
    count(owner, 1, size);
  };
  const remove = (owner: string, id: string) => {
    const records = recordsOf(owner);
    const record = records.get(id);
    if (!record) return;
    records.delete(id);
    changes.delete(record);
    const ids = ordered.get(owner) ?? [];
    ids.splice(placeIn(ids, id), 1);
    count(owner, -1, -record.size);
    if (records.size > 0) return;
    owners.delete(owner);
    ordered.delete(owner);
    totals.delete(owner);
  };
  const expired = (limit: number) => {
    const found: PlacedProfile[] = [];
    for (const record of changes) {
      if (found.length === limit || !isExpired(record)) break;
      found.push(record);
    }
    return found;
  };
  const dropExpired = (limit: number) => {
    const dropped = expired(limit);
    for (const { owner, id } of dropped) remove(owner, id);
    return dropped.length;
  };
  const evict = (owner: string, kept: string) => {
    const filled = () => (totals.get(owner) ?? EMPTY).bytes;
    if (maxBytes === undefined || filled() <= maxBytes) return;
    dropExpired(changes.size);
    for (const id of recordsOf(owner).keys()) {
      if (filled() <= maxBytes) break;
      if (id !== kept) remove(owner, id);
    }
  };
  return {
    kind: 'memory',
    keys: createMemoryKeys(),
    async get(owner, id) {
      const record = living(owner, id);
      return record && { ...infoOf(record), bytes: record.bytes };
    },
    async info(owner, id) {
      const record = living(owner, id);
      return record && infoOf(record);
    },
    async put(owner, id, draft, expected) {
      const size = draft.bytes.byteLength;
      if (maxBytes !== undefined && size > maxBytes) throw new StoreFullError(size, maxBytes);
      const stored = living(owner, id);
      checkState(stored, expected);
      const updated = new Date(now()).toISOString();
      const { version, created } = stored ?? { version: 0, created: updated };
      remove(owner, id);
      const state = { version: version + 1, created, updated, used: updated, size };
      const record = { ...draft, ...state, owner, id, bytes: draft.bytes.slice() };
      place(record);
      evict(owner, id);
      return infoOf(record);
    },
    async delete(owner, id, expected) {
      const stored = living(owner, id);
      if (expected) checkState(stored, expected);
      remove(owner, id);
      return stored !== undefined;
    },
    async list(owner, limit, after) {
      const ids = ordered.get(owner) ?? [];
      let at = after === undefined ? 0 : placeIn(ids, after);
      if (ids[at] === after) at++;
      const profiles: ({ id: string } & ProfileInfo)[] = [];
      let hasMore = false;
      for (; at < ids.length && !hasMore; at++) {
        const id = ids[at] as string;
        const record = living(owner, id);
        if (record && profiles.length < limit) profiles.push({ id, ...infoOf(record) });
        else hasMore = record !== undefined;
      }
      const last = profiles.at(-1);
      return { profiles, ...(hasMore && last ? { next: last.id } : {}) };
    },
    async usage(owner) {
      let { profiles, bytes } = (owner === undefined ? undefined : totals.get(owner)) ?? EMPTY;
      if (owner === undefined) {
        for (const each of totals.values()) {
          profiles += each.profiles;
          bytes += each.bytes;
        }
      }
      for (const { owner: of, size } of expired(COUNTED)) {
        if (owner !== undefined && of !== owner) continue;
        profiles--;
        bytes -= size;
      }
      return { profiles, bytes };
    },
    touch(owner, id) {
      const records = owners.get(owner);
      const record = records?.get(id);
      if (!records || !record) return;
      records.delete(id);
      records.set(id, record);
    },
    async sweep() {
      let swept = 0;
      for (let dropped = BATCH; dropped === BATCH; await turn()) {
        dropped = dropExpired(BATCH);
        swept += dropped;
      }
      return swept;
    },
    async check() {},
    async *all() {
      const records = [...owners.values()].flatMap((each) => [...each.values()]);
      yield* records.sort((a, b) => compare(a.owner, b.owner) || compare(a.id, b.id));
    },
    async restore(profiles) {
      const taken = profiles.find(({ owner, id }) => recordsOf(owner).has(id));
      if (taken) throw new StoreUnavailableError(`expected no profile ${taken.id}, got one`);
      for (const profile of profiles) {
        remove(profile.owner, profile.id);
        place({ ...profile, bytes: profile.bytes.slice() });
      }
    },
    async close() {},
  };
}

/** Where an id stands among others in their order, or would. */
function placeIn(ids: readonly string[], id: string): number {
  let [from, to] = [0, ids.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if ((ids[middle] as string) < id) from = middle + 1;
    else to = middle;
  }
  return from;
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

function infoOf({ owner: _, id: __, used: ___, bytes: ____, ...info }: PlacedProfile): ProfileInfo {
  return info;
}

function createMemoryKeys(): KeyStore {
  const keys = new Map<string, KeyRecord>();
  return {
    async add(key) {
      for (const { name } of keys.values()) if (name === key.name) throw new KeyNameError(name);
      keys.set(key.hash, key);
    },
    async find(hash) {
      return keys.get(hash);
    },
    async list() {
      return [...keys.values()];
    },
    async revoke(idOrName) {
      const found = [...keys.values()].find(({ id, name }) => id === idOrName || name === idOrName);
      return found ? keys.delete(found.hash) : false;
    },
  };
}

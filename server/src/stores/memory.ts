import {
  checkState,
  KeyNameError,
  type KeyRecord,
  type KeyStore,
  type ProfileRecord,
  type ProfileStore,
  StoreFullError,
  type StoreLimits,
} from './contract.js';

/** Profiles and keys in this process's memory: gone when it ends. */
export function createMemoryStore({ ttlMs, maxBytes, now = Date.now }: StoreLimits = {}): ProfileStore {
  /** By owner; an owner's in the order they were used, the longest ago first. */
  const owners = new Map<string, Map<string, ProfileRecord>>();
  const recordsOf = (owner: string) => owners.get(owner) ?? new Map<string, ProfileRecord>();
  const isExpired = ({ updated }: ProfileRecord) => ttlMs !== undefined && Date.parse(updated) + ttlMs <= now();
  const living = (owner: string, id: string) => {
    const record = recordsOf(owner).get(id);
    return record && !isExpired(record) ? record : undefined;
  };
  const usageOf = (records: Iterable<ProfileRecord>) => {
    let [profiles, bytes] = [0, 0];
    for (const record of records) {
      if (isExpired(record)) continue;
      profiles++;
      bytes += record.size;
    }
    return { profiles, bytes };
  };
  const dropExpired = (records: Map<string, ProfileRecord>) => {
    let dropped = 0;
    for (const [id, record] of records) if (isExpired(record) && records.delete(id)) dropped++;
    return dropped;
  };
  const evict = (records: Map<string, ProfileRecord>, kept: string) => {
    if (maxBytes === undefined) return;
    dropExpired(records);
    let { bytes } = usageOf(records.values());
    for (const [id, { size }] of records) {
      if (bytes <= maxBytes) break;
      if (id === kept) continue;
      records.delete(id);
      bytes -= size;
    }
  };
  return {
    kind: 'memory',
    keys: createMemoryKeys(),
    async get(owner, id) {
      return living(owner, id);
    },
    async info(owner, id) {
      const record = living(owner, id);
      if (!record) return undefined;
      const { bytes: _, ...info } = record;
      return info;
    },
    async put(owner, id, draft, expected) {
      const size = draft.bytes.byteLength;
      if (maxBytes !== undefined && size > maxBytes) throw new StoreFullError(size, maxBytes);
      const stored = living(owner, id);
      checkState(stored, expected);
      const updated = new Date(now()).toISOString();
      const { version, created } = stored ?? { version: 0, created: updated };
      const info = { ...draft, version: version + 1, created, updated, size };
      const records = recordsOf(owner);
      owners.set(owner, records);
      records.delete(id);
      records.set(id, { ...info, bytes: draft.bytes.slice() });
      evict(records, id);
      const { bytes: _, ...rest } = info;
      return rest;
    },
    async delete(owner, id, expected) {
      const stored = living(owner, id);
      if (expected) checkState(stored, expected);
      const records = recordsOf(owner);
      records.delete(id);
      if (records.size === 0) owners.delete(owner);
      return stored !== undefined;
    },
    async list(owner, limit, after) {
      const all = [...recordsOf(owner)].filter(([, record]) => !isExpired(record));
      const rest = all.filter(([id]) => after === undefined || id > after).sort(([a], [b]) => (a < b ? -1 : 1));
      const profiles = rest.slice(0, limit).map(([id, { bytes: _, ...info }]) => ({ id, ...info }));
      const last = profiles.at(-1);
      return { profiles, ...(rest.length > limit && last ? { next: last.id } : {}) };
    },
    async usage(owner) {
      const chosen = owner === undefined ? [...owners.values()] : [recordsOf(owner)];
      return usageOf(chosen.flatMap((records) => [...records.values()]));
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
      for (const [owner, records] of owners) {
        swept += dropExpired(records);
        if (records.size === 0) owners.delete(owner);
      }
      return swept;
    },
    async check() {},
    async close() {},
  };
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

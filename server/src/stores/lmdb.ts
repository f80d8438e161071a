import { join } from 'node:path';
import { setTimeout as pause, setImmediate as turn } from 'node:timers/promises';
import { open, type RootDatabase } from 'lmdb';
import {
  COUNTED,
  checkState,
  EMPTY,
  type ProfileInfo,
  type ProfileState,
  type ProfileStore,
  StoreDamagedError,
  StoreFullError,
  type StoreLimits,
  StoreUnavailableError,
} from './contract.js';
import { DATA, damagedFile, inspectFolder, prepareFolder } from './lmdb-folder.js';
import { lmdbKeys } from './lmdb-keys.js';
import { keepRoom } from './lmdb-room.js';
import { openTables, PROBES, type Stored, sumOf } from './lmdb-tables.js';
import { proveWrites } from './prove-writes.js';

const TOUCH_MS = 1000;
/** Milliseconds within which LMDB says why it failed. */
const REASON_MS = 1000;
/** What LMDB calls a page that is not there or not what it should be, and itself after that. */
const DAMAGE = [-30797, -30796, -30795];
/** Profiles that are dropped in one transaction, which the thread that answers waits for. */
const BATCH = 50;
/** Milliseconds between two of them, in which others have their turn; and that a write waits for them at most. */
const SWEEP_PAUSE_MS = 5;
const SWEEP_WAIT_MS = 1000;

/**
 * Profiles and keys in a folder on this machine's disk, by LMDB: what a call has resolved for is on the disk, and a
 * process that is killed at any moment leaves every profile whole. Several processes may open one folder. Rejects with
 * {@link StoreUnavailableError} where the folder cannot be used, with {@link StoreDamagedError} where its file is damaged.
 */
export async function openLmdbStore(folder: string, limits: StoreLimits = {}): Promise<ProfileStore> {
  let root: RootDatabase;
  try {
    await prepareFolder(folder);
    await inspectFolder(folder);
    // Not overlapping: a write is acknowledged when it is synced to the disk. Without the batches of a turn, whose
    // promises nobody holds: their rejection, on a full disk, would end the process.
    const unbatched = { overlappingSync: false, eventTurnBatching: false };
    root = open({ path: folder, noSubdir: false, ...unbatched, maxDbs: 8, cache: false });
  } catch (cause) {
    if (cause instanceof StoreDamagedError || cause instanceof StoreUnavailableError) throw cause;
    throw new StoreUnavailableError(`${folder}: expected a folder for profiles: ${(cause as Error).message}`, {
      cause,
    });
  }
  // A process that was killed leaves its slot in the table of readers.
  root.readerCheck();
  return createStore(root, join(folder, DATA), limits);
}

function createStore(root: RootDatabase, path: string, { ttlMs, maxBytes, now = Date.now }: StoreLimits): ProfileStore {
  const tables = openTables(root);
  const { infos, values, uses, changes, totals } = tables;
  /** For what is written only to see whether it can be. */
  const probes = root.openDB<Uint8Array, string>({ name: PROBES, encoding: 'binary' });
  const room = keepRoom(root, [...Object.values(tables), probes], path);
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
    if (touched.size === 0) return;
    room.take(0);
    for (const [owner, id, used] of touched.values()) {
      const stored = infos.get([owner, id]);
      if (!stored || stored.used >= used) continue;
      uses.removeSync([owner, stored.used, id]);
      uses.putSync([owner, used, id], true);
      infos.putSync([owner, id], { ...stored, used });
    }
    touched.clear();
  };
  /** Writes a profile to a place that is free. */
  const placeSync = (owner: string, id: string, info: ProfileInfo, used: number, bytes: Uint8Array) => {
    infos.putSync([owner, id], { ...info, used, sum: sumOf(info, bytes) });
    values.putSync([owner, id], bytes);
    uses.putSync([owner, used, id], true);
    changes.putSync([Date.parse(info.updated), owner, id], info.size);
    count(owner, 1, info.size);
  };
  const expired = (limit: number) => {
    if (ttlMs === undefined) return [];
    const range = changes.getRange({ end: [now() - ttlMs, '\uffff'], limit });
    return [...range.map(({ key, value }) => [...(key as [number, string, string]), value] as const)];
  };
  const dropExpiredSync = (limit: number) => {
    const dropped = expired(limit);
    for (const [, owner, id] of dropped) removeSync(owner, id);
    return dropped.length;
  };
  const isOver = (owner: string, more = 0) =>
    maxBytes !== undefined && (totals.get(owner) ?? EMPTY).bytes + more > maxBytes;
  /** Drops what an owner did not use for longest, as far as one transaction goes; what has expired first. */
  const evictSync = (owner: string, kept: string) => {
    if (maxBytes === undefined || !isOver(owner)) return;
    dropExpiredSync(BATCH);
    const dropped: string[] = [];
    let { bytes } = totals.get(owner) ?? EMPTY;
    for (const { key } of uses.getRange({ start: [owner, 0], end: [owner, Number.MAX_VALUE], limit: BATCH })) {
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
      const reason = await reasonOf(cause as Error);
      if (DAMAGE.includes(reason.code as number)) throw damagedFile(path, reason.message);
      throw new StoreUnavailableError(`the disk does not take a profile: ${reason.message}`, { cause });
    }
    if (outcome && 'value' in outcome) return outcome.value;
    throw outcome?.error;
  };

  let closing = false;
  let sweeping: Promise<number> | undefined;
  const sweepAll = async () => {
    let swept = 0;
    // On a full disk, fewer at a time: each takes room before it gives some.
    for (let batch = BATCH; !closing; await pause(SWEEP_PAUSE_MS)) {
      try {
        const dropped = await write(() => dropExpiredSync(batch));
        swept += dropped;
        if (dropped < batch) break;
      } catch (error) {
        if (batch === 1) throw error;
        batch = Math.ceil(batch / 10);
      }
    }
    return swept;
  };
  /** One at a time: another call gets what the first does. */
  const sweep = () => {
    sweeping ??= (expired(1).length === 0 ? Promise.resolve(0) : sweepAll()).finally(() => {
      sweeping = undefined;
    });
    return sweeping;
  };
  const prove = proveWrites(async (bytes) => {
    await write(() => {
      room.take(bytes);
      probes.putSync('last', new Uint8Array(bytes));
    });
    if (bytes > 0) await write(() => probes.removeSync('last'));
  });
  const bytesOf = (id: string, stored: Stored, found: Uint8Array | undefined) => {
    if (found && (stored.sum === undefined || stored.sum === sumOf(stored, found))) return new Uint8Array(found);
    throw new StoreDamagedError(`${path}: profile ${id}: expected the bytes that were written, got others`);
  };

  return {
    kind: 'lmdb',
    keys: lmdbKeys(tables.keys, write, () => room.take(0)),
    async get(owner, id) {
      const stored = living(owner, id);
      return stored && { ...infoOf(stored), bytes: bytesOf(id, stored, values.getBinary([owner, id])) };
    },
    async info(owner, id) {
      const stored = living(owner, id);
      return stored && infoOf(stored);
    },
    async put(owner, id, { bytes, ...draft }, expected) {
      const size = bytes.byteLength;
      if (maxBytes !== undefined && size > maxBytes) throw new StoreFullError(size, maxBytes);
      // What has expired takes no room from what lives.
      if (isOver(owner, size)) await Promise.race([sweep(), pause(SWEEP_WAIT_MS, undefined, { ref: false })]);
      const info = await prove.watch(size, () =>
        write(() => {
          const stored = living(owner, id);
          checkState(stored, expected);
          room.take(size);
          touchSync();
          const used = now();
          const updated = new Date(used).toISOString();
          const { version, created }: ProfileState = stored ?? { version: 0, created: updated };
          const info: ProfileInfo = { ...draft, version: version + 1, created, updated, size };
          removeSync(owner, id);
          placeSync(owner, id, info, used, bytes);
          evictSync(owner, id);
          return info;
        }),
      );
      // The profile is kept; should the disk fail here, the next write goes on.
      while (isOver(owner)) {
        const before = totals.get(owner)?.profiles;
        const dropped = await write(() => evictSync(owner, id)).then(
          () => totals.get(owner)?.profiles !== before,
          () => false,
        );
        if (!dropped) break;
      }
      return info;
    },
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
      const transaction = root.useReadTransaction();
      try {
        let seen = 0;
        for (const { key, value } of infos.getRange({ start, end: [owner, '\uffff'], transaction })) {
          // Many may have expired: others have their turn meanwhile.
          if (++seen % BATCH === 0) await turn();
          const id = key[1] as string;
          if (id === after || isExpired(value)) continue;
          if (profiles.length === limit) return { profiles, next: profiles.at(-1)?.id as string };
          profiles.push({ id, ...infoOf(value) });
        }
        return { profiles };
      } finally {
        transaction.done();
      }
    },
    async usage(owner) {
      let { profiles, bytes } = (owner === undefined ? undefined : totals.get(owner)) ?? EMPTY;
      if (owner === undefined) {
        for (const { value } of totals.getRange()) {
          profiles += value.profiles;
          bytes += value.bytes;
        }
      }
      for (const [, of, id, size] of expired(COUNTED)) {
        if (owner !== undefined && of !== owner) continue;
        profiles--;
        bytes -= size === true ? (infos.get([of, id])?.size ?? 0) : size;
      }
      return { profiles, bytes };
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
    sweep,
    async check() {
      try {
        totals.get('');
      } catch (cause) {
        throw new StoreUnavailableError(`the folder cannot be read: ${(cause as Error).message}`, { cause });
      }
      await prove.check();
    },
    async *all() {
      const transaction = root.useReadTransaction();
      try {
        for (const { key, value: stored } of infos.getRange({ transaction })) {
          const [owner, id] = key as [string, string];
          const bytes = bytesOf(id, stored, values.get(key, { transaction }));
          yield { owner, id, used: new Date(stored.used).toISOString(), ...infoOf(stored), bytes };
        }
      } finally {
        transaction.done();
      }
    },
    restore: (profiles) =>
      write(() => {
        const taken = profiles.find(({ owner, id }) => infos.doesExist([owner, id]));
        if (taken) throw new StoreUnavailableError(`expected no profile ${taken.id}, got one`);
        room.take(profiles.reduce((sum, { size }) => sum + size, 0));
        for (const { owner, id, used, bytes, ...info } of profiles) {
          placeSync(owner, id, info, Date.parse(used), bytes);
        }
      }),
    async close() {
      clearTimeout(timer);
      closing = true;
      await sweeping?.catch(() => undefined);
      await write(touchSync).catch(() => undefined);
      await root.close();
      room.close();
    },
  };
}

/** Why a transaction failed; LMDB says it on standard error as well. */
async function reasonOf(cause: Error & { code?: unknown; commitError?: Promise<never> }) {
  const reason = cause.commitError?.catch((error: Error & { code?: unknown }) => error);
  return (await Promise.race([reason, pause(REASON_MS, undefined, { ref: false })])) ?? cause;
}

function infoOf({ used: _, sum: __, ...info }: Stored): ProfileInfo {
  return info;
}

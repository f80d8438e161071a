import { readProfile } from '@whet/runtime';
import { isDump, maskAddress } from './address.js';
import { EMPTY, type PlacedProfile, type ProfileStore, type StoreCounts, StoreDamagedError } from './contract.js';
import { countEntry, type Entry, readDump, writeDump } from './dump.js';
import { holdsStore, openStore } from './open.js';

/** How often a store is read whose count is another than its profiles, before it is called damaged. */
const TRIES = 3;
/** Profiles and bytes that are written in one transaction. */
const BATCH = { profiles: 100, bytes: 4_194_304 };

/**
 * Reads all of a store, or of a dump (a file that ends in .jsonl), and compares it with what must be there; what there is.
 * Rejects with {@link StoreDamagedError} where that is something else.
 */
export async function checkStore(address: string): Promise<StoreCounts> {
  return withEntries(address, async (entries, store) => {
    for (let tries = 1; ; tries++) {
      const before = await store?.usage();
      let counts: StoreCounts = { ...EMPTY, keys: 0 };
      for await (const entry of entries()) {
        if ('profile' in entry) checkProfile(address, entry.profile);
        counts = countEntry(counts, entry);
      }
      const usage = await store?.usage();
      if (!usage || usage.profiles === counts.profiles) return counts;
      // A service that writes meanwhile makes a difference; what stays is one of the store.
      if (tries < TRIES) continue;
      if (usage.profiles !== before?.profiles) return counts;
      const [expected, got] = [usage.profiles, counts.profiles];
      throw new StoreDamagedError(
        `${maskAddress(address)}: expected ${expected} profiles, as it has counted, got ${got}`,
      );
    }
  });
}

/**
 * Copies all profiles of a store or dump, as they are at one moment, and the keys that are there then, to an empty store or a new dump; how much
 * that is. Rejects where there is something already; where it fails on the way, the target holds a part.
 */
export async function copyStore(from: string, to: string): Promise<StoreCounts> {
  return withEntries(from, async (entries) => {
    if (isDump(to)) return writeDump(to, entries());
    refuseMemory(to);
    // To its end before anything is written: a dump says last whether it is whole.
    if (isDump(from)) for await (const _ of readDump(from));
    const store = await openStore(to);
    try {
      const { profiles } = await store.usage();
      const keys = (await store.keys.list()).length;
      if (profiles + keys > 0) {
        throw new Error(
          `${maskAddress(to)}: expected an empty store, got one with ${profiles} profiles and ${keys} keys`,
        );
      }
      return await fill(store, entries());
    } finally {
      await store.close();
    }
  });
}

async function fill(store: ProfileStore, entries: AsyncIterable<Entry>): Promise<StoreCounts> {
  let counts: StoreCounts = { ...EMPTY, keys: 0 };
  let batch: PlacedProfile[] = [];
  let bytes = 0;
  const flush = async () => {
    if (batch.length > 0) await store.restore(batch);
    [batch, bytes] = [[], 0];
  };
  for await (const entry of entries) {
    counts = countEntry(counts, entry);
    if ('key' in entry) {
      await store.keys.add(entry.key);
      continue;
    }
    batch.push(entry.profile);
    bytes += entry.profile.size;
    if (batch.length === BATCH.profiles || bytes > BATCH.bytes) await flush();
  }
  await flush();
  return counts;
}

async function withEntries<T>(
  address: string,
  use: (entries: () => AsyncIterable<Entry>, store: ProfileStore | undefined) => Promise<T>,
): Promise<T> {
  if (isDump(address)) return use(() => readDump(address), undefined);
  refuseMemory(address);
  // A mistaken path would be a new store.
  if (!holdsStore(address)) throw new Error(`${maskAddress(address)}: expected a store, got none`);
  const store = await openStore(address);
  try {
    return await use(() => entriesOf(store), store);
  } finally {
    await store.close();
  }
}

async function* entriesOf(store: ProfileStore): AsyncGenerator<Entry> {
  for await (const profile of store.all()) yield { profile };
  for (const key of await store.keys.list()) yield { key };
}

function refuseMemory(address: string): void {
  if (address !== 'memory:') return;
  throw new Error(
    'expected a folder, postgres://... or a file that ends in .jsonl, got memory:, of which nothing is kept',
  );
}

function checkProfile(address: string, { id, classes, examples, bytes, size }: PlacedProfile): void {
  const fault = (problem: string) => new StoreDamagedError(`${maskAddress(address)}: profile ${id}: ${problem}`);
  if (size !== bytes.byteLength) throw fault(`expected ${size} bytes, got ${bytes.byteLength}`);
  if (classes.length !== examples.length) {
    throw fault(`expected examples of ${classes.length} classes, got of ${examples.length}`);
  }
  try {
    readProfile(bytes);
  } catch (cause) {
    throw fault((cause as Error).message);
  }
}

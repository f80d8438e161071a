import { statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { ABORT, type Database, type Key, open, type RootDatabase } from 'lmdb';
import { EMPTY, type StoreCounts, StoreDamagedError } from './contract.js';
import { figuresOf, openTables, PROBES, type Stored, sumOf, type Tables, tableNames } from './lmdb-tables.js';

// A process of its own, which may die of what it reads: node lmdb-inspect.js FOLDER. Its last line says what is there.

/** Entries after which it says that it is at work. */
const STEP = 500;
/** Bytes for which a place is looked for among the free pages, so that the list of these is read as well. */
const TRIAL = 1_048_576;

const tell = (message: object) => writeSync(1, `${JSON.stringify(message)}\n`);

function inspect(folder: string): StoreCounts {
  const root: RootDatabase = open({ path: folder, noSubdir: false, overlappingSync: false, maxDbs: 8, cache: false });
  const { pageSize, lastPageNumber, root: names } = figuresOf(root);
  const [size, expected] = [statSync(join(folder, 'data.mdb')).size, (lastPageNumber + 1) * pageSize];
  // Whatever is behind its end cannot be read without the end of this process.
  if (size < expected) throw new StoreDamagedError(`it has ${size} of ${expected} bytes`);
  const there = [...root.getKeys()].map(String);
  if (there.length !== names.entryCount) {
    throw new StoreDamagedError(`its list of tables has ${there.length} of ${names.entryCount} entries`);
  }
  const lacking = tableNames.find((name) => !there.includes(name));
  if (lacking !== undefined) {
    // As a process leaves it that was killed while it made the tables.
    if (there.every((name) => figuresOf(root.openDB({ name })).entryCount === 0)) return { ...EMPTY, keys: 0 };
    throw new StoreDamagedError(`it has no "${lacking}"`);
  }
  const tables = openTables(root);
  const counts = walk(tables, there.includes(PROBES) ? root.openDB({ name: PROBES, encoding: 'binary' }) : undefined);
  root.transactionSync(() => {
    tables.values.putSync([''], new Uint8Array(TRIAL));
    return ABORT;
  });
  return counts;
}

/** Reads all that there is, as it is at one moment. */
function walk(tables: Tables, probes: Database | undefined): StoreCounts {
  const transaction = tables.infos.useReadTransaction();
  let told = 0;
  function* entries<V, K extends Key>(name: string, table: Database<V, K>) {
    let count = 0;
    for (const entry of table.getRange({ transaction })) {
      if (++told % STEP === 0) tell({ read: told });
      yield entry;
      count++;
    }
    const { entryCount } = figuresOf(table);
    if (count !== entryCount) throw new StoreDamagedError(`"${name}" has ${count} of ${entryCount} entries`);
  }
  const owners = new Map<string, { profiles: number; bytes: number }>();
  const values = entries('values', tables.values);
  // Sums of the keys that the other tables must have, in whatever order.
  const [uses, changes] = [keySum(), keySum()];
  let [profiles, bytes, keys] = [0, 0, 0];
  for (const { key, value: stored } of entries('profiles', tables.infos)) {
    const [owner, id] = key as [string, string];
    const { value: found } = values.next() as IteratorResult<{ key: string[]; value: Uint8Array }, undefined>;
    if (found?.key[0] !== owner || found.key[1] !== id) throw new StoreDamagedError(`profile ${id} has no bytes`);
    checkStored(id, stored, found.value);
    uses.add([owner, stored.used, id]);
    changes.add([Date.parse(stored.updated), owner, id]);
    const total = owners.get(owner) ?? EMPTY;
    owners.set(owner, { profiles: total.profiles + 1, bytes: total.bytes + stored.size });
    profiles++;
    bytes += stored.size;
  }
  if (!values.next().done) throw new StoreDamagedError('there are bytes without a profile');
  for (const [name, expected] of Object.entries({ uses, changes })) {
    const found = keySum();
    for (const { key } of entries<unknown, Key>(name, tables[name as 'uses' | 'changes'])) found.add(key);
    if (found.value() !== expected.value())
      throw new StoreDamagedError(`"${name}" lists other than the ${profiles} profiles`);
  }
  for (const { key: owner, value } of entries('totals', tables.totals)) {
    const { profiles: counted, bytes: size } = owners.get(owner) ?? EMPTY;
    owners.delete(owner);
    if (counted === value.profiles && size === value.bytes) continue;
    throw new StoreDamagedError(`"totals" has ${value.profiles} profiles of a namespace that has ${counted}`);
  }
  if (owners.size > 0) throw new StoreDamagedError('"totals" lacks a namespace');
  for (const { key, value } of entries('keys', tables.keys)) {
    if (value.hash !== key) throw new StoreDamagedError('a key is not under its hash');
    keys++;
  }
  if (probes) for (const _ of entries(PROBES, probes));
  transaction.done();
  return { profiles, bytes, keys };
}

function keySum() {
  let sum = 0;
  return {
    add(key: Key) {
      sum = (sum + crc32(JSON.stringify(key))) >>> 0;
    },
    value: () => sum,
  };
}

function checkStored(id: string, stored: Stored, bytes: Uint8Array): void {
  if (stored.size !== bytes.byteLength) {
    throw new StoreDamagedError(`profile ${id} has ${bytes.byteLength} of ${stored.size} bytes`);
  }
  if (stored.sum !== undefined && stored.sum !== sumOf(stored, bytes)) {
    throw new StoreDamagedError(`profile ${id} has other bytes than were written`);
  }
}

try {
  tell({ counts: inspect(process.argv[2] as string) });
} catch (error) {
  const { code, message } = error as { code?: unknown; message: string };
  // LMDB's own are below 0, the system's above: the file may be whole where it cannot be opened.
  tell(typeof code === 'number' && code > 0 ? { refusal: message } : { problem: message });
}
// Nothing of a damaged file is written when it is closed.
process.exit(0);

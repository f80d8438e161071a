import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Profile } from '@whet/runtime';
import {
  addKey,
  checkStore,
  copyStore,
  openStore,
  type PlacedProfile,
  type ProfileStore,
  StoreUnavailableError,
  VersionConflictError,
} from '@whet/server';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { lacking } from '../needs.js';
import { findPostgres, startPostgres, type TestPostgres } from './postgres.js';
import { describeStore } from './store-conformance.js';
import { draftOf } from './store-drafts.js';

let folder: string;
let opened = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-stores-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describeStore('memory', { open: (limits) => openStore('memory:', limits) });

describeStore('lmdb', {
  open: (limits) => openStore(join(folder, `${++opened}`), limits),
  reopen: (limits) => openStore(join(folder, `${opened}`), limits),
});

test('a list in a folder gives others their turn while it passes over what has expired', async () => {
  const store = await openStore(join(folder, 'list'), { ttlMs: 1000 });
  const at = new Date(Date.now() - 5000).toISOString();
  const state = { version: 1, created: at, updated: at, used: at, size: 1, owner: 'me' };
  await store.restore(Array.from({ length: 1000 }, (_, i) => ({ ...draftOf('x'), ...state, id: `id ${i}` })));
  await store.put('me', 'last', draftOf('y'), undefined);
  let [turns, listed] = [0, false];
  const listing = store.list('me', 5).finally(() => {
    listed = true;
  });
  for (; !listed; turns++) await new Promise((resolve) => setImmediate(resolve));
  expect((await listing).profiles.map(({ id }) => id)).toEqual(['last']);
  expect(turns).toBeGreaterThan(5);
  await store.close();
});

const programs = findPostgres();
describe.skipIf(!programs)(`with PostgreSQL${lacking({ postgresql: programs })}`, () => {
  let postgres: TestPostgres;
  let url: string;
  beforeAll(async () => {
    postgres = await startPostgres(programs as string);
    url = await postgres.database('whet');
  });
  afterAll(() => postgres?.close());

  // First, as PostgreSQL syncs all that was ever written to it when it comes back.
  test('a server that is gone is said to be, and is found again', async () => {
    const address = await postgres.database('gone');
    const store = await openStore(address);
    const draft = { model: 'm', pattern: 'p', classes: ['a', 'b'], examples: [1, 1], bytes: Uint8Array.of(1) };
    const first = await store.put('me', 'x', draft, undefined);
    await postgres.kill();
    for (const action of [store.get('me', 'x'), store.put('me', 'x', draft, first), store.check(), store.keys.list()]) {
      await expect(action).rejects.toBeInstanceOf(StoreUnavailableError);
    }
    await expect(openStore(address)).rejects.toBeInstanceOf(StoreUnavailableError);
    await postgres.start();
    expect(await store.get('me', 'x')).toEqual({ ...first, bytes: draft.bytes });
    await store.close();
  });

  describeStore('postgres', {
    open: async (limits) => {
      await postgres.empty(url);
      return openStore(url, limits);
    },
    reopen: (limits) => openStore(url, limits),
  });

  test('several servers that start at once make one schema; a newer one is refused', async () => {
    const address = await postgres.database('schema');
    const spelt = ['postgres', 'postgres', 'Postgres', 'postgresql'].map((scheme) => address.replace(/^\w+/, scheme));
    const stores = await Promise.all(spelt.map((each) => openStore(each)));
    for (const store of stores) {
      expect(store.kind).toBe('postgres');
      expect(await store.usage()).toEqual({ profiles: 0, bytes: 0 });
      await store.close();
    }
    const client = new pg.Client(address);
    await client.connect();
    expect((await client.query('SELECT version FROM whet_schema')).rows).toEqual([{ version: 2 }]);
    await client.query('UPDATE whet_schema SET version = 1000');
    await client.end();
    await expect(openStore(address)).rejects.toThrow('expected version 2 or older, got 1000');
  });

  /** Names of a namespace's profiles, in the order in which they would be dropped. */
  const dropOrder = async (client: pg.Client, owner: string) => {
    const { rows } = await client.query('SELECT id FROM whet_profiles WHERE owner = $1 ORDER BY used', [owner]);
    return rows.map(({ id }) => id as string);
  };
  const waiting = async (client: pg.Client, count: number) => {
    const text = `SELECT count(*)::int AS n FROM pg_stat_activity
      WHERE datname = current_database() AND wait_event_type = 'Lock'`;
    for (let i = 0; i < 200; i++) {
      if ((await client.query<{ n: number }>(text)).rows[0]?.n === count) return;
      await pause(20);
    }
    throw new Error(`${count} transactions do not wait`);
  };

  test('noted uses wait for whoever changes profiles of that namespace, and are not lost', async () => {
    const address = await postgres.database('uses');
    const [store, client, watch] = [
      await openStore(address, { maxBytes: 1000 }),
      new pg.Client(address),
      new pg.Client(address),
    ];
    await Promise.all([client.connect(), watch.connect()]);
    try {
      const ids = Array.from({ length: 9 }, (_, i) => `p${i}`);
      for (const id of ids) await store.put('me', id, draftOf(id), undefined);
      // As another server's write does, which drops profiles in an order of its own.
      await client.query('BEGIN');
      await client.query("SELECT pg_advisory_xact_lock(hashtextextended('me', 0))");
      await client.query("DELETE FROM whet_profiles WHERE owner = 'me' AND id = 'p4'");
      for (const id of ids.slice(0, 6)) store.touch('me', id);
      const [mine, others] = [
        store.put('me', 'new', draftOf('new'), undefined),
        store.put('you', 'new', draftOf('new'), undefined),
      ];
      await others;
      await waiting(watch, 1);
      await client.query("DELETE FROM whet_profiles WHERE owner = 'me' AND id <> 'p0'");
      await client.query('ROLLBACK');
      expect(await mine).toMatchObject({ version: 1 });
      const order = await dropOrder(watch, 'me');
      expect([order.slice(0, 3).sort(), order.at(-1)]).toEqual([['p6', 'p7', 'p8'], 'new']);
      // A write that is refused loses no use.
      store.touch('me', 'p6');
      await expect(store.put('me', 'new', draftOf('x'), undefined)).rejects.toBeInstanceOf(VersionConflictError);
      await store.put('me', 'last', draftOf('x'), undefined);
      expect((await dropOrder(watch, 'me')).slice(0, 2).sort()).toEqual(['p7', 'p8']);
    } finally {
      await Promise.all([client.end(), watch.end(), store.close()]);
    }
  });

  test('a write that a deadlock ends is tried again, and at last said to be not possible now', async () => {
    const address = await postgres.database('deadlock');
    const client = new pg.Client(address);
    await client.connect();
    const store = await openStore(address);
    try {
      await client.query(`CREATE SEQUENCE attempts; CREATE FUNCTION torn() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          IF nextval('attempts') % 3 <> 0 OR NEW.id = 'never' THEN RAISE 'deadlock detected' USING ERRCODE = '40P01'; END IF;
          RETURN NEW;
        END $$; CREATE TRIGGER torn BEFORE INSERT ON whet_profiles FOR EACH ROW EXECUTE FUNCTION torn()`);
      expect(await store.put('me', 'third', draftOf('x'), undefined)).toMatchObject({ version: 1 });
      await expect(store.put('me', 'never', draftOf('x'), undefined)).rejects.toBeInstanceOf(StoreUnavailableError);
    } finally {
      await Promise.all([client.end(), store.close()]);
    }
  });

  test('a server that takes no profile is not ready, until it takes one again', async () => {
    const address = await postgres.database('full');
    const client = new pg.Client(address);
    await client.connect();
    const store = await openStore(address);
    try {
      await store.check();
      await client.query(`CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE 'could not extend file' USING ERRCODE = '53100'; END
        $$; CREATE TRIGGER full_disk BEFORE INSERT ON whet_profiles FOR EACH ROW EXECUTE FUNCTION full_disk()`);
      await expect(store.put('me', 'x', draftOf('x'), undefined)).rejects.toBeInstanceOf(StoreUnavailableError);
      await expect(store.check()).rejects.toThrow('could not extend file');
      await client.query('DROP TRIGGER full_disk ON whet_profiles');
      await vi.waitFor(() => store.check(), { timeout: 20_000 });
      expect(await store.usage()).toEqual({ profiles: 0, bytes: 0 });
      await client.query('ALTER DATABASE "full" SET default_transaction_read_only = on');
      const other = await openStore(address).catch((error: unknown) => error);
      expect(other).toBeInstanceOf(StoreUnavailableError);
    } finally {
      await Promise.all([client.end(), store.close()]);
    }
  });

  test('a database that has counted other profiles than it has is not all as written', async () => {
    const address = await postgres.database('counted');
    const store = await openStore(address);
    const bytes = new Profile('b', 'p', ['a', 'b'], [1, 1], 1, new Map()).toBytes();
    await store.put('me', 'x', draftOf('b', bytes), undefined);
    await store.close();
    expect(await checkStore(address)).toMatchObject({ profiles: 1 });
    const client = new pg.Client(address);
    await client.connect();
    await client.query('INSERT INTO whet_totals VALUES (-1, 1, 0)');
    await client.end();
    await expect(checkStore(address)).rejects.toThrow(/: expected 2 profiles, as it has counted, got 1$/);
  });

  test('what a folder keeps is copied to a database and back', async () => {
    const [from, back] = [join(folder, 'copied'), join(folder, 'copied back')];
    const store = await openStore(from);
    const first = await store.put('ä "', 'x', draftOf('1'), undefined);
    await store.put('ä "', 'x', draftOf('2'), first);
    await store.put('me', 'y', draftOf('3', new Uint8Array(100_000)), undefined);
    await addKey(store.keys, { name: 'phone', rateLimit: 5 });
    const everything = async (of: ProfileStore) => {
      const profiles: PlacedProfile[] = [];
      for await (const profile of of.all()) profiles.push(profile);
      return { profiles, keys: await of.keys.list(), usage: await of.usage() };
    };
    const expected = await everything(store);
    await store.close();
    const address = await postgres.database('copied');
    const counts = { profiles: 2, bytes: 100_001, keys: 1 };
    expect(await copyStore(from, address)).toEqual(counts);
    expect(await copyStore(address, back)).toEqual(counts);
    await expect(copyStore(from, address)).rejects.toThrow(
      'expected an empty store, got one with 2 profiles and 1 keys',
    );
    for (const copy of [await openStore(address), await openStore(back)]) {
      expect(await everything(copy)).toEqual(expected);
      await copy.close();
    }
  });

  test('a server that says nothing any more does not keep the store from closing', async () => {
    const address = await postgres.database('frozen');
    const client = new pg.Client(address);
    await client.connect();
    // What is open keeps a process from ending.
    const open = () => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;
    const before = open();
    const store = await openStore(address, { maxBytes: 1000 });
    await Promise.all([store.put('me', 'x', draftOf('x'), undefined), store.usage(), store.list('me', 1)]);
    const text = "SELECT pid FROM pg_stat_activity WHERE datname = 'frozen' AND application_name = 'whet'";
    const { rows } = await client.query<{ pid: number }>(text);
    expect(rows.length).toBeGreaterThan(1);
    const signal = (name: NodeJS.Signals) => rows.map(({ pid }) => process.kill(pid, name));
    signal('SIGSTOP');
    try {
      store.touch('me', 'x');
      await expect(Promise.race([store.close(), pause(15_000, 'still open')])).resolves.toBeUndefined();
      expect(open()).toBe(before);
    } finally {
      signal('SIGCONT');
      await client.end();
    }
  });
});

test('an address that cannot be used is refused', async () => {
  const file = join(folder, 'file');
  await writeFile(file, 'not a folder');
  await expect(openStore(file)).rejects.toBeInstanceOf(StoreUnavailableError);
  await expect(openStore('mysql://u:secret@h/d')).rejects.toThrow(
    'store: expected a folder, postgres://... or memory:, got mysql://...',
  );
});

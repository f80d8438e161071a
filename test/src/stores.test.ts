import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStore, StoreUnavailableError } from '@whet/server';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findPostgres, startPostgres, type TestPostgres } from './postgres.js';
import { describeStore } from './store-conformance.js';

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

const programs = findPostgres();
describe.skipIf(!programs)('with PostgreSQL (Debian: postgresql)', () => {
  let postgres: TestPostgres;
  let url: string;
  beforeAll(async () => {
    postgres = await startPostgres(programs as string);
    url = await postgres.database('whet');
  });
  afterAll(() => postgres?.close());

  describeStore('postgres', {
    open: async (limits) => {
      await postgres.empty(url);
      return openStore(url, limits);
    },
    reopen: (limits) => openStore(url, limits),
  });

  test('several servers that start at once make one schema; a newer one is refused', async () => {
    const address = await postgres.database('schema');
    const stores = await Promise.all(Array.from({ length: 4 }, () => openStore(address)));
    for (const store of stores) {
      expect(await store.usage()).toEqual({ profiles: 0, bytes: 0 });
      await store.close();
    }
    const { default: pg } = await import('pg');
    const client = new pg.Client(address);
    await client.connect();
    expect((await client.query('SELECT version FROM whet_schema')).rows).toEqual([{ version: 1 }]);
    await client.query('UPDATE whet_schema SET version = 1000');
    await client.end();
    await expect(openStore(address)).rejects.toThrow('expected version 1 or older, got 1000');
  });

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
});

test('an address that cannot be used is refused', async () => {
  const file = join(folder, 'file');
  await writeFile(file, 'not a folder');
  await expect(openStore(file)).rejects.toBeInstanceOf(StoreUnavailableError);
});

import { randomBytes, randomUUID } from 'node:crypto';
import { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { Pool, PoolClient, QueryResultRow } from 'pg';
import {
  COUNTED,
  type ProfileInfo,
  type ProfileState,
  type ProfileStore,
  StoreFullError,
  type StoreLimits,
  StoreUnavailableError,
  type Usage,
  VersionConflictError,
} from './contract.js';
import { postgresKeys } from './postgres-keys.js';
import { reach } from './postgres-reach.js';
import { migrate } from './postgres-schema.js';
import { transact } from './postgres-transact.js';
import { proveWrites } from './prove-writes.js';

/** Milliseconds until a server that does not answer counts as away. */
const TIMEOUT_MS = 3000;
const TOUCH_MS = 1000;
/** Profiles that are dropped in one statement, and read at once. */
const BATCH = 1000;
const PAGE = 50;
/** SQLSTATEs of transactions that did nothing, as others were in their way: deadlocks and serialization failures. */
const AGAIN = /^40(P01|001)$/;
const ATTEMPTS = 3;

const INFO = 'version, created, updated, model, pattern, classes, examples, size';
const TOTALS = 'SELECT sum(profiles) AS profiles, sum(bytes) AS bytes FROM whet_totals';

interface Row extends QueryResultRow {
  readonly id: string;
  readonly version: number;
  readonly created: Date;
  readonly updated: Date;
  readonly model: string;
  readonly pattern: string;
  readonly classes: string[];
  readonly examples: number[];
  readonly size: number;
  readonly bytes: Buffer;
}

interface PlacedRow extends Row {
  readonly owner: string;
  readonly used: Date;
}

/**
 * Profiles and keys in PostgreSQL 13 or newer, for several servers behind one address; needs the package `pg`. Brings the
 * schema up to date first. Rejects with {@link StoreUnavailableError} where the server does not answer.
 */
export async function openPostgresStore(url: string, limits: StoreLimits = {}): Promise<ProfileStore> {
  const { default: pg } = await import('pg').catch((cause) => {
    throw new StoreUnavailableError('a store in PostgreSQL needs the package "pg": npm install pg', { cause });
  });
  const sockets = new Set<Socket>();
  const pool = new pg.Pool({
    connectionString: url,
    stream: () => {
      const socket = new Socket();
      sockets.add(socket);
      return socket.once('close', () => sockets.delete(socket));
    },
    connectionTimeoutMillis: TIMEOUT_MS,
    query_timeout: TIMEOUT_MS * 2,
    application_name: 'whet',
    max: 10,
  });
  // An idle connection that breaks is replaced by the next query, which says what is wrong if it is still.
  pool.on('error', () => undefined);
  /** Ends all connections after some last work, also those on which the server says nothing any more. */
  const endPool = async (lastWork?: () => Promise<void>) => {
    const timer = setTimeout(() => {
      for (const socket of sockets) socket.destroy();
    }, TIMEOUT_MS);
    await lastWork?.().catch(() => undefined);
    await pool.end();
    await Promise.all([...sockets].map((socket) => new Promise((resolve) => socket.once('close', resolve))));
    clearTimeout(timer);
  };
  try {
    await reach(() => migrate(pool));
  } catch (error) {
    await endPool();
    throw error;
  }
  return createStore(pool, limits, endPool);
}

function createStore(
  pool: Pool,
  { ttlMs, maxBytes, now = Date.now }: StoreLimits,
  endPool: (lastWork: () => Promise<void>) => Promise<void>,
): ProfileStore {
  /** When profiles were used that the server does not know of yet, by owner and id. */
  const touched = new Map<string, Map<string, Date>>();
  let timer: NodeJS.Timeout | undefined;
  /** Profiles that changed later are there. */
  const horizon = () => (ttlMs === undefined ? new Date(0) : new Date(now() - ttlMs));

  const one = async (columns: string, owner: string, id: string): Promise<Row | undefined> => {
    const text = `SELECT ${columns} FROM whet_profiles WHERE owner = $1 AND id = $2 AND updated > $3`;
    const { rows } = await reach(() =>
      pool.query<Row>({ name: `whet-${columns.length}`, text, values: [owner, id, horizon()] }),
    );
    return rows[0];
  };
  const inTransaction = <T>(action: (client: PoolClient) => Promise<T>): Promise<T> =>
    reach(async () => {
      for (let attempt = 1; ; attempt++) {
        try {
          return await transact(pool, action);
        } catch (error) {
          if (attempt === ATTEMPTS || !AGAIN.test(String((error as { code?: unknown }).code))) throw error;
          await pause(Math.random() * 20 * attempt);
        }
      }
    });
  /** Lets one transaction at a time write several of an owner's profiles: none waits for what another holds. */
  const lockOwner = (client: PoolClient, owner: string) =>
    client.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [owner]);
  /** Runs a transaction that has locked the owner, after the noted uses of its profiles were written. */
  const withUses = async <T>(owner: string, action: (client: PoolClient) => Promise<T>): Promise<T> => {
    const uses = touched.get(owner) ?? new Map<string, Date>();
    touched.delete(owner);
    try {
      return await inTransaction(async (client) => {
        await lockOwner(client, owner);
        if (uses.size > 0) {
          const text = `UPDATE whet_profiles p SET used = t.used FROM unnest($2::text[], $3::timestamptz[]) AS t (id, used)
            WHERE p.owner = $1 AND p.id = t.id AND p.used < t.used`;
          await client.query(text, [owner, [...uses.keys()], [...uses.values()]]);
        }
        return action(client);
      });
    } catch (error) {
      // Nothing was written, so the uses are noted still; those that were noted meanwhile are newer.
      if (uses.size > 0) touched.set(owner, new Map([...uses, ...(touched.get(owner) ?? [])]));
      throw error;
    }
  };
  const change = <T>(owner: string, action: (client: PoolClient) => Promise<T>): Promise<T> =>
    maxBytes === undefined ? inTransaction(action) : withUses(owner, action);
  const flushTouched = async () => {
    for (const owner of [...touched.keys()]) await withUses(owner, async () => undefined);
  };
  const currentVersion = async (client: PoolClient, owner: string, id: string) => {
    const text = 'SELECT version FROM whet_profiles WHERE owner = $1 AND id = $2 AND updated > $3';
    return (await client.query<Row>(text, [owner, id, horizon()])).rows[0]?.version;
  };
  const evict = async (client: PoolClient, owner: string, kept: string) => {
    // The expired ones first, which take no room from those that live.
    const text = `DELETE FROM whet_profiles WHERE owner = $1 AND id IN (
      SELECT id FROM (
        SELECT id, updated, sum(size) FILTER (WHERE updated > $4)
          OVER (ORDER BY (id = $2) DESC, used DESC, id) AS filled FROM whet_profiles WHERE owner = $1
      ) AS ranked WHERE (filled > $3 OR updated <= $4) AND id <> $2)`;
    await client.query(text, [owner, kept, maxBytes, horizon()]);
  };

  let closing = false;
  const prove = proveWrites(async (bytes) => {
    await reach(() => pool.query('UPDATE whet_schema SET version = version'));
    if (bytes === 0) return;
    // As large as what was refused; random, as PostgreSQL would make zeros small.
    const text = `INSERT INTO whet_profiles (owner, id, used, ${INFO}, bytes)
      VALUES ('', $1, now(), 1, now(), now(), '', '', '{}', '{}', 0, $2)`;
    const id = randomUUID();
    await inTransaction(async (client) => {
      await client.query(text, [id, randomBytes(bytes)]);
      await client.query("DELETE FROM whet_profiles WHERE owner = '' AND id = $1", [id]);
    });
  });

  return {
    kind: 'postgres',
    keys: postgresKeys(pool),
    async get(owner, id) {
      const row = await one(`${INFO}, bytes`, owner, id);
      return row && { ...infoOf(row), bytes: new Uint8Array(row.bytes) };
    },
    async info(owner, id) {
      const row = await one(INFO, owner, id);
      return row && infoOf(row);
    },
    async put(owner, id, draft, expected) {
      const size = draft.bytes.byteLength;
      if (maxBytes !== undefined && size > maxBytes) throw new StoreFullError(size, maxBytes);
      const write = async (client: PoolClient) => {
        const at = new Date(now());
        const { model, pattern, classes, examples, bytes } = draft;
        const values = [owner, id, at, model, pattern, classes, examples, size, Buffer.from(bytes)];
        const { rows } = expected
          ? await client.query<Row>(
              `UPDATE whet_profiles SET version = version + 1, updated = $3, used = $3, model = $4, pattern = $5,
                 classes = $6, examples = $7, size = $8, bytes = $9
               WHERE owner = $1 AND id = $2 AND version = $10 AND created = $11 AND updated > $12 RETURNING ${INFO}`,
              [...values, expected.version, new Date(expected.created), horizon()],
            )
          : await client.query<Row>(
              `INSERT INTO whet_profiles (owner, id, version, created, updated, used, model, pattern, classes, examples, size, bytes)
               VALUES ($1, $2, 1, $3, $3, $3, $4, $5, $6, $7, $8, $9)
               ON CONFLICT (owner, id) DO UPDATE SET version = 1, created = $3, updated = $3, used = $3, model = $4,
                 pattern = $5, classes = $6, examples = $7, size = $8, bytes = $9
               WHERE whet_profiles.updated <= $10 RETURNING ${INFO}`,
              [...values, horizon()],
            );
        const [row] = rows;
        if (!row) throw new VersionConflictError(await currentVersion(client, owner, id), expected?.version);
        if (maxBytes !== undefined) await evict(client, owner, id);
        return infoOf(row);
      };
      return prove.watch(size, () => change(owner, write));
    },
    delete: (owner, id, expected) =>
      inTransaction(async (client) => {
        const values: unknown[] = [owner, id, horizon()];
        const state = expected ? ' AND version = $4 AND created = $5' : '';
        if (expected) values.push(expected.version, new Date(expected.created));
        const { rowCount } = await client.query(
          `DELETE FROM whet_profiles WHERE owner = $1 AND id = $2 AND updated > $3${state}`,
          values,
        );
        if (rowCount === 0 && expected) {
          throw new VersionConflictError(await currentVersion(client, owner, id), expected.version);
        }
        return rowCount === 1;
      }),
    async list(owner, limit, after) {
      const text = `SELECT id, ${INFO} FROM whet_profiles WHERE owner = $1 AND updated > $2 AND id > $3 ORDER BY id LIMIT $4`;
      const { rows } = await reach(() => pool.query<Row>(text, [owner, horizon(), after ?? '', limit + 1]));
      const profiles = rows.slice(0, limit).map((row) => ({ id: row.id, ...infoOf(row) }));
      const last = profiles.at(-1);
      return { profiles, ...(rows.length > limit && last ? { next: last.id } : {}) };
    },
    async usage(owner) {
      const totals =
        owner === undefined
          ? TOTALS
          : `SELECT count(*) AS profiles, sum(size) AS bytes FROM whet_profiles WHERE owner = $2`;
      const text = `WITH total AS (${totals}), expired AS (
          SELECT count(*) AS profiles, coalesce(sum(size), 0) AS bytes FROM (
            SELECT size FROM whet_profiles WHERE updated <= $1 AND ($2::text IS NULL OR owner = $2)
            ORDER BY updated LIMIT ${COUNTED}) AS first)
        SELECT (t.profiles - e.profiles)::float8 AS profiles, (coalesce(t.bytes, 0) - e.bytes)::float8 AS bytes
        FROM total AS t, expired AS e`;
      const query = () => pool.query<Usage>(text, [horizon(), owner ?? null]);
      const { profiles, bytes } = (await reach(query)).rows[0] as Usage;
      return { profiles, bytes };
    },
    touch(owner, id) {
      if (maxBytes === undefined) return;
      const uses = touched.get(owner) ?? new Map<string, Date>();
      touched.set(owner, uses.set(id, new Date(now())));
      timer ??= setTimeout(() => {
        timer = undefined;
        flushTouched().catch(() => undefined);
      }, TOUCH_MS).unref();
    },
    async sweep() {
      if (ttlMs === undefined) return 0;
      // What another transaction has in hand is left for the next time: this one waits for nobody.
      const text = `DELETE FROM whet_profiles WHERE (owner, id) IN (
        SELECT owner, id FROM whet_profiles WHERE updated <= $1 ORDER BY updated LIMIT ${BATCH} FOR UPDATE SKIP LOCKED)`;
      for (let swept = 0; ; ) {
        const dropped = (await reach(() => pool.query(text, [horizon()]))).rowCount ?? 0;
        swept += dropped;
        if (dropped < BATCH || closing) return swept;
      }
    },
    check: prove.check,
    async *all() {
      const client = await reach(() => pool.connect());
      // Of a connection that breaks, the next query says so.
      client.on('error', () => undefined);
      let [owner, id, done] = ['', '', false];
      try {
        await reach(() => client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY'));
        const text = `SELECT owner, id, used, ${INFO}, bytes FROM whet_profiles WHERE (owner, id) > ($1, $2) ORDER BY owner, id LIMIT ${PAGE}`;
        while (!done) {
          const { rows } = await reach(() => client.query<PlacedRow>(text, [owner, id]));
          for (const row of rows) {
            const { bytes, used } = row;
            [owner, id] = [row.owner, row.id];
            yield { owner, id, used: used.toISOString(), ...infoOf(row), bytes: new Uint8Array(bytes) };
          }
          done = rows.length < PAGE;
        }
      } finally {
        // The transaction has changed nothing, and ends with its connection.
        client.release(true);
      }
    },
    restore: (profiles) =>
      inTransaction(async (client) => {
        const text = `INSERT INTO whet_profiles (owner, id, used, ${INFO}, bytes)
          VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING`;
        for (const {
          owner,
          id,
          used,
          version,
          created,
          updated,
          model,
          pattern,
          classes,
          examples,
          ...rest
        } of profiles) {
          const values = [owner, id, used, version, created, updated, model, pattern, classes, examples];
          const { rowCount } = await client.query(text, [...values, rest.size, Buffer.from(rest.bytes)]);
          if (rowCount === 0) throw new StoreUnavailableError(`expected no profile ${id}, got one`);
        }
      }),
    async close() {
      clearTimeout(timer);
      closing = true;
      await endPool(flushTouched);
    },
  };
}

function infoOf(row: Row): ProfileInfo {
  const { model, pattern, classes, examples, version, size } = row;
  const [created, updated] = [row.created.toISOString(), row.updated.toISOString()];
  const state: ProfileState = { version, created };
  return { model, pattern, classes, examples, ...state, updated, size };
}

import type { Pool, QueryResultRow } from 'pg';
import { KeyNameError, type KeyRecord, type KeyStore } from './contract.js';
import { reach } from './postgres-reach.js';

/** SQLSTATE of a second row where there may be one. */
const UNIQUE = '23505';

interface KeyRow extends QueryResultRow {
  readonly id: string;
  readonly name: string;
  readonly hash: string;
  readonly namespace: string;
  readonly role: KeyRecord['role'];
  readonly rate_limit: number | null;
  readonly created: Date;
}

export function postgresKeys(pool: Pool): KeyStore {
  const columns = 'id, name, hash, namespace, role, rate_limit, created';
  const keyOf = ({ rate_limit, created, ...key }: KeyRow): KeyRecord => ({
    ...key,
    ...(rate_limit === null ? {} : { rateLimit: rate_limit }),
    created: created.toISOString(),
  });
  return {
    async add({ id, name, hash, namespace, role, rateLimit, created }) {
      const text = `INSERT INTO whet_keys (${columns}) VALUES ($1, $2, $3, $4, $5, $6, $7)`;
      const values = [id, name, hash, namespace, role, rateLimit ?? null, new Date(created)];
      try {
        await reach(() => pool.query(text, values));
      } catch (error) {
        if ((error as { code?: unknown }).code === UNIQUE) throw new KeyNameError(name);
        throw error;
      }
    },
    async find(hash) {
      const text = `SELECT ${columns} FROM whet_keys WHERE hash = $1`;
      const { rows } = await reach(() => pool.query<KeyRow>({ name: 'whet-key', text, values: [hash] }));
      return rows[0] && keyOf(rows[0]);
    },
    async list() {
      const { rows } = await reach(() => pool.query<KeyRow>(`SELECT ${columns} FROM whet_keys ORDER BY created, id`));
      return rows.map(keyOf);
    },
    async revoke(idOrName) {
      const text = 'DELETE FROM whet_keys WHERE id = $1 OR name = $1';
      return ((await reach(() => pool.query(text, [idOrName]))).rowCount ?? 0) > 0;
    },
  };
}

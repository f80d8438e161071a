import type { Pool } from 'pg';

/** Steps from an empty database to the newest schema. What was released is never changed, only added to. */
const STEPS = [
  // "C": ids are compared by their bytes, as in the other stores.
  `CREATE TABLE whet_profiles (
    owner text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    created timestamptz(3) NOT NULL,
    updated timestamptz(3) NOT NULL,
    used timestamptz(3) NOT NULL,
    model text NOT NULL,
    pattern text NOT NULL,
    classes text[] NOT NULL,
    examples integer[] NOT NULL,
    size integer NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (owner, id)
  );
  ALTER TABLE whet_profiles ALTER COLUMN bytes SET STORAGE EXTERNAL;
  CREATE INDEX whet_profiles_used ON whet_profiles (owner, used);
  CREATE INDEX whet_profiles_updated ON whet_profiles (updated);
  CREATE TABLE whet_keys (
    id text PRIMARY KEY,
    name text NOT NULL UNIQUE,
    hash text NOT NULL UNIQUE,
    namespace text NOT NULL,
    role text NOT NULL,
    rate_limit integer,
    created timestamptz(3) NOT NULL
  );`,
];

/** Any number that nobody else locks. */
const LOCK = 0x77686574;

/**
 * Brings the schema to the newest version, in one transaction; of several servers that start at once, one does. Throws
 * where a newer Whet made the schema.
 */
export async function migrate(pool: Pool): Promise<void> {
  const client = await pool.connect();
  let broken: Error | undefined;
  // The query under way fails with it as well; nobody else listens.
  const onError = (error: Error) => {
    broken = error;
  };
  client.on('error', onError);
  try {
    await client.query('BEGIN');
    await client.query('SELECT pg_advisory_xact_lock($1)', [LOCK]);
    await client.query('CREATE TABLE IF NOT EXISTS whet_schema (version integer NOT NULL)');
    const { rows } = await client.query<{ version: number }>('SELECT version FROM whet_schema');
    const version = rows[0]?.version ?? 0;
    if (version > STEPS.length) {
      throw new RangeError(`whet_schema: expected version ${STEPS.length} or older, got ${version} of a newer Whet`);
    }
    for (const step of STEPS.slice(version)) await client.query(step);
    if (version === 0) await client.query('INSERT INTO whet_schema VALUES ($1)', [STEPS.length]);
    else await client.query('UPDATE whet_schema SET version = $1', [STEPS.length]);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  } finally {
    client.off('error', onError);
    client.release(broken);
  }
}

import type { Pool } from 'pg';
import { transact } from './postgres-transact.js';

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
  // What there is, without looking at all of it. Many rows, of which a connection changes one: writes do not wait for each other.
  `LOCK TABLE whet_profiles IN SHARE ROW EXCLUSIVE MODE;
  CREATE TABLE whet_totals (slot integer PRIMARY KEY, profiles bigint NOT NULL, bytes bigint NOT NULL);
  INSERT INTO whet_totals SELECT 0, count(*), coalesce(sum(size), 0) FROM whet_profiles;
  CREATE FUNCTION whet_count(profiles bigint, bytes bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO whet_totals AS t VALUES (pg_backend_pid() % 64, $1, $2)
    ON CONFLICT (slot) DO UPDATE SET profiles = t.profiles + excluded.profiles, bytes = t.bytes + excluded.bytes
  $$;
  CREATE FUNCTION whet_counted() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF TG_OP = 'INSERT' THEN PERFORM whet_count(count(*), sum(size)) FROM new_profiles HAVING count(*) > 0;
      ELSIF TG_OP = 'DELETE' THEN PERFORM whet_count(-count(*), -sum(size)) FROM old_profiles HAVING count(*) > 0;
      ELSE PERFORM whet_count(0, n.bytes - o.bytes) FROM
        (SELECT sum(size) AS bytes FROM new_profiles) AS n, (SELECT sum(size) AS bytes FROM old_profiles) AS o
        WHERE n.bytes <> o.bytes;
      END IF;
      RETURN NULL;
    END
  $$;
  CREATE TRIGGER whet_inserted AFTER INSERT ON whet_profiles REFERENCING NEW TABLE AS new_profiles
    FOR EACH STATEMENT EXECUTE FUNCTION whet_counted();
  CREATE TRIGGER whet_updated AFTER UPDATE ON whet_profiles REFERENCING OLD TABLE AS old_profiles
    NEW TABLE AS new_profiles FOR EACH STATEMENT EXECUTE FUNCTION whet_counted();
  CREATE TRIGGER whet_deleted AFTER DELETE ON whet_profiles REFERENCING OLD TABLE AS old_profiles
    FOR EACH STATEMENT EXECUTE FUNCTION whet_counted();`,
];

/** Any number that nobody else locks. */
const LOCK = 0x77686574;

/**
 * Brings the schema to the newest version, in one transaction; of several servers that start at once, one does. Throws
 * where a newer Whet made the schema.
 */
export async function migrate(pool: Pool): Promise<void> {
  await transact(pool, async (client) => {
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
  });
}

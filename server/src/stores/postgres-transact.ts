import type { Pool, PoolClient } from 'pg';
import { isOfClient } from './postgres-reach.js';

/** Runs a transaction on a connection of its own; rejects with what it failed with, rolled back. */
export async function transact<T>(pool: Pool, action: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  // A connection that breaks between two queries says so here, and nobody else listens.
  const onError = (error: Error) => {
    broken = error;
  };
  client.on('error', onError);
  try {
    await client.query('BEGIN');
    const result = await action(client);
    await client.query('COMMIT');
    return result;
  } catch (error) {
    // A connection that timed out is not asked again: the next answer on it might be of the last query.
    if (isOfClient(error)) broken = error as Error;
    else {
      await client.query('ROLLBACK').catch((failure: Error) => {
        broken = failure;
      });
    }
    throw error;
  } finally {
    client.off('error', onError);
    client.release(broken);
  }
}

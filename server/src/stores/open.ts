import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ProfileStore, type StoreLimits, StoreUnavailableError } from './contract.js';
import { createMemoryStore } from './memory.js';

/**
 * Opens a store by its address: `memory:`, `postgres://USER:PASSWORD@HOST/DATABASE`, or a folder (its path, or `file:`).
 * Loads only what that store needs. Rejects with `StoreUnavailableError` where it cannot be used.
 */
export async function openStore(address: string, limits: StoreLimits = {}): Promise<ProfileStore> {
  if (address === 'memory:') return createMemoryStore(limits);
  if (/^postgres(ql)?:\/\//i.test(address)) {
    const { openPostgresStore } = await import('./postgres.js');
    return openPostgresStore(address, limits);
  }
  const isFile = /^file:/i.test(address);
  if (!isFile && /^[a-z][a-z\d+.-]*:\/\//i.test(address)) {
    const [scheme] = address.split('//');
    throw new StoreUnavailableError(`store: expected a folder, postgres://... or memory:, got ${scheme}//...`);
  }
  const { openLmdbStore } = await import('./lmdb.js');
  return openLmdbStore(resolve(isFile ? fileURLToPath(address) : address), limits);
}

import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDump } from './address.js';
import { type ProfileStore, type StoreLimits, StoreUnavailableError } from './contract.js';
import { createMemoryStore } from './memory.js';

const POSTGRES = /^postgres(ql)?:\/\//i;
const FILE = /^file:/i;

/**
 * Opens a store by its address: `memory:`, `postgres://USER:PASSWORD@HOST/DATABASE`, or a folder (its path, or `file:`).
 * Loads only what that store needs. Rejects with `StoreUnavailableError` where it cannot be used.
 */
export async function openStore(address: string, limits: StoreLimits = {}): Promise<ProfileStore> {
  if (address === 'memory:') return createMemoryStore(limits);
  if (POSTGRES.test(address)) {
    const { openPostgresStore } = await import('./postgres.js');
    return openPostgresStore(address, limits);
  }
  if (!FILE.test(address) && /^[a-z][a-z\d+.-]*:\/\//i.test(address)) {
    const [scheme] = address.split('//');
    throw new StoreUnavailableError(`store: expected a folder, postgres://... or memory:, got ${scheme}//...`);
  }
  if (isDump(address)) {
    throw new StoreUnavailableError(
      `store: expected a folder, postgres://... or memory:, got a dump; first: whet store copy ${address} FOLDER`,
    );
  }
  const { openLmdbStore } = await import('./lmdb.js');
  return openLmdbStore(folderOf(address), limits);
}

/** Whether there may be a store at an address already: of a folder, whether it holds one; a database says so itself. */
export function holdsStore(address: string): boolean {
  if (address === 'memory:') return false;
  return POSTGRES.test(address) || existsSync(join(folderOf(address), 'data.mdb'));
}

const folderOf = (address: string) => resolve(FILE.test(address) ? fileURLToPath(address) : address);

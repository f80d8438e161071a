import type { Database } from 'lmdb';
import { KeyNameError, type KeyRecord, type KeyStore } from './contract.js';

export function lmdbKeys(
  keys: Database<KeyRecord, string>,
  write: <T>(action: () => T) => Promise<T>,
  takeRoom: () => void,
): KeyStore {
  const all = () => [...keys.getRange().map(({ value }) => value)];
  return {
    add: (key) =>
      write(() => {
        if (all().some(({ name }) => name === key.name)) throw new KeyNameError(key.name);
        takeRoom();
        keys.putSync(key.hash, key);
      }),
    async find(hash) {
      return keys.get(hash);
    },
    async list() {
      return all().sort((a, b) => (a.created < b.created ? -1 : 1));
    },
    revoke: (idOrName) =>
      write(() => {
        const found = all().find(({ id, name }) => id === idOrName || name === idOrName);
        if (found) keys.removeSync(found.hash);
        return found !== undefined;
      }),
  };
}

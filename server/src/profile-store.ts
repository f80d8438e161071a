/** What is kept of one person. `bytes` is the runtime's own encoding of the profile. */
export interface ProfileRecord {
  /** Name of the bundle. */
  readonly model: string;
  readonly pattern: string;
  readonly classes: readonly string[];
  /** Examples per class, in the order of `classes`. */
  readonly examples: readonly number[];
  readonly bytes: Uint8Array;
  /** ISO 8601, UTC. */
  readonly created: string;
}

/** Where profiles are kept. A record is replaced whole and never changed in place. */
export interface ProfileStore {
  put(id: string, record: ProfileRecord): Promise<void>;
  /** The record, or `undefined` where there is none of that id. */
  get(id: string): Promise<ProfileRecord | undefined>;
  /** How many profiles are kept. */
  size(): Promise<number>;
}

/** Profiles in this process's memory: gone when it ends, never dropped before. */
export function createMemoryStore(): ProfileStore {
  const records = new Map<string, ProfileRecord>();
  return {
    async put(id, record) {
      records.set(id, record);
    },
    async get(id) {
      return records.get(id);
    },
    async size() {
      return records.size;
    },
  };
}

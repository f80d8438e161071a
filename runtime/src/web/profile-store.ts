import { type DBSchema, type IDBPDatabase, openDB } from 'idb';

/** What is kept of one person on the device. */
export interface StoredProfile<Extra = unknown> {
  readonly id: string;
  /** What people call it. */
  readonly name: string;
  /** Digest of the bundle it belongs to. */
  readonly bundle: string;
  /** What the bundle is called where it came from, by which its next version finds the profile. */
  readonly model?: string;
  /** `Profile.toBytes()`; absent before the first adaptation. */
  readonly bytes?: Uint8Array | undefined;
  /** ISO 8601, UTC. */
  readonly created: string;
  readonly changed: string;
  /** Whatever else belongs to it and can be cloned, such as its examples. */
  readonly extra: Extra;
}

/** Profiles on the device: in IndexedDB, or in memory where that is denied, full or broken. */
export interface DeviceProfileStore<Extra = unknown> {
  /** Why profiles are not kept beyond this page; undefined where they are. */
  readonly problem: string | undefined;
  /** Writes a profile whole, in place of one of the same id. */
  put(profile: StoredProfile<Extra>): Promise<void>;
  get(id: string): Promise<StoredProfile<Extra> | undefined>;
  /**
   * Changes a profile as it is stored now, in one transaction: nothing that other pages write gets lost. Resolves to what was
   * written; to undefined where there is no such profile (another page may have deleted it) or `change` returns nothing.
   * `change` may be called twice, and throws what it throws.
   */
  update(
    id: string,
    change: (stored: StoredProfile<Extra>) => StoredProfile<Extra> | undefined,
  ): Promise<StoredProfile<Extra> | undefined>;
  /** All of a bundle, or of all bundles, the last changed first. */
  list(bundle?: string): Promise<StoredProfile<Extra>[]>;
  delete(id: string): Promise<void>;
  /** A small value by name, such as a setting or a measurement. */
  getSetting(key: string): Promise<unknown>;
  setSetting(key: string, value: unknown): Promise<void>;
  close(): void;
}

export interface ProfileStoreOptions {
  /** Name of the database; `whet` when absent. */
  readonly name?: string;
  /** Told, with the reason, when a write fails and the store goes on in memory. */
  readonly onProblem?: (reason: string) => void;
  /** Told when another page of this origin has written or deleted profiles. */
  readonly onChange?: () => void;
}

interface Schema extends DBSchema {
  profiles: { key: string; value: StoredProfile; indexes: { bundle: string } };
  settings: { key: string; value: unknown };
}

/** What `openProfileStore` of `@whet/runtime/web` opens. */
export async function openDeviceStore<Extra = unknown>(
  options: ProfileStoreOptions = {},
): Promise<DeviceProfileStore<Extra>> {
  let database: IDBPDatabase<Schema> | undefined;
  let problem: string | undefined;
  /** What could be written in memory only; undefined where it was deleted there. */
  const profiles = new Map<string, StoredProfile | undefined>();
  /** What was read or written last: all that is left of a database that fails. */
  const seen = new Map<string, StoredProfile>();
  const settings = new Map<string, unknown>();
  const degrade = (cause: unknown) => {
    const { name, message } = cause as Error;
    const full = name === 'QuotaExceededError';
    const reason = full ? 'the storage of this browser is full' : `this browser does not store: ${message || name}`;
    if (problem !== undefined) return;
    problem = reason;
    options.onProblem?.(reason);
  };
  /** What the database does; the answer without one where it cannot. */
  const attempt = async <T>(work: (open: IDBPDatabase<Schema>) => Promise<T>, otherwise: () => T): Promise<T> => {
    if (!database) return otherwise();
    try {
      return await work(database);
    } catch (cause) {
      degrade(cause);
      return otherwise();
    }
  };

  let channel: BroadcastChannel | undefined;
  /** Told to other pages once it is written where they can read it. */
  const tell = () => channel?.postMessage('changed');

  try {
    database = await openDB<Schema>(options.name ?? 'whet', 1, {
      upgrade(created) {
        created.createObjectStore('profiles', { keyPath: 'id' }).createIndex('bundle', 'bundle');
        created.createObjectStore('settings');
      },
      // Another tab has a newer version of the page: let it.
      blocking: (_current, _blocked, event) => (event.target as IDBDatabase).close(),
      terminated: () => degrade(new Error('the database was closed')),
    });
    channel = new BroadcastChannel(`${options.name ?? 'whet'} profiles`);
    channel.addEventListener('message', () => options.onChange?.());
  } catch (cause) {
    degrade(cause);
  }

  const write = (profile: StoredProfile): Promise<void> =>
    attempt(
      async (open) => {
        await open.put('profiles', profile);
        profiles.delete(profile.id);
        tell();
      },
      () => void profiles.set(profile.id, profile),
    );

  return {
    get problem() {
      return problem;
    },
    put: async (profile) => {
      seen.set(profile.id, profile);
      await write(profile);
    },
    async get(id) {
      if (profiles.has(id)) return profiles.get(id) as StoredProfile<Extra> | undefined;
      return (await attempt(
        (open) => open.get('profiles', id),
        () => seen.get(id),
      )) as StoredProfile<Extra> | undefined;
    },
    async update(id, change) {
      let refused: { readonly cause: unknown } | undefined;
      const changedOf = (stored: StoredProfile | undefined): StoredProfile<Extra> | undefined => {
        try {
          return stored && change(stored as StoredProfile<Extra>);
        } catch (cause) {
          refused = { cause };
          return undefined;
        }
      };
      let changed: StoredProfile<Extra> | undefined;
      if (profiles.has(id)) {
        changed = changedOf(profiles.get(id));
        if (changed) await write(changed);
      } else {
        changed = await attempt(
          async (open) => {
            const transaction = open.transaction('profiles', 'readwrite');
            const written = changedOf(await transaction.store.get(id));
            await Promise.all([written && transaction.store.put(written), transaction.done]);
            if (written) tell();
            return written;
          },
          () => {
            const kept = changedOf(seen.get(id));
            if (kept) profiles.set(id, kept);
            return kept;
          },
        );
      }
      if (refused) throw refused.cause;
      if (changed) seen.set(id, changed);
      return changed;
    },
    async list(bundle) {
      const stored = await attempt<StoredProfile[]>(
        (open) => (bundle === undefined ? open.getAll('profiles') : open.getAllFromIndex('profiles', 'bundle', bundle)),
        () => [...seen.values()].filter((profile) => bundle === undefined || profile.bundle === bundle),
      );
      const found = new Map<string, StoredProfile | undefined>(stored.map((profile) => [profile.id, profile]));
      for (const [id, profile] of profiles) {
        if (!profile || bundle === undefined || profile.bundle === bundle) found.set(id, profile);
      }
      const all = [...found.values()].filter((profile) => profile !== undefined);
      for (const profile of all) seen.set(profile.id, profile);
      return all.sort((a, b) => (a.changed < b.changed ? 1 : -1)) as StoredProfile<Extra>[];
    },
    delete: (id) => {
      seen.delete(id);
      return attempt(
        async (open) => {
          await open.delete('profiles', id);
          profiles.delete(id);
          tell();
        },
        () => void profiles.set(id, undefined),
      );
    },
    getSetting: (key) =>
      settings.has(key)
        ? Promise.resolve(settings.get(key))
        : attempt(
            (open) => open.get('settings', key),
            () => undefined,
          ),
    setSetting: (key, value) =>
      attempt(
        async (open) => {
          await open.put('settings', value, key);
          settings.delete(key);
        },
        () => void settings.set(key, value),
      ),
    close: () => {
      channel?.close();
      database?.close();
    },
  };
}

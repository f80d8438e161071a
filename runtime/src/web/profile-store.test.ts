import { describe, expect, it } from 'vitest';
import { openDeviceStore, type StoredProfile } from './profile-store.js';

// IndexedDB itself is tested in a browser, by test/src/browser/page-profiles.test.ts.
describe('profiles in memory, where there is no IndexedDB', () => {
  const profile = (id: string, bundle: string, changed: string): StoredProfile<{ count: number }> => ({
    id,
    name: id,
    bundle,
    created: '2026-01-01T00:00:00Z',
    changed,
    extra: { count: 0 },
  });

  it('are listed by bundle or all, the last changed first', async () => {
    const store = await openDeviceStore<{ count: number }>();
    expect(store.problem).toContain('this browser does not store');
    for (const one of [
      profile('a', 'x', '2026-01-01'),
      profile('b', 'y', '2026-01-02'),
      profile('c', 'x', '2026-01-03'),
    ])
      await store.put(one);
    expect((await store.list('x')).map(({ id }) => id)).toEqual(['c', 'a']);
    expect((await store.list()).map(({ id }) => id)).toEqual(['c', 'b', 'a']);
    store.close();
  });

  it('are changed as they are stored; one that is gone, or that the change refuses, is left', async () => {
    const store = await openDeviceStore<{ count: number }>();
    await store.put(profile('a', 'x', '2026-01-01'));
    const more = (stored: StoredProfile<{ count: number }>) => ({
      ...stored,
      extra: { count: stored.extra.count + 1 },
    });
    const both = await Promise.all([store.update('a', more), store.update('a', more)]);
    expect(both.map((one) => one?.extra.count)).toEqual([1, 2]);
    expect(await store.update('a', () => undefined)).toBeUndefined();
    const refuse = () => {
      throw new Error('not today');
    };
    await expect(store.update('a', refuse)).rejects.toThrow('not today');
    expect((await store.get('a'))?.extra.count).toBe(2);
    await store.delete('a');
    expect(await store.update('a', more)).toBeUndefined();
    expect(await store.list()).toEqual([]);
    store.close();
  });
});

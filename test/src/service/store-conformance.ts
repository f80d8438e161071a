import { randomUUID } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import {
  KeyNameError,
  type PlacedProfile,
  type ProfileStore,
  StoreFullError,
  type StoreLimits,
  VersionConflictError,
} from '@whet/server';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { draftOf, keyOf, listOf, placed, storeOperation } from './store-drafts.js';

export interface StoreCase {
  /** Opens an empty store. */
  open(limits?: StoreLimits): Promise<ProfileStore>;
  /** Opens what the last `open` opened once more, as another process would; absent where nothing is kept. */
  reopen?(limits?: StoreLimits): Promise<ProfileStore>;
}

/** What every store promises, tried on one of them. */
export function describeStore(name: string, { open, reopen }: StoreCase): void {
  describe(`the ${name} store`, () => {
    let store: ProfileStore;
    let time: number;
    const now = () => time;
    const id = randomUUID();
    beforeEach(async () => {
      time = 1_700_000_000_123;
      store = await open({ now });
    });
    afterEach(() => store.close());
    const reopened = async (limits: StoreLimits) => {
      await store.close();
      store = await open({ now, ...limits });
    };

    test('gives back what was put, with its state', async () => {
      expect(await store.get('me', id)).toBeUndefined();
      expect(await store.info('me', id)).toBeUndefined();
      const draft = { ...draftOf('__proto__ 日本 "\\'), classes: ['constructor', '__proto__ 日本 "\\', ''] };
      const first = await store.put('me', id, draft, undefined);
      const at = new Date(time).toISOString();
      const { bytes, ...rest } = draft;
      expect(first).toEqual({ ...rest, version: 1, created: at, updated: at, size: bytes.length });
      expect(await store.info('me', id)).toEqual(first);
      expect(await store.get('me', id)).toEqual({ ...first, bytes });
      time += 5;
      const second = await store.put('me', id, draftOf('later'), first);
      expect(second).toMatchObject({ version: 2, created: at, updated: new Date(time).toISOString() });
      expect((await store.get('me', id))?.bytes).toEqual(draftOf('later').bytes);
    });

    test.each([0, 1, 4095, 100_003, 5_000_000])('keeps %i bytes exactly', async (length) => {
      const bytes = Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) & 255);
      await store.put('me', id, draftOf('x', bytes), undefined);
      const got = (await store.get('me', id))?.bytes ?? new Uint8Array(1);
      expect(got.length === length && Buffer.from(got).equals(bytes)).toBe(true);
    });

    test('keeps its own copy of the bytes', async () => {
      const draft = draftOf('abc');
      await store.put('me', id, draft, undefined);
      draft.bytes.fill(0);
      expect((await store.get('me', id))?.bytes).toEqual(draftOf('abc').bytes);
    });

    test('refuses a write or a deletion of another state, and says which version there is', async () => {
      const conflict = (current: number | undefined, expected: number | undefined) =>
        expect.objectContaining({ name: 'VersionConflictError', current, expected });
      const first = await store.put('me', id, draftOf('1'), undefined);
      await expect(store.put('me', id, draftOf('x'), undefined)).rejects.toEqual(conflict(1, undefined));
      await store.put('me', id, draftOf('2'), first);
      await expect(store.put('me', id, draftOf('x'), first)).rejects.toEqual(conflict(2, 1));
      await expect(store.delete('me', id, first)).rejects.toEqual(conflict(2, 1));
      await expect(store.put('me', randomUUID(), draftOf('x'), first)).rejects.toEqual(conflict(undefined, 1));
      expect((await store.get('me', id))?.bytes).toEqual(draftOf('2').bytes);
    });

    test('does not take a profile for another that had its id', async () => {
      const first = await store.put('me', id, draftOf('first'), undefined);
      expect(await store.delete('me', id, first)).toBe(true);
      time += 1;
      await store.put('me', id, draftOf('second'), undefined);
      await expect(store.put('me', id, draftOf('x'), first)).rejects.toBeInstanceOf(VersionConflictError);
      expect((await store.get('me', id))?.bytes).toEqual(draftOf('second').bytes);
    });

    test('lets one of many writers at a time win, and loses no update', async () => {
      const increments = 30;
      await store.put('me', id, draftOf('x', Uint8Array.of(0)), undefined);
      const state = (await store.info('me', id)) as { version: number; created: string };
      const rivals = await Promise.allSettled(
        Array.from({ length: 20 }, () => store.put('me', id, draftOf('x', Uint8Array.of(0)), state)),
      );
      expect(rivals.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      await Promise.all(
        Array.from({ length: increments }, async () => {
          for (;;) {
            const record = await store.get('me', id);
            if (!record) throw new Error('the profile is gone');
            try {
              return await store.put(
                'me',
                id,
                draftOf(
                  'x',
                  record.bytes.map((value) => value + 1),
                ),
                record,
              );
            } catch (error) {
              if (!(error instanceof VersionConflictError)) throw error;
            }
          }
        }),
      );
      expect((await store.get('me', id))?.bytes).toEqual(Uint8Array.of(increments));
      expect((await store.info('me', id))?.version).toBe(increments + 2);
    });

    test('keeps owners apart', async () => {
      await store.put('a', id, draftOf('of a'), undefined);
      await store.put('b', id, draftOf('of b'), undefined);
      for (const other of ['', 'A', 'a ', 'a/', 'ab', '%', 'constructor']) {
        expect(await store.get(other, id)).toBeUndefined();
        expect(await store.delete(other, id)).toBe(false);
        expect((await store.list(other, 10)).profiles).toEqual([]);
        expect(await store.usage(other)).toEqual({ profiles: 0, bytes: 0 });
      }
      expect(await store.delete('b', id)).toBe(true);
      expect(await store.delete('b', id)).toBe(false);
      expect((await store.get('a', id))?.bytes).toEqual(draftOf('of a').bytes);
    });

    test('lists pages in the order of ids', async () => {
      const ids = Array.from({ length: 7 }, () => randomUUID()).sort();
      for (const each of [...ids].reverse()) await store.put('me', each, draftOf(each), undefined);
      await store.put('m', randomUUID(), draftOf('other'), undefined);
      await store.put('me2', randomUUID(), draftOf('other'), undefined);
      const found: string[] = [];
      const sizes: number[] = [];
      let after: string | undefined;
      do {
        const page = await store.list('me', 3, after);
        sizes.push(page.profiles.length);
        for (const profile of page.profiles) {
          found.push(profile.id);
          const { id: own, ...info } = profile;
          expect(info).toEqual(await store.info('me', own));
        }
        after = page.next;
      } while (after !== undefined);
      expect(found).toEqual(ids);
      expect(sizes).toEqual([3, 3, 1]);
      expect(await store.list('me', 7)).not.toHaveProperty('next');
      expect((await store.list('me', 2, ids[5])).profiles.map((each) => each.id)).toEqual([ids[6]]);
    });

    test('counts profiles and bytes, of an owner and of all', async () => {
      const first = await store.put('a', id, draftOf('x', new Uint8Array(10)), undefined);
      await store.put('a', id, draftOf('x', new Uint8Array(7)), first);
      await store.put('a', randomUUID(), draftOf('x', new Uint8Array(100)), undefined);
      await store.put('b', id, draftOf('x', new Uint8Array(1000)), undefined);
      expect(await store.usage('a')).toEqual({ profiles: 2, bytes: 107 });
      expect(await store.usage()).toEqual({ profiles: 3, bytes: 1107 });
      await store.delete('a', id);
      await store.delete('b', id);
      expect(await store.usage()).toEqual({ profiles: 1, bytes: 100 });
    });

    test('forgets what is older than its time to live, and frees its room when it is swept', async () => {
      await reopened({ ttlMs: 1000 });
      const ids = [randomUUID(), randomUUID()].sort() as [string, string];
      const first = await store.put('me', ids[0], draftOf('x'), undefined);
      time += 600;
      const second = await store.put('me', ids[1], draftOf('x'), undefined);
      time += 399;
      expect((await store.list('me', 10)).profiles).toHaveLength(2);
      time += 1;
      expect(await store.get('me', ids[0])).toBeUndefined();
      expect(await store.info('me', ids[0])).toBeUndefined();
      expect((await store.list('me', 10)).profiles.map((each) => each.id)).toEqual([ids[1]]);
      expect(await store.usage('me')).toEqual({ profiles: 1, bytes: 1 });
      await expect(store.put('me', ids[0], draftOf('x'), first)).rejects.toMatchObject({ current: undefined });
      expect(await store.sweep()).toBe(1);
      expect(await store.sweep()).toBe(0);
      // A change starts the time anew, and an expired id may be taken again.
      await store.put('me', ids[1], draftOf('y'), second);
      expect(await store.put('me', ids[0], draftOf('z'), undefined)).toMatchObject({ version: 1 });
      time += 999;
      expect(await store.usage()).toEqual({ profiles: 2, bytes: 2 });
      time += 1;
      expect(await store.put('me', ids[0], draftOf('again'), undefined)).toMatchObject({ version: 1 });
      expect(await store.sweep()).toBe(1);
      expect(await store.usage()).toEqual({ profiles: 1, bytes: 5 });
    });

    test('drops what was not used for longest over its size limit, of that owner only', async () => {
      await reopened({ maxBytes: 100 });
      const [a, b, c, d] = Array.from({ length: 4 }, () => randomUUID()) as [string, string, string, string];
      const put = (owner: string, each: string, size: number) => {
        time += 10;
        return store.put(owner, each, draftOf('x', new Uint8Array(size)), undefined);
      };
      const there = async (owner: string) => {
        const found = await store.list(owner, 10);
        return found.profiles.map((each) => each.id);
      };
      await put('other', a, 100);
      for (const each of [a, b, c]) await put('me', each, 30);
      time += 10;
      store.touch('me', a);
      await put('me', d, 30);
      expect(await there('me')).toEqual([a, c, d].sort());
      await put('me', b, 50);
      expect((await there('me')).sort()).toEqual([d, b].sort());
      expect(await store.usage('me')).toEqual({ profiles: 2, bytes: 80 });
      await expect(put('me', randomUUID(), 101)).rejects.toBeInstanceOf(StoreFullError);
      expect(await there('other')).toEqual([a]);
    });

    test.each([
      ['leaves those that live', true, 60, ['old', 'new']],
      ['takes no room for free that it never took', false, 80, ['new']],
    ])('over its size limit drops what has expired first, and %s', async (_what, touched, size, left) => {
      await reopened({ ttlMs: 1000, maxBytes: 100 });
      const put = (name: string, length: number) => {
        return store.put('me', name, draftOf('x', new Uint8Array(length)), undefined);
      };
      await put('expired', 60);
      time += 600;
      await put('old', 40);
      time += 100;
      if (touched) store.touch('me', 'expired');
      time += 300;
      await put('new', size);
      const { profiles } = await store.list('me', 10);
      expect(profiles.map(({ id: name }) => name)).toEqual([...left].sort());
      expect((await store.usage('me')).bytes).toBeLessThanOrEqual(100);
    });

    test('keeps keys by their hash, with one of each name', async () => {
      const operator = keyOf('b', {
        role: 'operator',
        rateLimit: 60,
        created: new Date(1_700_000_000_001).toISOString(),
      });
      await store.keys.add(keyOf('a'));
      await store.keys.add(operator);
      await expect(store.keys.add(keyOf('a', { id: 'x', hash: 'y' }))).rejects.toBeInstanceOf(KeyNameError);
      expect(await store.keys.find(operator.hash)).toEqual(operator);
      expect(await store.keys.find('nothing')).toBeUndefined();
      expect(await store.keys.list()).toEqual([keyOf('a'), operator]);
      expect(await store.keys.revoke('a')).toBe(true);
      expect(await store.keys.revoke('id-b')).toBe(true);
      expect(await store.keys.revoke('a')).toBe(false);
      expect(await store.keys.list()).toEqual([]);
    });

    test('answers as the simplest store would, whatever is asked', async () => {
      const owners = ['p', 'q'];
      const ids = Array.from({ length: 3 }, () => randomUUID()).sort();
      const operation = storeOperation(owners, ids);
      const run = async (operations: readonly (typeof operation extends fc.Arbitrary<infer T> ? T : never)[]) => {
        for (const owner of owners) for (const each of ids) await store.delete(owner, each);
        const model = new Map<string, { bytes: Uint8Array; version: number }>();
        for (const { target, ...step } of operations) {
          time += 1;
          const { owner, id: each } = target;
          const name = `${owner} ${each}`;
          const known = model.get(name);
          if (step.kind === 'put') {
            const state = await store.info(owner, each);
            expect(state?.version).toBe(known?.version);
            const expected = step.stale ? { version: 99, created: new Date(0).toISOString() } : state;
            const written = store.put(owner, each, draftOf('x', step.bytes), expected);
            if (step.stale) await expect(written).rejects.toMatchObject({ current: known?.version });
            else {
              model.set(name, { bytes: step.bytes, version: (await written).version });
              expect((await store.get(owner, each))?.bytes).toEqual(new Uint8Array(step.bytes));
            }
          } else if (step.kind === 'delete') expect(await store.delete(owner, each)).toBe(model.delete(name));
          else {
            const after = ids.filter((other) => other > each && model.has(`${owner} ${other}`));
            const page = await store.list(owner, step.limit, each);
            expect(page.profiles.map((profile) => profile.id)).toEqual(after.slice(0, step.limit));
            expect('next' in page).toBe(after.length > step.limit);
          }
        }
        const bytes = [...model.values()].reduce((sum, profile) => sum + profile.bytes.length, 0);
        expect(await store.usage()).toEqual({ profiles: model.size, bytes });
      };
      await fc.assert(fc.asyncProperty(fc.array(operation, { maxLength: 15 }), run), { numRuns: 25 });
    });

    test('gives all that it keeps at one moment, and takes it as it is', async () => {
      await store.put('b', id, draftOf('of b'), undefined);
      time += 5;
      const first = await store.put('a', 'x', draftOf('1'), undefined);
      time += 5;
      const second = await store.put('a', 'x', draftOf('2'), first);
      const entries = store.all();
      const { value: read } = await entries.next();
      const later = await store.put('b', 'new', draftOf('later'), undefined);
      await store.delete('b', id);
      const [a, ...rest] = [read as PlacedProfile, ...(await listOf(entries))];
      const used = second.updated;
      expect(a).toEqual({ ...second, owner: 'a', id: 'x', used, bytes: draftOf('2').bytes });
      expect(rest.map((each) => [each.owner, each.id, each.used])).toEqual([
        ['b', id, new Date(time - 10).toISOString()],
      ]);
      await store.delete('a', 'x');
      await store.restore([a, ...rest]);
      expect(await store.info('a', 'x')).toEqual(second);
      expect(await store.put('a', 'x', draftOf('3'), second)).toMatchObject({ version: 3, created: second.created });
      expect(await store.usage()).toEqual({ profiles: 3, bytes: later.size + 1 + 4 });
      // All or none.
      await expect(store.restore([{ ...a, id: 'free' }, a])).rejects.toThrow();
      expect(await store.get('a', 'free')).toBeUndefined();
      expect((await listOf(store.all())).map((each) => each.id)).toEqual(['x', ...[id, 'new'].sort()]);
    });

    test('looks at a thousand expired profiles at most to count, and sweeps them a part at a time', async () => {
      await reopened({ ttlMs: 1000 });
      const ids = Array.from({ length: 2100 }, (_, i) => String(i).padStart(4, '0'));
      await store.restore(ids.map((each) => placed('me', each, time, 'xy')));
      await store.put('me', 'lives', draftOf('x'), undefined);
      expect(await store.usage()).toEqual({ profiles: 2101, bytes: 4201 });
      time += 999;
      await store.put('me', 'lives', draftOf('z'), await store.info('me', 'lives'));
      time += 1;
      expect(await store.usage()).toEqual({ profiles: 1101, bytes: 2201 });
      const counts = new Set<number>();
      let swept: number | undefined;
      const sweeping = store.sweep().then((count) => {
        swept = count;
      });
      while (swept === undefined) {
        counts.add((await store.usage()).profiles);
        await turn();
      }
      await sweeping;
      expect(swept).toBe(2100);
      // Others had their turn before it was done; those of a database have theirs at any time.
      if (store.kind !== 'postgres') expect([...counts].some((count) => count > 1 && count < 1101)).toBe(true);
      expect(await store.usage('me')).toEqual({ profiles: 1, bytes: 1 });
      expect((await listOf(store.all())).map((each) => each.id)).toEqual(['lives']);
    });

    test('comes down to a smaller size limit with the next write, whatever is over it', async () => {
      const ids = Array.from({ length: 250 }, (_, i) => String(i).padStart(3, '0'));
      await store.restore(ids.map((each, i) => placed('me', each, time + i, 'xy')));
      if (!reopen) return;
      await store.close();
      time += 1000;
      store = await reopen({ now, maxBytes: 7 });
      await store.put('me', 'new', draftOf('x'), undefined);
      expect(await store.usage('me')).toEqual({ profiles: 4, bytes: 7 });
      expect((await store.list('me', 9)).profiles.map((each) => each.id)).toEqual(['247', '248', '249', 'new']);
    });

    test('restores nothing over a profile that is there', async () => {
      await store.put('me', id, draftOf('x'), undefined);
      await expect(store.restore([placed('me', id, time, 'xy')])).rejects.toThrow(`expected no profile ${id}, got one`);
      expect((await store.get('me', id))?.bytes).toEqual(draftOf('x').bytes);
    });

    test('answers when it is asked how it is', async () => {
      await store.check();
      expect(store.kind).toBe(name);
    });

    if (!reopen) return;
    test('is shared with whoever opens it besides, and is there when it is opened again', async () => {
      const other = await reopen({ now });
      const first = await store.put('me', id, draftOf('first'), undefined);
      expect(await other.get('me', id)).toEqual({ ...first, bytes: draftOf('first').bytes });
      const second = await other.put('me', id, draftOf('second'), first);
      await expect(store.put('me', id, draftOf('x'), first)).rejects.toMatchObject({ current: 2 });
      await other.keys.add(keyOf('a'));
      expect(await store.keys.list()).toEqual([keyOf('a')]);
      await other.close();
      await store.close();
      store = await reopen({ now });
      expect(await store.get('me', id)).toEqual({ ...second, bytes: draftOf('second').bytes });
      expect(await store.keys.list()).toEqual([keyOf('a')]);
      expect(await store.usage()).toEqual({ profiles: 1, bytes: 6 });
    });
  });
}

import { createHash } from 'node:crypto';
import type { KeyRecord, PlacedProfile, ProfileDraft } from '@whet/server';
import fc from 'fast-check';

export function draftOf(text: string, bytes: Uint8Array = Buffer.from(text)): ProfileDraft {
  return { model: 'tiny', pattern: 'head', classes: ['a', text], examples: [1, 2], bytes: new Uint8Array(bytes) };
}

export const keyOf = (name: string, rest: Partial<KeyRecord> = {}): KeyRecord => ({
  id: `id-${name}`,
  name,
  hash: createHash('sha256').update(name).digest('hex'),
  namespace: `space-${name}`,
  role: 'user',
  created: new Date(1_700_000_000_000).toISOString(),
  ...rest,
});

export const placed = (owner: string, id: string, at: number, text: string): PlacedProfile => {
  const time = new Date(at).toISOString();
  const { bytes, ...rest } = draftOf(text);
  return { ...rest, owner, id, version: 3, created: time, updated: time, used: time, size: bytes.length, bytes };
};

export async function listOf<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

/** A write, a deletion or a list of one of the profiles. */
export function storeOperation(owners: readonly string[], ids: readonly string[]) {
  const target = fc.record({ owner: fc.constantFrom(...owners), id: fc.constantFrom(...ids) });
  return fc.oneof(
    fc.record({
      kind: fc.constant('put' as const),
      target,
      bytes: fc.uint8Array({ maxLength: 40 }),
      stale: fc.boolean(),
    }),
    fc.record({ kind: fc.constant('delete' as const), target }),
    fc.record({ kind: fc.constant('list' as const), target, limit: fc.integer({ min: 1, max: 4 }) }),
  );
}

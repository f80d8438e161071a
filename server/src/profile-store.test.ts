import { expect, test } from 'vitest';
import { createMemoryStore, type ProfileRecord } from './profile-store.js';

const record: ProfileRecord = {
  model: 'tiny',
  pattern: 'head',
  classes: ['a', 'b'],
  examples: [1, 2],
  bytes: Uint8Array.of(1, 2, 3),
  created: '2025-01-01T00:00:00.000Z',
};

test('the memory store gives back what was put, by id, and counts', async () => {
  const store = createMemoryStore();
  expect(await store.size()).toBe(0);
  expect(await store.get('__proto__')).toBeUndefined();
  await store.put('__proto__', record);
  await store.put('x', { ...record, pattern: 'full' });
  await store.put('x', { ...record, pattern: 'sparse' });
  expect(await store.size()).toBe(2);
  expect(await store.get('__proto__')).toEqual(record);
  expect((await store.get('x'))?.pattern).toBe('sparse');
  expect(await createMemoryStore().size()).toBe(0);
});

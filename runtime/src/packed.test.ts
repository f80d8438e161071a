import { expect, test } from 'vitest';
import { packValue, scaleCount, unpackValue } from './packed.js';
import { Profile, readProfile } from './profile.js';
import { restoreValues, storeValues } from './profile-storage.js';

const wave = (length: number, size: number) => Float32Array.from({ length }, (_, i) => size * Math.sin(1 + i * i));

test.each([1, 63, 64, 65, 1000])('%i entries differ by at most half a step of their group', (length) => {
  const data = wave(length, 3);
  // One large entry: what stands in other groups is as exact as before.
  data[0] = 1000;
  const { bytes, scales } = packValue({ shape: [length], data });
  expect(scales).toHaveLength(scaleCount(length));
  const back = unpackValue({ shape: [length], bytes, scales });
  back.data.forEach((value, i) => {
    const scale = scales[Math.floor(i / 64)] as number;
    expect(Math.abs(value - (data[i] as number))).toBeLessThanOrEqual(0.5001 * scale);
  });
  if (length > 64) expect(scales[1]).toBeLessThan(0.05);
});

test('what is added to a start is exact to a share of what was added, not of the start', () => {
  const start = wave(64, 2);
  const data = start.map((value, i) => value + 1e-4 * Math.cos(i));
  const back = unpackValue(packValue({ shape: [64], data }, start), start);
  const most = Math.max(...back.data.map((value, i) => Math.abs(value - (data[i] as number))));
  expect(most).toBeLessThan(1e-6);
});

test('zeros, and numbers too small for a scale, are zeros', () => {
  for (const size of [0, 1e-45]) {
    const { data } = unpackValue(packValue({ shape: [3], data: Float32Array.of(size, -size, 0) }));
    expect([...data].map(Math.abs)).toEqual([0, 0, 0]);
  }
});

const start = new Map([
  ['moved', { shape: [70], data: wave(70, 1) }],
  ['still', { shape: [3], data: wave(3, 1) }],
]);
const adapted = new Map([
  ['moved', { shape: [70], data: wave(70, 1).map((value) => value + 0.01) }],
  ['still', { shape: [3], data: wave(3, 1) }],
  ['head.weight', { shape: [2, 40], data: wave(80, 5) }],
  ['head.bias', { shape: [2], data: Float32Array.of(0.1, 0.2) }],
]);
const profileOf = (numbers: 'float32' | 'int8') => {
  const { values, storage } = storeValues(adapted, { start }, numbers);
  return new Profile('b', 'p', ['a', 'c'], [1, 1], 1, values, storage);
};

test.each(['float32', 'int8'] as const)('a profile of %s is read as what it was before it was stored', (numbers) => {
  const profile = profileOf(numbers);
  const read = readProfile(profile.toBytes());
  const values = restoreValues(read, { start });
  expect(values).toEqual(profile.values);
  expect(new Profile('b', 'p', ['a', 'c'], [1, 1], 1, values, read.storage).toBytes()).toEqual(profile.toBytes());
  expect(read.storage.unmoved).toEqual(['still']);
  expect(read.values.has('still')).toBe(false);
  if (numbers === 'float32') expect(values).toEqual(adapted);
  else expect([...(read.storage.packed ?? new Map()).keys()].sort()).toEqual(['head.weight', 'moved']);
});

test('what has no place in the pattern, or stands twice, is refused by its name', () => {
  const { classes, examples, values, storage } = profileOf('int8');
  const read = (storage: Profile['storage']) =>
    restoreValues(readProfile(new Profile('b', 'p', classes, examples, 1, values, storage).toBytes()), { start });
  expect(() => read({ ...storage, unmoved: ['other'] })).toThrow(
    'profile: "other": expected no values that did not move',
  );
  expect(() => read({ ...storage, unmoved: ['still', 'still'] })).toThrow('each once');
  expect(() =>
    restoreValues(readProfile(profileOf('int8').toBytes()), {
      start: new Map([...start, ['moved', { shape: [2], data: wave(2, 1) }]]),
    }),
  ).toThrow('profile: "moved": expected shape [2], got [70]');
  const huge = { shape: [80], bytes: new Int8Array(80).fill(127), scales: Float32Array.of(3e38, 1) };
  expect(() => read({ ...storage, packed: new Map([...(storage.packed ?? []), ['head.weight', huge]]) })).toThrow(
    'profile: "head.weight": expected finite values',
  );
});

test.each([
  ['without scales', [], '"w": expected "w@scale" beside it'],
  ['with a scale too many', [1, 1], 'expected 1 numbers, got 2'],
  ['with a scale that is no number', [Number.NaN], 'expected finite values'],
])('bytes %s are refused', (_what, scales, message) => {
  const packed = new Map([['w', { shape: [3], bytes: Int8Array.of(1, 2, 3), scales: Float32Array.from(scales) }]]);
  const bytes = new Profile('b', 'p', ['a', 'c'], [1, 1], 1, new Map(), { packed }).toBytes();
  const text = new TextDecoder('latin1').decode(bytes);
  const damaged =
    scales.length > 0 ? bytes : Uint8Array.from(text.replace('w@scale', 'v@scale'), (c) => c.charCodeAt(0));
  expect(() => readProfile(damaged)).toThrow(message);
});

test('names of what did not move are a list of texts', () => {
  const bytes = new Profile('b', 'p', ['a', 'c'], [1, 1], 1, new Map(), { unmoved: ['w'] }).toBytes();
  const text = new TextDecoder('latin1').decode(bytes).replace('[\\"w\\"]', '[1,2,3]');
  expect(() => readProfile(Uint8Array.from(text, (c) => c.charCodeAt(0)))).toThrow(
    'unmoved: expected a list of names, got [1,2,3]',
  );
});

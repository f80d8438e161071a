import { expect, test } from 'vitest';
import { readProfile } from './profile.js';

/** A safetensors file with this header, which need not be JSON, and these bytes behind it. */
function fileOf(header: string, data: Uint8Array = new Uint8Array()): Uint8Array {
  const text = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
}

const metadata = { format: 'whet-profile-1', bundle: 'x', pattern: 'p', classes: '["a","b"]', examples: '[1,1]' };
const tensor = (from: number, to: number) => ({ dtype: 'F32', shape: [(to - from) / 4], data_offsets: [from, to] });
const profileOf = (more: object, tensors: object = {}, data = 0) =>
  fileOf(JSON.stringify({ __metadata__: { ...metadata, steps: '3', ...more }, ...tensors }), new Uint8Array(data));

test('a profile is read as it was written', () => {
  const profile = readProfile(profileOf({}, { v: tensor(0, 8), w: tensor(8, 12) }, 12));
  expect(profile).toMatchObject({ steps: 3, classes: ['a', 'b'], examples: [1, 1] });
});

test.each(['', '0x10', ' 3', '3 ', '3.0', '1e2', '-0', '+1', '03', '9007199254740992', 'Infinity', 3, null, [3]])(
  'steps of %j are no count',
  (steps) => {
    expect(() => readProfile(profileOf({ steps }))).toThrow(
      /^profile: .*(steps: expected a whole number of 0 or more|expected text), got/,
    );
  },
);

test.each([
  ['that overlap', { v: tensor(0, 8), w: tensor(4, 12) }, 12],
  ['that are the same', { v: tensor(0, 8), w: tensor(0, 8) }, 8],
  ['with a gap', { v: tensor(0, 4), w: tensor(8, 12) }, 12],
  ['before the end', { v: tensor(0, 8) }, 12],
  ['behind the end', { v: tensor(0, 8) }, 4],
  ['with three offsets', { v: { ...tensor(0, 8), data_offsets: [0, 8, 8] } }, 8],
])('tensors %s are refused', (_what, tensors, length) => {
  expect(() => readProfile(profileOf({}, tensors, length))).toThrow(/^profile: .*expected/);
});

test.each([
  ['brackets', '['.repeat(30 * 2 ** 20)],
  ['objects', '{"a":'.repeat(2 ** 20)],
  ['a tensor too deep', '{"a":{"shape":[[1]]}}'],
])('a header of %s is refused before it is parsed', (_what, header) => {
  expect(() => readProfile(fileOf(header), Number.MAX_SAFE_INTEGER)).toThrow(
    'expected a header nested 3 deep, got more',
  );
});

test('a header is bounded, in UTF-8, and brackets inside texts are not counted', () => {
  expect(() => readProfile(fileOf(`{"a":"${'x'.repeat(1000)}"}`), 500)).toThrow(
    'expected a header of at most 500 bytes, got 1008',
  );
  const bytes = fileOf('{"__metadata__":{"a":"?"}}');
  bytes[bytes.indexOf(0x3f)] = 0xff;
  expect(() => readProfile(bytes)).toThrow('header is not a JSON object');
  expect(readProfile(profileOf({ note: '\\"[[[[[{{{{"' }))).toMatchObject({ steps: 3 });
});

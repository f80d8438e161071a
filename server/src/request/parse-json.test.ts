import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { jsonLimits, parseJson } from './parse-json.js';

const limits = jsonLimits(10, 4, 32 * 2 ** 20);
const parse = (text: string | Uint8Array) =>
  parseJson({ bytes: typeof text === 'string' ? Buffer.from(text) : text, encoding: 'identity', limits });
const refused = (problem: string, detail: RegExp) => ({
  kind: 'refused',
  bytes: expect.any(Number),
  problem,
  detail: expect.stringMatching(detail),
});

describe('what a body holds is counted before it is parsed:', () => {
  test.each([
    ['numbers', `[${'0,0,'.repeat(100_000)}0]`],
    ['numbers', `[${'-1e5 , '.repeat(100_001)}0]`],
    ['numbers', `{${'"a":null,'.repeat(50_000)}"b":[${'true,false,'.repeat(30_000)}null]}`],
    ['texts and names', `{${'"a":"b",'.repeat(30_001)}"c":1}`],
    ['arrays and objects', `[${'[],{},'.repeat(10_001)}[]]`],
  ])('%s', (what, text) => {
    expect(parse(text)).toEqual(refused('too-large', new RegExp(`expected at most \\d+ ${what}, got more`)));
  });

  test.each(['[1,2,3,-4.5e+6,true,null,"0,0,0"]', ' \t\r\n{"a" : [ 1 , 2 ] }', '"\\"[[["'])(
    '%j is none too many',
    (text) => {
      expect(parse(text)).toMatchObject({ kind: 'parsed', value: JSON.parse(text) });
    },
  );

  test('as many as the images of a request have', () => {
    const { numbers } = jsonLimits(1000, 784, 32 * 2 ** 20);
    expect(numbers).toBeGreaterThanOrEqual(784_000);
    expect(jsonLimits(1000, 150_528, 32 * 2 ** 20).numbers).toBe(8 * 2 ** 20);
  });
});

describe('numbers that are none of a tensor are counted, wherever they stand:', () => {
  const large = jsonLimits(1000, 150_528, 32 * 2 ** 20);
  const parse = (text: string) => parseJson({ bytes: Buffer.from(text), encoding: 'identity', limits: large });
  const zeros = (count: number) => `[${'0,'.repeat(count - 1)}0]`;

  test.each([
    `{"x":${zeros(100_001)}}`,
    `{"images":${zeros(100_001)}}`,
    `{"examples":${zeros(100_001)}}`,
    `{"profile":${zeros(100_001).replaceAll('0', 'null')}}`,
    `{"images":[{"tensor":{"data":${zeros(100_001)}}}]}`,
    `[${zeros(60_000)},{"a":${zeros(60_000)}}]`,
  ])('%.20s', (text) => {
    const detail = /expected at most 100000 numbers that are none of a tensor, got more/;
    expect(parse(text)).toEqual(refused('too-large', detail));
  });

  test('those of tensors are not', () => {
    const body = `{"images":[{"tensor":${zeros(150_528)}},{"tensor":${zeros(150_528)}}],"x":${zeros(100_000)}}`;
    expect(parse(body)).toMatchObject({ kind: 'parsed' });
  });
});

test.each(['[1,]', '{"a":01}', '[', 'nothing', Buffer.from('"\u00e9"', 'latin1')])('%j is no JSON in UTF-8', (text) => {
  expect(parse(text)).toEqual(refused('malformed-request', /expected JSON in UTF-8, got /));
});

test.each([
  ['gzip', gzipSync],
  ['deflate', deflateSync],
  ['br', brotliCompressSync],
] as const)('%s is decompressed, up to the limit', (encoding, compress) => {
  const text = `"${'x'.repeat(1998)}"`;
  const parse = (bytes: Uint8Array, most: number) => parseJson({ bytes, encoding, limits: { ...limits, bytes: most } });
  expect(parse(compress(text), 2000)).toMatchObject({ kind: 'parsed', value: 'x'.repeat(1998) });
  expect(parse(compress(text), 1999)).toEqual(refused('too-large', /expected at most 1999 bytes, got more/));
  expect(parse(compress(text).subarray(0, -3), 2000)).toEqual(
    refused('malformed-request', /expected JSON in UTF-8, got /),
  );
});

test('images and tensors are taken out, by their fields', () => {
  const body = {
    image: 'AAAA',
    images: ['AQID', { image: 'not base64' }, { tensor: [1, 2, 3, 4] }, { tensor: [1, '2'] }, 5],
    examples: [{ label: 'AAAA', tensor: { data: 'AACAPw==' } }, { tensor: new Array(9).fill(0) }],
  };
  const parsed = parse(JSON.stringify(body));
  if (parsed.kind !== 'parsed') throw new Error(parsed.detail);
  expect(parsed.value).toEqual({
    image: '',
    images: ['', { image: '' }, { tensor: [] }, { tensor: [] }, 5],
    examples: [{ label: 'AAAA', tensor: { data: '' } }, { tensor: [] }],
  });
  const bytes = (...values: number[]) => ({ kind: 'bytes', bytes: Uint8Array.from(values) });
  const payloads = [...parsed.payloads].map(([field, each]) => [
    field,
    each.kind === 'bytes' ? bytes(...each.bytes) : each,
  ]);
  expect(Object.fromEntries(payloads)).toEqual({
    image: bytes(0, 0, 0),
    'images[0]': bytes(1, 2, 3),
    'images[1].image': { kind: 'refused', problem: 'invalid-input', detail: expect.stringContaining('padded base64') },
    'images[2].tensor': { kind: 'numbers', count: 4, values: Float32Array.of(1, 2, 3, 4) },
    'images[3].tensor': { kind: 'numbers', count: 2, values: Float32Array.of(1, 0), bad: { at: 1, got: '"2"' } },
    'examples[0].tensor.data': bytes(0, 0, 128, 63),
    'examples[1].tensor': { kind: 'numbers', count: 9 },
  });
});

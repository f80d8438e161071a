import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { jsonLimits, parseJson } from './parse-json.js';

const limits = jsonLimits(10, 4, 32 * 2 ** 20);
const parse = (text: string | Uint8Array) =>
  parseJson({ bytes: typeof text === 'string' ? Buffer.from(text) : text, encoding: 'identity', limits });
const refused = (problem: string, detail: RegExp, field = 'body') => ({
  kind: 'refused',
  field,
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

describe('long texts', () => {
  const kilobytes = Buffer.from(Float64Array.from({ length: 4000 }, (_, i) => Math.sin(i)).buffer);
  const base64 = kilobytes.toString('base64');
  const bytesAt = (text: string, field: string) => {
    const bytes = Buffer.from(text);
    const parsed = parseJson({ bytes, encoding: 'identity', limits });
    if (parsed.kind !== 'parsed') throw new Error(parsed.detail);
    const payload = parsed.payloads.get(field);
    return payload?.kind === 'bytes'
      ? { own: payload.bytes.buffer !== bytes.buffer, bytes: Uint8Array.from(payload.bytes) }
      : payload;
  };

  test('images are decoded where they stand, without a copy', () => {
    const text = JSON.stringify({ images: [base64, { image: `data:image/png;base64,${base64}` }, base64] });
    for (const field of ['images[0]', 'images[1].image', 'images[2]']) {
      expect(bytesAt(text, field)).toEqual({ own: false, bytes: Uint8Array.from(kilobytes) });
    }
  });

  test('with the escapes that encoders write', () => {
    for (const slash of ['\\/', '\\u002f', '\\u002F']) {
      const text = JSON.stringify({ image: base64 }).replaceAll('/', slash);
      expect(text).toContain(slash);
      expect(bytesAt(text, 'image')).toEqual({ own: false, bytes: Uint8Array.from(kilobytes) });
    }
  });

  test.each([
    ['a character too much', `${base64}A`],
    ['a character that is none', `${base64.slice(0, 2000)}!${base64.slice(2001)}`],
    ['a line break', `${base64.slice(0, 2000)}\n${base64.slice(2001)}`],
    ['another alphabet', `${base64.slice(0, 2000)}\u0141${base64.slice(2001)}`],
    ['an end in between', `${base64.slice(0, 2000)}====${base64.slice(2004)}`],
  ])('that are no base64 are refused: %s', (_what, image) => {
    const detail = expect.stringMatching(
      /^expected padded base64 without line breaks, got "[\w+/]{60}\.\.\. \(\d+ characters\)"$/,
    );
    expect(bytesAt(JSON.stringify({ image }), 'image')).toEqual({ kind: 'refused', problem: 'invalid-input', detail });
  });

  test('that are no images come back as they are, up to a limit', () => {
    const value = { profile: 'p'.repeat(5000), list: [{ a: '\u0141"\\'.repeat(1000) }], image: 7 };
    expect(parse(JSON.stringify(value))).toMatchObject({ kind: 'parsed', value });
    expect(parse(JSON.stringify('t'.repeat(5000)))).toMatchObject({ kind: 'parsed', value: 't'.repeat(5000) });
    const label = { examples: [{ label: 'x'.repeat(65_537) }] };
    const detail = /expected a text of at most 65536 bytes, got 65537/;
    expect(parse(JSON.stringify(label))).toEqual(refused('invalid-input', detail, 'examples[0].label'));
  });

  test.each([
    ['an escape that is none', `{"image":"${'A'.repeat(2000)}\\x"}`, 'malformed-request', /the escape .* in a text/],
    ['half an escape', `{"image":"${'A'.repeat(2000)}\\u00"}`, 'malformed-request', /the escape .* in a text/],
    ['a control character', `{"image":"${'A'.repeat(2000)}\n"}`, 'malformed-request', /a control character in a text/],
    ['a long name', `{"${'A'.repeat(2000)}" : 1}`, 'too-large', /expected names of at most 1024 bytes, got more/],
  ])('and their errors: %s', (_what, text, problem, detail) => {
    expect(parse(text)).toEqual(refused(problem, detail));
  });
});

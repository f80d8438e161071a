import sharp from 'sharp';
import { expect } from 'vitest';
import { base64Of, fileOf, float32Base64, post, SIZE, type TestServer, tensorOf } from './server-fixture.js';

export interface ExpectedRefusal {
  readonly status: number;
  readonly field: string;
  readonly detail: RegExp;
}

/** A request's body that is refused, built when its test runs. */
export type BadBody = [what: string, body: () => unknown, refusal: ExpectedRefusal];

export const file = await fileOf('left');
export const image = await base64Of('left');
const hundredMegapixels = await sharp({ create: { width: 10_000, height: 10_000, channels: 3, background: '#fff' } })
  .toColourspace('b-w')
  .png({ compressionLevel: 1 })
  .toBuffer();

/** Two good examples. */
export function goodExamples(): { label: string; [key: string]: unknown }[] {
  return [
    { label: 'left', tensor: tensorOf('left') },
    { label: 'top', tensor: tensorOf('top') },
  ];
}

/** A tensor with one value replaced. */
export const tensorWith = (value: number) => tensorOf('left').with(7, value);

/** The id of a new profile. */
export async function storeProfile(server: TestServer): Promise<string> {
  const response = await post(`${server.url}/adapt`, { examples: goodExamples() });
  return ((await response.json()) as { profile: string }).profile;
}

/** A problem as promised: its form, and a server that goes on with nothing changed and no fault of its own. */
export async function expectRefusal(
  server: TestServer,
  request: () => Promise<Response>,
  { status, field, detail }: ExpectedRefusal,
): Promise<void> {
  const stored = (await server.store.usage()).profiles;
  const response = await request();
  const text = await response.text();
  expect(response.status, text).toBe(status);
  expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  const problem = JSON.parse(text) as Record<string, unknown>;
  expect(Object.keys(problem)).toEqual(['type', 'title', 'status', 'detail', 'field']);
  expect(problem).toMatchObject({ status, field, type: expect.stringMatching(/^\/problems\/[a-z-]+$/) });
  expect(problem['detail']).toMatch(detail);
  expect(problem['detail']).toMatch(/expected .+, got /);
  expect(text.length).toBeLessThan(1200);
  expect(text).not.toMatch(/node_modules|\.js\b|\bat \w+ \(/);
  expect((await server.store.usage()).profiles).toBe(stored);
  expect(server.errors).toEqual([]);
  expect((await fetch(`${server.url}/health`)).status).toBe(200);
}

/** Labels that name nothing, in the third example. */
export function labelCases(body: (label: string) => unknown): BadBody[] {
  const labels: [string, string, RegExp][] = [
    ['of nothing', '', /got an empty one/],
    ['of space', ' \u00a0\t', /got nothing but space/],
    ['of 10 kB', 'x'.repeat(10_000), /1 to 256 bytes of UTF-8.*got 10000 bytes/],
    ['of 86 characters and 258 bytes', '日'.repeat(86), /got 258 bytes/],
    ['with a control character', 'a\u0007b', /without control characters, got "a\\u0007b"/],
    ['with a line break', 'a\nb', /got "a\\nb"/],
    ['with half a surrogate pair', 'a\ud83d', /got what is not UTF-8/],
  ];
  return labels.map(([what, label, detail]) => [
    `a label ${what}`,
    () => body(label),
    { status: 422, field: 'examples[2].label', detail },
  ]);
}

/** Images that cannot be used. */
export function imageCases(build: (value: () => string) => readonly [body: unknown, field: string]): BadBody[] {
  const values: [string, () => string, number, RegExp][] = [
    ['that is empty', () => '', 422, /got no bytes/],
    ['that is not base64', () => 'not base64 at all!', 422, /padded base64/],
    ['in base64 with line breaks', () => `${image.slice(0, 40)}\n${image.slice(40)}`, 422, /without line breaks/],
    ['in base64 cut short', () => image.slice(0, -3), 422, /padded base64/],
    ['of 10 kB that is not base64', () => '?'.repeat(10_000), 422, /\(10000 characters\)"$/],
    ['that is text', () => Buffer.from('hello').toString('base64'), 415, /got 5 bytes that are not an image/],
    ['that is a GIF', () => 'R0lGODlhAQABAAAAACw=', 415, /PNG, JPEG or WebP image, got GIF/],
    ['that is an SVG', () => Buffer.from('<svg/>').toString('base64'), 415, /got SVG/],
    ['that is a data URL of a GIF', () => 'data:image/gif;base64,R0lGODlhAQABAAAAACw=', 415, /WebP image, got GIF/],
    ['that is a data URL of text', () => `data:text/plain;base64,${image}`, 415, /of an image, got "text\/plain"/],
    [
      'that is a data URL without base64',
      () => 'data:image/png,abc',
      422,
      /expected a data URL as data:image\/png;base64,\.\.\., got /,
    ],
    ['that is an endless data URL', () => `data:${'x'.repeat(10_000)}`, 422, /data:image\/png;base64/],
    ['that is truncated', () => file.subarray(0, 60).toString('base64'), 422, /damaged or cut short/],
    ['without its last byte', () => file.subarray(0, -1).toString('base64'), 422, /damaged or cut short/],
    [
      'of 100 megapixels',
      () => hundredMegapixels.toString('base64'),
      422,
      /at most 16000000 pixels, got 10000 x 10000/,
    ],
  ];
  return values.map(([what, value, status, detail]) => [
    `an image ${what}`,
    () => build(value)[0],
    { status, field: build(() => '')[1], detail },
  ]);
}

/** Tensors that cannot be used. */
export function tensorCases(build: (value: unknown) => readonly [body: unknown, field: string]): BadBody[] {
  const values: [string, unknown, string, RegExp][] = [
    ['too short', tensorOf('left').slice(1), '', /144 numbers, \[1, 12, 12\] row by row, got an array of 143/],
    ['too long', [...tensorOf('left'), 0], '', /got an array of 145/],
    ['of nothing', [], '', /got an array of 0/],
    ['that is null', null, '', /got null/],
    [
      'that is a number',
      3,
      '',
      /expected 144 numbers \[1, 12, 12\], or their float32 bytes as { "data": base64 }, got 3/,
    ],
    ['with null', [...tensorOf('left').slice(1), null], '[143]', /expected a number, got null/],
    ['with text', ['0', ...tensorOf('left').slice(1)], '[0]', /a number, got "0"/],
    ['of rows', new Array(SIZE * SIZE).fill([0]), '[0]', /a number, got an array of 1/],
    ['with NaN', { data: float32Base64(tensorWith(Number.NaN)) }, '.data[7]', /finite float32 number, got NaN/],
    ['with Infinity', { data: float32Base64(tensorWith(-Infinity)) }, '.data[7]', /got -Infinity/],
    [
      'of 143 float32',
      { data: float32Base64(tensorOf('left').slice(1)) },
      '.data',
      /expected 576 bytes, little-endian float32 \[1, 12, 12\], got 572/,
    ],
    ['of half a float32', { data: Buffer.alloc(574).toString('base64') }, '.data', /576 bytes.*got 574/],
    ['that is not base64', { data: '****' }, '.data', /padded base64/],
    ['of other members', { data: '', shape: [12, 12] }, '.shape', /only data, got an unknown field/],
  ];
  return [
    ...values.map(
      ([what, value, suffix, detail]): BadBody => [
        `a tensor ${what}`,
        () => build(value)[0],
        { status: 422, field: build(value)[1] + suffix, detail },
      ],
    ),
    [
      'a tensor without data',
      () => build({})[0],
      { status: 400, field: `${build({})[1]}.data`, detail: /got nothing/ },
    ],
  ];
}

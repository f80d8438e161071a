import { crc32, deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { coloured } from './coloured.test.helper.js';
import { decodePixels } from './images.js';
import { withoutNeedless } from './png-chunks.js';

const COLOUR = coloured(4, 2, { fit: 'fill', kernel: 'nearest' });
/** Bytes of signature and header. */
const HEADER_END = 33;
const END_LENGTH = 12;

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const framed = Buffer.alloc(body.length + 8);
  framed.writeUInt32BE(data.length);
  body.copy(framed, 4);
  framed.writeUInt32BE(crc32(body), body.length + 4);
  return framed;
}

const pixels = Uint8Array.from({ length: 24 }, (_, i) => i * 10);
const png = await sharp(pixels, { raw: { width: 4, height: 2, channels: 3 } })
  .png()
  .toBuffer();
const withChunks = (start: readonly Buffer[], end: readonly Buffer[] = []) =>
  Buffer.concat([
    png.subarray(0, HEADER_END),
    ...start,
    png.subarray(HEADER_END, -END_LENGTH),
    ...end,
    png.subarray(-END_LENGTH),
  ]);

// Decompresses to a thousand times its length.
const packed = deflateSync(Buffer.alloc(1_000_000, 'A'));
const text = (head: string) => Buffer.concat([Buffer.from(head, 'latin1'), packed]);
const bombs = {
  zTXt: chunk('zTXt', text('a\0\0')),
  iTXt: chunk('iTXt', text('a\0\x01\0\0\0')),
  tEXt: chunk('tEXt', Buffer.from('a\0b')),
  unknown: chunk('aaAa', packed),
};

describe('no decoder sees', () => {
  test.each(Object.entries(bombs))('%s', async (_name, bomb) => {
    const file = withChunks([bomb, bomb], [bomb]);
    expect(Buffer.from(withoutNeedless(file))).toEqual(png);
    expect(await decodePixels(file, COLOUR)).toEqual(pixels);
  });

  test('a colour profile after the first', () => {
    const profile = chunk('iCCP', text('a\0\0'));
    expect(Buffer.from(withoutNeedless(withChunks([profile, bombs.zTXt, profile])))).toEqual(withChunks([profile]));
  });
});

test('what says how pixels look stays', async () => {
  const turned = await sharp(png)
    .withExif({ IFD0: { Orientation: '3' } })
    .withIccProfile('p3')
    .png()
    .toBuffer();
  const [profile, exif] = ['iCCP', 'eXIf'].map((type) => turned.includes(type));
  expect({ profile, exif }).toEqual({ profile: true, exif: true });
  const clear = await sharp({ create: { width: 4, height: 2, channels: 4, background: '#0000' } })
    .png({ palette: true })
    .toBuffer();
  expect(clear.includes('tRNS')).toBe(true);
  for (const file of [png, turned, clear]) {
    expect(withoutNeedless(file)).toBe(file);
    const more = Buffer.concat([file.subarray(0, HEADER_END), bombs.zTXt, file.subarray(HEADER_END)]);
    expect(await decodePixels(more, COLOUR)).toEqual(await decodePixels(file, COLOUR));
  }
});

test.each([
  ['its end', png.subarray(0, -END_LENGTH)],
  ['a part of its end', png.subarray(0, -1)],
  ['a part of a text', withChunks([bombs.zTXt]).subarray(0, HEADER_END + 20)],
])('a file without %s is refused', (_what, file) => {
  expect(() => withoutNeedless(file)).toThrow('no IEND chunk');
});

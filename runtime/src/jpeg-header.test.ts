import sharp from 'sharp';
import { expect, test } from 'vitest';
import { coloured } from './coloured.test.helper.js';
import { decodePixels } from './images.js';
import { reducibleBy } from './jpeg-header.js';

const FORM = coloured(4, 4);
const plain = (width: number, height: number) =>
  sharp({ create: { width, height, channels: 3, background: '#3264c8' } });

test('a photo as a phone takes it is decoded, also lying on its side', async () => {
  const photo = await plain(5712, 4284).jpeg({ quality: 50 }).withMetadata({ orientation: 6 }).toBuffer();
  const pixels = await decodePixels(photo, { ...FORM, fit: 'cover' });
  for (const [i, value] of pixels.entries()) {
    expect(Math.abs(value - ([0x32, 0x64, 0xc8][i % 3] as number))).toBeLessThanOrEqual(4);
  }
});

test.each([
  ['of one scan', { quality: 90 }, 4],
  ['in grey', { quality: 90, grey: true }, 4],
  ['progressive', { progressive: true }, 2],
  ['progressive, with all of its colour', { progressive: true, chromaSubsampling: '4:4:4' }, 1],
] as const)('a JPEG %s may have so many times the pixels of another image', async (_, { ...options }, times) => {
  const isGrey = 'grey' in options;
  const jpeg = (side: number) =>
    plain(side, side)
      .toColourspace(isGrey ? 'b-w' : 'srgb')
      .jpeg(options)
      .toBuffer();
  expect(reducibleBy(await jpeg(64))).toBe(times);
  const maxPixels = (64 * 64) / times;
  expect(await decodePixels(await jpeg(64), FORM, { maxPixels })).toHaveLength(48);
  await expect(decodePixels(await jpeg(65), FORM, { maxPixels })).rejects.toThrow(
    `image: expected an image of at most ${64 * 64} pixels, got 65 x 65 = 4225`,
  );
});

test('a JPEG of several scans that says it has one frame in order is held as a progressive one is', async () => {
  const bytes = new Uint8Array(await plain(64, 64).jpeg({ chromaSubsampling: '4:4:4' }).toBuffer());
  const scan = bytes.findIndex((byte, i) => byte === 0xff && bytes[i + 1] === 0xda);
  bytes[scan + 4] = 1;
  expect(reducibleBy(bytes)).toBe(1);
});

test('what is no header, or has no end, gets nothing extra', () => {
  expect(reducibleBy(new Uint8Array([0xff, 0xd8, 0xff]))).toBe(1);
  expect(reducibleBy(new Uint8Array([0xff, 0xd8, 0x00, 0x00, 0, 0]))).toBe(1);
  const empty = Uint8Array.from({ length: 40_000 }, (_, i) => [0xff, 0xe1, 0, 2][(i + 2) % 4] as number);
  expect(reducibleBy(empty)).toBe(1);
});

test('one’s own files may be of more formats and pixels, a stranger’s not', async () => {
  const image = plain(20, 20);
  for (const format of ['gif', 'tiff', 'avif'] as const) {
    const bytes = await image.clone().toFormat(format).toBuffer();
    expect(await decodePixels(bytes, FORM, { isOwn: true })).toHaveLength(48);
    await expect(decodePixels(bytes, FORM)).rejects.toThrow('expected a PNG, JPEG or WebP image, got');
  }
  const heic = new TextEncoder().encode('\0\0\0\x18ftypheic\0\0\0\0mif1heic');
  await expect(decodePixels(heic, FORM, { isOwn: true, field: 'a.heic' })).rejects.toThrow(
    'a.heic: expected a PNG, JPEG, WebP, GIF, TIFF or AVIF image, got HEIC; save it as JPEG or PNG first',
  );
  await expect(decodePixels(new TextEncoder().encode('BM12345'), FORM, { isOwn: true })).rejects.toThrow('got BMP;');
});

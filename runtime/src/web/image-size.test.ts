import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { readImageHeader } from './image-size.js';
import { webpOrientation } from './upright-webp.js';

const image = sharp({ create: { width: 301, height: 77, channels: 4, background: '#20406080' } });

describe('readImageHeader', () => {
  it.each([
    ['PNG', () => image.clone().png()],
    ['JPEG', () => image.clone().jpeg()],
    [
      'JPEG',
      () =>
        image
          .clone()
          .withExif({ IFD0: { Copyright: 'x'.repeat(3000) } })
          .jpeg({ progressive: true }),
    ],
    ['WebP', () => image.clone().webp()],
    ['WebP', () => image.clone().webp({ lossless: true })],
    ['WebP', () => image.clone().removeAlpha().webp()],
    ['GIF', () => image.clone().gif()],
  ] as const)('reads the size of a %s file (%#)', async (format, make) => {
    expect(readImageHeader(await make().toBuffer())).toMatchObject({ format, width: 301, height: 77 });
  });

  it('tells formats whose size is elsewhere', async () => {
    expect(readImageHeader(await image.clone().avif().toBuffer())).toEqual({ format: 'AVIF' });
    expect(readImageHeader(Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic', 'latin1'))).toEqual({ format: 'HEIC' });
  });

  it.each(['', 'a', 'not an image, but some text', '%PDF-1.7', '\x89PNG\r\n\x1a\n'])(
    'says nothing of %j',
    (content) => {
      expect(readImageHeader(Buffer.from(content, 'latin1'))).toBeUndefined();
    },
  );

  it.each([1, 3, 6, 8])('finds orientation %i of a WebP file, behind its pixels', async (orientation) => {
    const file = await image.clone().webp().withMetadata({ orientation }).toBuffer();
    expect(webpOrientation(file)).toBe(orientation);
    for (let length = 0; length < file.length; length++) {
      expect([1, orientation]).toContain(webpOrientation(file.subarray(0, length)));
    }
  });

  it('survives files that are cut anywhere', async () => {
    for (const file of [await image.clone().jpeg().toBuffer(), await image.clone().webp().toBuffer()]) {
      for (let length = 0; length < Math.min(file.length, 700); length++) readImageHeader(file.subarray(0, length));
    }
  });
});

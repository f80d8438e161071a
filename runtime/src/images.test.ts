import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { InputError } from './errors.js';
import { decodeImage, decodePixels, type Preprocessing, pixelsToTensor } from './images.js';

const GREY: Preprocessing = {
  width: 4,
  height: 4,
  channels: 1,
  fit: 'fill',
  background: 255,
  kernel: 'nearest',
  invert: false,
  mean: [0],
  std: [1],
};
const COLOUR: Preprocessing = { ...GREY, channels: 3, mean: [0, 0, 0], std: [1, 1, 1] };

const noise = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 73 + (i >> 3) * 31) % 256);
const raw = (data: Uint8Array, width: number, height: number, channels: 1 | 2 | 3 | 4) =>
  sharp(data, { raw: { width, height, channels } });
const plain = (
  width: number,
  height: number,
  background: { r: number; g: number; b: number; alpha?: number } | string,
  channels: 3 | 4 = 3,
) => sharp({ create: { width, height, channels, background } });

async function refusal(promise: Promise<unknown>): Promise<InputError> {
  const error = await promise.then(
    () => undefined,
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(InputError);
  return error as InputError;
}

describe('decodePixels', () => {
  test('gives back the pixels of a lossless file of the right size', async () => {
    const pixels = noise(4 * 4 * 3);
    expect(await decodePixels(await raw(pixels, 4, 4, 3).png().toBuffer(), COLOUR)).toEqual(pixels);
    expect(await decodePixels(await raw(pixels, 4, 4, 3).webp({ lossless: true }).toBuffer(), COLOUR)).toEqual(pixels);
    const grey = noise(16);
    expect(await decodePixels(await raw(grey, 4, 4, 1).toColourspace('b-w').png().toBuffer(), GREY)).toEqual(grey);
  });

  test.each(['png', 'jpeg', 'webp'] as const)('reads %s near enough', async (format) => {
    const bytes = await plain(50, 30, '#3264c8').toFormat(format).toBuffer();
    const pixels = await decodePixels(bytes, COLOUR);
    expect(pixels).toHaveLength(48);
    for (const [i, value] of pixels.entries()) {
      expect(Math.abs(value - ([0x32, 0x64, 0xc8][i % 3] as number))).toBeLessThanOrEqual(4);
    }
  });

  test('makes one channel of colour and three of grey', async () => {
    const black = await plain(4, 4, '#000').png().toBuffer();
    expect(await decodePixels(black, GREY)).toEqual(new Uint8Array(16));
    const pixels = noise(16);
    const colour = await decodePixels(await raw(pixels, 4, 4, 1).toColourspace('b-w').png().toBuffer(), COLOUR);
    expect(colour).toEqual(Uint8Array.from({ length: 48 }, (_, i) => pixels[Math.floor(i / 3)] as number));
  });

  test('takes a 1 x 1 image, and one that is far from square', async () => {
    expect(await decodePixels(await plain(1, 1, '#000').png().toBuffer(), GREY)).toEqual(new Uint8Array(16));
    const thin = await plain(900, 1, '#000').png().toBuffer();
    for (const fit of ['contain', 'cover', 'fill'] as const) {
      expect(await decodePixels(thin, { ...GREY, fit, kernel: 'lanczos3' })).toHaveLength(16);
    }
  });

  test.each([GREY, COLOUR])('lays transparency on the background, $channels channels', async (form) => {
    const clear = await plain(4, 4, { r: 0, g: 0, b: 0, alpha: 0 }, 4).png().toBuffer();
    for (const background of [0, 77, 255]) {
      expect(new Set(await decodePixels(clear, { ...form, background }))).toEqual(new Set([background]));
    }
    const half = await plain(4, 4, { r: 0, g: 0, b: 0, alpha: 0.5 }, 4).png().toBuffer();
    for (const value of await decodePixels(half, form)) expect(Math.abs(value - 127)).toBeLessThanOrEqual(1);
  });

  test('does not let the colour of transparent pixels leak into their neighbours', async () => {
    const pixels = new Uint8Array(8 * 8 * 4);
    for (let i = 0; i < 64; i++) pixels.set(i % 2 ? [255, 255, 255, 255] : [0, 0, 0, 0], i * 4);
    const bytes = await raw(pixels, 8, 8, 4).png().toBuffer();
    expect(new Set(await decodePixels(bytes, { ...GREY, kernel: 'lanczos3' }))).toEqual(new Set([255]));
  });

  test.each([GREY, COLOUR])('pads a contained image with the background, $channels channels', async (form) => {
    const wide = await plain(8, 4, '#000').png().toBuffer();
    const pixels = await decodePixels(wide, { ...form, fit: 'contain', background: 99 });
    const rows = [0, 1, 2, 3].map((y) => new Set(pixels.subarray(y * 4 * form.channels, (y + 1) * 4 * form.channels)));
    expect(rows).toEqual([new Set([99]), new Set([0]), new Set([0]), new Set([99])]);
  });

  test('scales 16-bit files to 8 bits, padding and transparency too', async () => {
    const values = Uint16Array.from({ length: 16 }, (_, i) => i * 4369);
    const bytes = await sharp(values, { raw: { width: 4, height: 4, channels: 1 } })
      .toColourspace('grey16')
      .png()
      .toBuffer();
    expect((await sharp(bytes).metadata()).depth).toBe('ushort');
    const expected = Uint8Array.from({ length: 16 }, (_, i) => i * 17);
    for (const [i, value] of (await decodePixels(bytes, GREY)).entries()) {
      expect(Math.abs(value - (expected[i] as number))).toBeLessThanOrEqual(1);
    }
    const half = Uint16Array.from({ length: 8 * 4 * 4 }, (_, i) => (i % 4 === 3 ? 0 : 65535));
    const clear = await sharp(half, { raw: { width: 8, height: 4, channels: 4 } })
      .toColourspace('rgb16')
      .png()
      .toBuffer();
    expect((await sharp(clear).metadata()).depth).toBe('ushort');
    for (const form of [GREY, COLOUR]) {
      const pixels = await decodePixels(clear, { ...form, fit: 'contain', background: 99 });
      for (const value of pixels) expect(Math.abs(value - 99)).toBeLessThanOrEqual(1);
    }
  });

  test('reads 1-bit and palette files as 0 and 255, not as indices', async () => {
    const pixels = Uint8Array.from({ length: 16 }, (_, i) => (i % 3 ? 255 : 0));
    const oneBit = await raw(pixels, 4, 4, 1)
      .toColourspace('b-w')
      .png({ palette: true, colours: 2, dither: 0 })
      .toBuffer();
    expect((await sharp(oneBit).metadata()).bitsPerSample).toBe(1);
    expect(await decodePixels(oneBit, GREY)).toEqual(pixels);
    const red = await plain(4, 4, '#f00').png({ palette: true, colours: 4 }).toBuffer();
    expect((await sharp(red).metadata()).isPalette).toBe(true);
    expect([...(await decodePixels(red, COLOUR)).subarray(0, 3)]).toEqual([255, 0, 0]);
  });

  test('turns a photograph upright by its EXIF orientation', async () => {
    const pixels = Uint8Array.from({ length: 32 * 32 }, (_, i) => (i % 32 < 16 ? 0 : 255));
    const turned = await raw(pixels, 32, 32, 1).jpeg().withMetadata({ orientation: 6 }).toBuffer();
    const upright = await decodePixels(turned, GREY);
    expect(Math.max(...upright.subarray(0, 4))).toBeLessThan(20);
    expect(Math.min(...upright.subarray(12))).toBeGreaterThan(235);
  });

  test.each(['png', 'jpeg', 'webp'] as const)('refuses a %s that is cut short', async (format) => {
    const whole = await raw(noise(64 * 48 * 3), 64, 48, 3)
      .toFormat(format)
      .toBuffer();
    for (const length of [16, 40, whole.length >> 1, whole.length - 20, whole.length - 5, whole.length - 1]) {
      const error = await refusal(decodePixels(whole.subarray(0, length), COLOUR, { field: 'examples[3].image' }));
      expect(error.field).toBe('examples[3].image');
      expect(error.message).toMatch(/^examples\[3\]\.image: expected /);
    }
  });

  test('refuses a file whose middle was overwritten', async () => {
    const bytes = new Uint8Array(
      await raw(noise(64 * 48 * 3), 64, 48, 3)
        .png()
        .toBuffer(),
    );
    bytes.fill(7, 60, bytes.length - 40);
    expect((await refusal(decodePixels(bytes, COLOUR))).message).toMatch(/^image: .*damaged/);
  });

  test('refuses what is not a PNG, JPEG or WebP, and says what it is', async () => {
    const image = plain(4, 4, '#000');
    const cases: [Uint8Array, RegExp][] = [
      [new Uint8Array(), /got no bytes/],
      [new TextEncoder().encode('hello'), /got 5 bytes that are not an image/],
      [new TextEncoder().encode('<svg xmlns="http://www.w3.org/2000/svg" width="5" height="5"/>'), /got SVG/],
      [await image.clone().gif().toBuffer(), /got GIF/],
      [await image.clone().tiff().toBuffer(), /got TIFF/],
      [await image.clone().avif().toBuffer(), /got AVIF/],
    ];
    for (const [bytes, message] of cases) {
      const error = await refusal(decodePixels(bytes, GREY));
      expect(error.message).toMatch(/expected a PNG, JPEG or WebP image/);
      expect(error.message).toMatch(message);
    }
  });

  test('refuses too many pixels by the header alone', async () => {
    const small = await plain(40, 30, '#000').png().toBuffer();
    expect((await refusal(decodePixels(small, GREY, { maxPixels: 1199 }))).message).toBe(
      'image: expected an image of at most 1199 pixels, got 40 x 30 = 1200',
    );
    expect(await decodePixels(small, GREY, { maxPixels: 1200 })).toHaveLength(16);
    // A kilobyte that would take gigabytes decoded: its first chunk claims 50,000 x 50,000.
    const bomb = new Uint8Array(small);
    const view = new DataView(bomb.buffer);
    view.setUint32(16, 50_000);
    view.setUint32(20, 50_000);
    view.setUint32(29, crc32(bomb.subarray(12, 29)));
    expect((await refusal(decodePixels(bomb, GREY))).message).toMatch(/16000000 pixels, got 50000 x 50000/);
  });
});

describe('pixelsToTensor', () => {
  const form: Preprocessing = { ...COLOUR, width: 3, height: 2, mean: [0.1, 0.2, 0.3], std: [0.5, 0.25, 2] };

  test.each([false, true])('is (v - mean) / std, planar, invert %s', (invert) => {
    const pixels = noise(18);
    const tensor = pixelsToTensor(pixels, { ...form, invert });
    for (let c = 0; c < 3; c++) {
      for (let i = 0; i < 6; i++) {
        const v = (pixels[i * 3 + c] as number) / 255;
        const expected = ((invert ? 1 - v : v) - (form.mean[c] as number)) / (form.std[c] as number);
        expect(tensor[c * 6 + i]).toBeCloseTo(expected, 6);
      }
    }
  });

  test('fills a batch from an offset and nothing else of it', () => {
    const pixels = noise(18);
    const batch = new Float32Array(60).fill(-9);
    expect(pixelsToTensor(pixels, form, batch, 18)).toBe(batch);
    expect(batch.subarray(18, 36)).toEqual(pixelsToTensor(pixels, form));
    expect(new Set([...batch.subarray(0, 18), ...batch.subarray(36)])).toEqual(new Set([-9]));
  });

  test('refuses lengths that do not fit', () => {
    expect(() => pixelsToTensor(noise(17), form)).toThrow('pixels: expected 18 values [2, 3, 3], got 17');
    expect(() => pixelsToTensor(noise(18), { ...form, mean: [0] })).toThrow('preprocessing.mean: expected 3 values');
    expect(() => pixelsToTensor(noise(18), form, new Float32Array(20), 3)).toThrow(InputError);
  });
});

test('decodeImage is one after the other', async () => {
  const bytes = await raw(noise(16 * 3), 4, 4, 3)
    .png()
    .toBuffer();
  expect(await decodeImage(bytes, COLOUR)).toEqual(pixelsToTensor(noise(16 * 3), COLOUR));
});

function crc32(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let k = 0; k < 8; k++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { decodePixels } from './images.js';
import { pixelsToTensor, type RgbaImage, resizePixels } from './pixels.js';
import type { Preprocessing } from './preprocessing.js';

const base: Preprocessing = {
  width: 28,
  height: 28,
  channels: 1,
  fit: 'contain',
  background: 255,
  kernel: 'lanczos3',
  invert: true,
  mean: [0],
  std: [1],
};

/** A drawing with strokes, colours and soft edges, as photos have them. */
async function drawing(
  width: number,
  height: number,
  transparent = false,
): Promise<{ file: Buffer; image: RgbaImage }> {
  const paper = transparent ? '' : `<rect width="100%" height="100%" fill="#f4e9d8"/>`;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 100 100" preserveAspectRatio="none">
    ${paper}<path d="M20 80 C 30 10 70 10 80 85" stroke="#203060" stroke-width="7" fill="none"/>
    <circle cx="60" cy="55" r="14" fill="#c03020" fill-opacity="0.7"/></svg>`;
  const file = await sharp(Buffer.from(svg)).png().toBuffer();
  const { data } = await sharp(file).ensureAlpha().raw().toBuffer({ resolveWithObject: true });
  return { file, image: { width, height, data } };
}

const cases: [string, Partial<Preprocessing>, [number, number], boolean][] = [
  ['of the same size', {}, [28, 28], false],
  ['reduced a little', {}, [57, 57], false],
  ['of a photo', {}, [1200, 900], false],
  ['standing', {}, [301, 777], false],
  ['enlarged', {}, [11, 17], false],
  ['transparent', {}, [100, 70], true],
  ['on black', { background: 0 }, [100, 70], true],
  ['in colour', { channels: 3, mean: [0, 0, 0], std: [1, 1, 1], width: 64, height: 48 }, [640, 480], false],
  ['covering', { fit: 'cover', channels: 3, mean: [0, 0, 0], std: [1, 1, 1] }, [300, 200], false],
  ['filling', { fit: 'fill' }, [300, 111], false],
  ...(['linear', 'cubic', 'mitchell', 'lanczos2'] as const).map((kernel): (typeof cases)[number] => [
    `by ${kernel}`,
    { kernel },
    [200, 260],
    false,
  ]),
];

describe('resizePixels', () => {
  it.each(cases)(
    'an image %s is what sharp makes of it, but for rounding',
    async (_, options, [width, height], clear) => {
      const p = { ...base, ...options };
      const enlarged = width < p.width; // Its cubic is of coarse steps in libvips.
      const { file, image } = await drawing(width, height, clear);
      const [expected, got] = [await decodePixels(file, p), resizePixels(image, p)];
      expect(got).toHaveLength(expected.length);
      const differences = Array.from(got, (value, i) => Math.abs(value - (expected[i] as number)));
      const mean = differences.reduce((a, b) => a + b, 0) / got.length;
      expect(mean).toBeLessThan(enlarged ? 1 : 0.3);
      expect(Math.max(...differences)).toBeLessThanOrEqual(enlarged ? 10 : 3);
    },
  );

  it('takes pixels as they are by nearest', async () => {
    const { image } = await drawing(60, 90);
    const got = resizePixels(image, { ...base, channels: 3, mean: [0, 0, 0], std: [1, 1, 1], kernel: 'nearest' });
    const colours = new Set(Array.from({ length: 60 * 90 }, (_, i) => [...image.data.slice(i * 4, i * 4 + 3)].join()));
    colours.add('255,255,255');
    for (let i = 0; i < got.length; i += 3) expect(colours).toContain([...got.slice(i, i + 3)].join());
  });

  it('refuses data of another length than the size says', () => {
    const wide = { ...base, channels: 4, mean: [0, 0, 0, 0], std: [1, 1, 1, 1] };
    expect(() => resizePixels({ width: 2, height: 2, data: new Uint8Array(16) }, wide)).toThrow(
      'got a picture: the bundle takes 4 channels',
    );
    expect(() => resizePixels({ width: 2, height: 2, data: new Uint8Array(15) }, base)).toThrow(
      'image: expected 2 x 2 x 4 values, got 15',
    );
  });
});

it('a tensor that has no room for an image is refused', () => {
  const pixels = new Uint8Array(28 * 28);
  expect(() => pixelsToTensor(pixels, base, new Float32Array(1000), 300)).toThrow(
    'out: expected room for 784 values from 300 on, got 1000 in all',
  );
});

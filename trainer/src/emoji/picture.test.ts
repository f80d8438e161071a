import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { generatorFor } from '../data/random.js';
import type { Icon } from './icon-sets.js';
import { drawPicture, lookAt } from './picture.js';

const SIZE = 64;

const icon = (body: string, form: Partial<Icon> = {}): Icon => ({
  body,
  left: 0,
  top: 0,
  width: 16,
  height: 16,
  hFlip: false,
  vFlip: false,
  rotate: 0,
  ...form,
});
const square = (fill: string) => icon(`<rect width="16" height="16" fill="${fill}"/>`);
const random = (number: number) => generatorFor(1, 'picture', number);

describe('lookAt', () => {
  const corner = '<rect x="1" y="2" width="8" height="4" fill="#f00"/>';

  it.each<[string, Partial<Icon>, [number, number, number, number]]>([
    ['as it is', {}, [-7, -6, 8, 4]],
    ['mirrored', { hFlip: true }, [-1, -6, 8, 4]],
    ['upside down', { vFlip: true }, [-7, 2, 8, 4]],
    ['turned by a quarter', { rotate: 1 }, [2, -7, 4, 8]],
    ['of another viewBox', { left: -4, top: 2, width: 24, height: 12 }, [-7, -6, 8, 4]],
  ])('finds where a drawing is: %s', async (_, form, [x, y, width, height]) => {
    const { box } = await lookAt(icon(corner, form));
    for (const [got, expected] of [
      [box.x, x],
      [box.y, y],
      [box.width, width],
      [box.height, height],
    ] as const) {
      expect(Math.abs(got - expected)).toBeLessThanOrEqual(0.5);
    }
  });

  it('finds how light it is', async () => {
    expect((await lookAt(icon(corner))).luma).toBeCloseTo(0.299, 2);
    expect((await lookAt(square('#fff'))).luma).toBeCloseTo(1, 2);
  });

  it('rejects what cannot be drawn, and what draws nothing', async () => {
    await expect(lookAt(icon('<rect width="16"'))).rejects.toThrow();
    await expect(lookAt(icon('<g/>'))).rejects.toThrow('nothing is drawn');
  });
});

describe('drawPicture', () => {
  /** Luma of every pixel. */
  const pixels = async (fill: string, number: number) => {
    const look = await lookAt(square('#000'));
    const webp = await drawPicture(square(fill), look, SIZE, random(number));
    const { data, info } = await sharp(webp).raw().toBuffer({ resolveWithObject: true });
    expect([info.width, info.height, info.channels]).toEqual([SIZE, SIZE, 3]);
    return Array.from({ length: SIZE * SIZE }, (_, i) => {
      const [r = 0, g = 0, b = 0] = data.subarray(i * 3, i * 3 + 3);
      return (0.299 * r + 0.587 * g + 0.114 * b) / 255;
    });
  };

  it('has the whole drawing on it, of 55 to 95 % of the side, somewhere', async () => {
    const middles = new Set<string>();
    for (let number = 0; number < 30; number++) {
      const [black, white] = [await pixels('#000', number), await pixels('#fff', number)];
      // What differs where all but the colour of the drawing is alike.
      const drawn = black.flatMap((luma, i) => ((white[i] as number) - luma > 0.3 ? [i] : []));
      const extent = (places: readonly number[]) => [Math.min(...places), Math.max(...places)] as const;
      const [left, right] = extent(drawn.map((i) => i % SIZE));
      const [top, bottom] = extent(drawn.map((i) => Math.floor(i / SIZE)));
      const [width, height] = [right + 1 - left, bottom + 1 - top];
      // A turned square is as wide as high, unless a part of it is cut off.
      expect(Math.abs(width - height)).toBeLessThanOrEqual(3);
      expect(width / SIZE).toBeGreaterThan(0.5);
      expect(width / SIZE).toBeLessThan(1);
      middles.add(`${left + right} ${top + bottom}`);
    }
    expect(middles.size).toBeGreaterThan(20);
  });

  it('has a background that is not as light as the drawing', async () => {
    for (let number = 0; number < 30; number++) {
      const [black, white] = [await pixels('#000', number), await pixels('#fff', number)];
      const behind = black.filter((luma, i) => Math.abs((white[i] as number) - luma) < 0.05);
      const inside = black.filter((luma, i) => (white[i] as number) - luma > 0.3);
      const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
      expect(mean(behind) - mean(inside)).toBeGreaterThan(0.15);
    }
  });

  it('is the same again by the same random numbers, and another by others', async () => {
    const body = square('#36c');
    const look = await lookAt(body);
    const draw = (number: number) => drawPicture(body, look, SIZE, random(number));
    expect((await draw(5)).equals(await draw(5))).toBe(true);
    const all = await Promise.all(Array.from({ length: 10 }, async (_, i) => (await draw(i)).toString('base64')));
    expect(new Set(all).size).toBe(10);
  });
});

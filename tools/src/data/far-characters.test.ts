import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generatorFor, omniglotPreprocessing } from '@whet/trainer';
import sharp from 'sharp';
import { expect, test } from 'vitest';
import { farCharacter, makeFarCharacters } from './far-characters.js';

/** Paper with a black square in its middle, of half the width, or with none. */
async function paper(withInk: boolean): Promise<Buffer> {
  const sheet = sharp({ create: { width: 60, height: 60, channels: 3, background: 'white' } });
  const square = { create: { width: 30, height: 30, channels: 3, background: 'black' } } as const;
  const input = await sharp(square).png().toBuffer();
  return (withInk ? sheet.composite([{ input, left: 15, top: 15 }]) : sheet).png().toBuffer();
}
const pixelsOf = (bytes: Uint8Array) => sharp(bytes).raw().toBuffer({ resolveWithObject: true });
const random = (seed: number) => generatorFor(seed, 'test', 0);

test('a character keeps its shape, in colours of its own, and every picture is another', async () => {
  for (let seed = 0; seed < 5; seed++) {
    const [drawn, blank] = [
      await farCharacter(await paper(true), random(seed)),
      await farCharacter(await paper(false), random(seed)),
    ];
    const [{ data, info }, { data: below }] = [await pixelsOf(drawn), await pixelsOf(blank)];
    expect([info.width, info.height, info.channels]).toEqual([128, 128, 3]);
    const apart = (x: number, y: number) => {
      const at = (y * 128 + x) * 3;
      return [0, 1, 2].reduce((sum, k) => sum + Math.abs((data[at + k] as number) - (below[at + k] as number)), 0);
    };
    // Ink in the middle, none at the edge, wherever it was turned and moved to.
    expect(apart(64, 64)).toBeGreaterThan(60);
    expect(apart(2, 2)).toBeLessThan(60);
    expect(await farCharacter(await paper(true), random(seed))).toEqual(drawn);
    expect(await farCharacter(await paper(true), random(seed + 100))).not.toEqual(drawn);
  }
});

test('class folders of both splits, other classes in each', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'whet-far-'));
  try {
    for (const split of ['train', 'validation']) {
      for (const name of ['one', 'two', 'three']) {
        const place = join(folder, 'in', split, `${split}-${name}`);
        await mkdir(place, { recursive: true });
        for (let i = 0; i < 3; i++) await writeFile(join(place, `${i}.png`), await paper(i % 2 === 0));
      }
    }
    const preprocessing = omniglotPreprocessing(32);
    const out = join(folder, 'out');
    const made = await makeFarCharacters({ data: join(folder, 'in'), out, classes: 2, preprocessing });
    expect(made).toEqual({ train: 2, validation: 2 });
    for (const split of ['train', 'validation']) {
      const classes = await readdir(join(out, split));
      expect(classes).toHaveLength(2);
      for (const name of classes) {
        expect(name.startsWith(split)).toBe(true);
        expect(await readdir(join(out, split, name))).toEqual(['0.webp', '1.webp', '2.webp']);
      }
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Preprocessing } from '@whet/runtime';
import { generatorFor, type Random } from '@whet/trainer';
import sharp from 'sharp';
import { openData, recogniseData } from 'whet';

// Characters as hard as photographs of things that a network does not know: each picture is turned and sheared, in colours of its own, on a gradient
// with noise, so that a class is a shape alone. For learning where to learn (docs/where-it-pays.md).

/** Pixels of a side; luminances of ink and paper differ by so many levels of 255 at least. */
const [SIZE, APART] = [128, 60];
type Colour = readonly number[];

const between = (a: number, b: number, share: number): number => a + (b - a) * share;
const luminance = ([r = 0, g = 0, b = 0]: Colour): number => 0.3 * r + 0.6 * g + 0.1 * b;
const colour = (random: Random): Colour => Array.from({ length: 3 }, () => 255 * random.uniform());

/** How a picture is laid: turned by up to 20 degrees, of three quarters to five quarters of its size, sheared, and moved. */
function drawPlace(random: Random, width: number) {
  const turn = (random.uniform() - 0.5) * 0.7;
  const scale = (between(0.75, 1.25, random.uniform()) * width) / SIZE;
  const shear = (random.uniform() - 0.5) * 0.5;
  const [right, down] = [0, 0].map(() => (random.uniform() - 0.5) * 0.2 * SIZE) as [number, number];
  const [cos, sin] = [Math.cos(turn), Math.sin(turn)];
  return {
    /** Of a pixel, from the middle of what is laid. */
    from: (x: number, y: number) => [x - SIZE / 2 - right, y - SIZE / 2 - down] as const,
    /** Where that is in the picture. */
    to: (u: number, v: number) =>
      [
        (cos * u + (shear * cos - sin) * v) * scale + width / 2,
        (sin * u + (shear * sin + cos) * v) * scale + width / 2,
      ] as const,
  };
}

/** Dark ink on light paper, a square, as a picture that is far from it: a WebP file. */
export async function farCharacter(bytes: Uint8Array, random: Random): Promise<Uint8Array> {
  const { data, info } = await sharp(bytes).removeAlpha().greyscale().raw().toBuffer({ resolveWithObject: true });
  const inkAt = (x: number, y: number): number => {
    const [column, row] = [Math.round(x), Math.round(y)];
    if (column < 0 || row < 0 || column >= info.width || row >= info.height) return 0;
    return Number((data[(row * info.width + column) * info.channels] as number) < 128);
  };
  const place = drawPlace(random, info.width);
  let ink = colour(random);
  const paper = colour(random);
  const farther = paper.map((value) => value + (random.uniform() - 0.5) * 90);
  while (Math.abs(luminance(ink) - luminance(paper)) < APART) ink = colour(random);
  const [across, down] = [Math.cos(6.3 * random.uniform()), Math.sin(6.3 * random.uniform())];
  const noise = 10 + 30 * random.uniform();
  const pixels = new Uint8Array(SIZE * SIZE * 3);
  for (let y = 0; y < SIZE; y++) {
    for (let x = 0; x < SIZE; x++) {
      const [u, v] = place.from(x, y);
      const [column, row] = place.to(u, v);
      const corners = [0, 0.5].flatMap((i) => [0, 0.5].map((j) => inkAt(column + i, row + j)));
      const covered = corners.reduce((sum, value) => sum + value, 0) / corners.length;
      const along = 0.5 + (0.5 * (across * u + down * v)) / SIZE;
      for (let k = 0; k < 3; k++) {
        const below = between(paper[k] as number, farther[k] as number, along);
        const value = between(below, ink[k] as number, covered) + noise * random.normal();
        pixels[(y * SIZE + x) * 3 + k] = Math.max(0, Math.min(255, value));
      }
    }
  }
  const picture = sharp(pixels, { raw: { width: SIZE, height: SIZE, channels: 3 } });
  return picture
    .blur(0.5 + 1.2 * random.uniform())
    .webp({ quality: 90 })
    .toBuffer();
}

export interface FarCharactersOptions {
  /** Omniglot, as docs/training.md says where it comes from. */
  readonly data: string;
  readonly out: string;
  /** Of `train`; of `validation` 30 at most. */
  readonly classes: number;
  readonly preprocessing: Preprocessing;
}

/** Writes folders `train` and `validation` of class folders, 20 pictures each. Returns how many classes each has. */
export async function makeFarCharacters({ data, out, classes, preprocessing }: FarCharactersOptions) {
  const counts: Record<string, number> = {};
  const source = await recogniseData(data);
  for (const split of ['train', 'validation'] as const) {
    const files = await openData(source, split, { preprocessing });
    const most = Math.min(split === 'train' ? classes : 30, classes, files.classes.length);
    const chosen = generatorFor(1, `characters${split}`, 0).sample(files.classes.length, most);
    for (const index of chosen) {
      const each = files.classes[index] as (typeof files.classes)[number];
      const folder = join(out, split, each.name.replace(/[^\w-]+/g, '_'));
      await mkdir(folder, { recursive: true });
      for (let i = 0; i < Math.min(20, each.count); i++) {
        const { bytes } = await each.read(i);
        await writeFile(
          join(folder, `${i}.webp`),
          await farCharacter(bytes, generatorFor(2, `characters${each.name}`, i)),
        );
      }
    }
    counts[split] = chosen.length;
  }
  return counts;
}

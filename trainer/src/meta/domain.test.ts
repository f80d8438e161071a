import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, expect, it } from 'vitest';
import { drawTask } from '../data/draw.js';
import type { FileClass, ImageFiles } from '../data/image-files.js';
import { bytesOf } from './bytes-of.test.helper.js';
import { openDomain } from './domain.js';
import { openPrefix } from './prefix.js';

const root = await mkdtemp(join(tmpdir(), 'whet-domain-'));
afterAll(() => rm(root, { recursive: true, force: true }));

const preprocessing = bytesOf(4, 4);

/** Image `i` of class `c` is of one grey, `20 c + i`. */
const files: ImageFiles = {
  name: 'greys',
  split: 'train',
  classes: Array.from(
    { length: 4 },
    (_, c): FileClass => ({
      name: `${c}`,
      count: 6,
      read: async (i) => {
        const raw = { width: 4, height: 4, channels: 1 } as const;
        return {
          bytes: await sharp(new Uint8Array(16).fill(20 * c + i), { raw })
            .png()
            .toBuffer(),
          place: `${c}/${i}`,
        };
      },
    }),
  ),
};

const open = async (shape = { ways: 3, shots: 3, queries: 2 }, perClass?: number) =>
  openDomain(files, {
    prefix: await openPrefix(undefined, [1, 4, 4], [1, 4, 4]),
    madeBy: 'images',
    preprocessing,
    views: 2,
    shape,
    directory: root,
    ...(perClass ? { perClass } : {}),
  });

/** The first pixel of each row. */
const levels = ({ data }: { readonly data: ArrayLike<number> }) =>
  Array.from({ length: data.length / 16 }, (_, i) => Math.round(data[16 * i] as number));

it('gives the rows of the images that were drawn, and views of examples that are alone in their class', async () => {
  const domain = await open();
  for (const shots of [1, 3]) {
    const drawn = drawTask(domain.files, { ways: 3, shots, queries: 2 }, 5, shots);
    const { ways, support, isPrototype, query } = await domain.encoded(drawn);
    const greysOf = (images: readonly { of: number; image: number }[]) =>
      images.map(({ of, image }) => 20 * of + image);
    const own = drawn.classes.flatMap((each) => greysOf(each.support));
    expect(ways).toBe(3);
    expect(levels(support.features).slice(0, 3 * shots)).toEqual(own);
    expect(levels(query.features)).toEqual(drawn.classes.flatMap((each) => greysOf(each.queries)));
    expect([...query.labels]).toEqual([0, 0, 1, 1, 2, 2]);
    expect([...support.labels]).toEqual(shots === 1 ? [0, 1, 2, 0, 0, 1, 1, 2, 2] : [0, 0, 0, 1, 1, 1, 2, 2, 2]);
    expect([...isPrototype]).toEqual(shots === 1 ? [1, 1, 1, 0, 0, 0, 0, 0, 0] : new Array(9).fill(1));
    expect(support.features.shape).toEqual([9, 1, 4, 4]);
  }
  await domain.close();
});

it('says what its tasks lack before anything is encoded', async () => {
  await expect(open({ ways: 5, shots: 1, queries: 1 })).rejects.toThrow(
    'expected at least 5 classes for 5 ways, got 4',
  );
  await expect(open({ ways: 2, shots: 2, queries: 2 }, 3)).rejects.toThrow('got 3');
});

import type { Preprocessing } from '@whet/runtime/images';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { DataError, type SplitName } from './dataset.js';
import { type Domain, DomainSampler, type EpisodeRanges, parseDomains, resizedDomains } from './domains.js';
import { drawTask } from './draw.js';
import type { ImageFiles } from './image-files.js';

const RANGES: EpisodeRanges = { ways: [2, 5], shots: [1, 3], queries: [2, 2] };
const INPUT: Preprocessing = {
  width: 8,
  height: 8,
  channels: 3,
  fit: 'contain',
  background: 255,
  kernel: 'lanczos3',
  invert: false,
  mean: [0, 0, 0],
  std: [1, 1, 1],
};

interface Drawn {
  readonly size?: number;
  readonly grey?: boolean;
  readonly split?: SplitName;
  readonly classes?: number;
  readonly count?: number;
}

/** Image `i` of class `c` is of one grey, `10 c + i`. */
function imageFiles(
  name: string,
  { size = 8, grey = false, split = 'train', classes = 6, count = 5 }: Drawn = {},
): ImageFiles {
  return {
    name,
    split,
    classes: Array.from({ length: classes }, (_, c) => ({
      name: `${name}${c}`,
      count,
      read: async (i) => {
        const level = 10 * c + i;
        const plain = { r: level, g: level, b: level };
        const image = sharp({ create: { width: size, height: size, channels: 3, background: plain } });
        const bytes = await image
          .toColourspace(grey ? 'b-w' : 'srgb')
          .png()
          .toBuffer();
        return { bytes, place: `${name}/${c}/${i}` };
      },
    })),
  };
}

const two = (weight: number): Domain[] => [
  { files: imageFiles('a'), weight: 1 },
  { files: imageFiles('b', { size: 12, grey: true }), weight },
];
const tasks = (sampler: DomainSampler, count: number) => Array.from({ length: count }, (_, i) => sampler.task(i));

describe('parseDomains', () => {
  it('reads folders with and without weights', () => {
    const texts = ['A', 'B:0.5', '../c d/e:2', 'C:\\data', 'a:1:1', 'x:1e-2', 'photos:v2'];
    expect(parseDomains(texts)).toEqual([
      { directory: 'A', weight: 1 },
      { directory: 'B', weight: 0.5 },
      { directory: '../c d/e', weight: 2 },
      { directory: 'C:\\data', weight: 1 },
      { directory: 'a:1', weight: 1 },
      { directory: 'x', weight: 0.01 },
      { directory: 'photos:v2', weight: 1 },
    ]);
  });

  it.each([
    [['A:0'], 'data "A:0": expected a weight above 0, got 0'],
    [['A:-1'], 'data "A:-1": expected a weight above 0, got -1'],
    [['A:1e999'], 'data "A:1e999": expected a weight above 0, got Infinity'],
    [[':2'], 'data ":2": expected a folder before its weight, got none'],
    [[''], 'data: expected a folder, or a folder and its weight, got ""'],
    [['A', 'A:2'], 'data A: expected each folder once, got it twice'],
    [['A', './A/'], 'data ./A/: expected each folder once, got it twice'],
  ])('refuses %j', (texts, message) => {
    expect(() => parseDomains(texts)).toThrow(new DataError(message));
  });
});

describe('DomainSampler', () => {
  it('draws each domain as often as it weighs', () => {
    const drawn = tasks(new DomainSampler(two(3), RANGES, 7), 4000);
    const share = drawn.filter(({ domain }) => domain === 1).length / drawn.length;
    // Four standard deviations of a share of 4,000.
    expect(Math.abs(share - 0.75)).toBeLessThan(4 * Math.sqrt((0.75 * 0.25) / 4000));
  });

  it('draws every shape of the ranges, and nothing outside of them', () => {
    const shapes = tasks(new DomainSampler(two(1), RANGES, 7), 400).map(({ shape }) => JSON.stringify(shape));
    const expected = [2, 3, 4, 5].flatMap((ways) =>
      [1, 2, 3].map((shots) => JSON.stringify({ ways, shots, queries: 2 })),
    );
    expect([...new Set(shapes)].sort()).toEqual(expected.sort());
  });

  it('draws the classes and images that drawTask draws of that domain and shape', () => {
    const domains = two(1);
    for (const [index, { domain, shape, classes }] of tasks(new DomainSampler(domains, RANGES, 3), 20).entries()) {
      const { files } = domains[domain] as Domain;
      expect({ classes }).toEqual(drawTask(files, shape, 3, index));
      expect(classes.every(({ name }) => name.startsWith(files.name))).toBe(true);
    }
  });

  it('draws task by task from seed and index alone', () => {
    const drawn = tasks(new DomainSampler(two(1), RANGES, 3), 30);
    expect(new DomainSampler(two(1), RANGES, 3).task(29)).toEqual(drawn[29]);
    expect(tasks(new DomainSampler(two(1), RANGES, 4), 30)).not.toEqual(drawn);
  });

  it('takes ranges of a domain’s own', () => {
    const own: EpisodeRanges = { ways: [6, 6], shots: [1, 1], queries: [4, 4] };
    const [a, b] = two(1) as [Domain, Domain];
    for (const { domain, shape } of tasks(new DomainSampler([a, { ...b, ranges: own }], RANGES, 1), 50)) {
      if (domain === 1) expect(shape).toEqual({ ways: 6, shots: 1, queries: 4 });
      else expect(shape.ways).toBeLessThan(6);
    }
  });

  it.each<[string, Domain[], Partial<EpisodeRanges>, string]>([
    ['nothing', [], {}, 'domains: expected a data set or more, got none'],
    ['a weight of 0', two(0), {}, 'b: expected a weight above 0, got 0'],
    ['one name twice', [...two(1), ...two(1)], {}, 'domains: expected data sets of different names, got a twice'],
    [
      'two splits',
      [...two(1), { files: imageFiles('c', { split: 'test' }), weight: 1 }],
      {},
      'c: expected the split train as of a, got test',
    ],
    ['a range backwards', two(1), { ways: [5, 2] }, 'a: ways: expected a range from the least to the most, got 5 to 2'],
    ['no way', two(1), { ways: [0, 2] }, 'a, train: expected ways to be an integer of at least 1, got 0'],
    ['half a shot', two(1), { shots: [1, 2.5] }, 'a, train: expected shots to be an integer of at least 1, got 2.5'],
    [
      'too few classes',
      two(1),
      { ways: [2, 7] },
      'a, train: expected at least 7 classes for 7 ways, got 6; --ways 6 would do',
    ],
    [
      'too few images',
      [{ files: imageFiles('few', { count: 4 }), weight: 1 }],
      {},
      'few, train: class few0: expected at least 5 images for 3 shots and 2 queries, got 4; --queries 1 would do',
    ],
  ])('refuses %s', (_, domains, ranges, message) => {
    expect(() => new DomainSampler(domains, { ...RANGES, ...ranges }, 1)).toThrow(new DataError(message));
  });
});

describe('resizedDomains', () => {
  it('names a file that is no image', async () => {
    const broken = imageFiles('broken');
    const classes = broken.classes.map((each) => ({
      ...each,
      read: async () => ({ bytes: new Uint8Array(9), place: 'broken/x.png' }),
    }));
    const files = { ...broken, classes };
    const message = 'broken/x.png: expected a PNG, JPEG, WebP, GIF, TIFF or AVIF image, got 9 bytes';
    await expect(resizedDomains([{ files }], INPUT)).rejects.toThrow(message);
    await expect(resizedDomains([{ files }], INPUT)).rejects.toThrow(DataError);
  });

  it('names those whose images are of another size', async () => {
    expect(await resizedDomains(two(1), INPUT)).toEqual([{ name: 'b', width: 12, height: 12 }]);
  });

  it('refuses a network of channels that no picture has, naming the data set', async () => {
    const four = { ...INPUT, channels: 4, mean: [0, 0, 0, 0], std: [1, 1, 1, 1] };
    const message = 'a: expected images of 4 channels, got pictures, which have 1 or 3';
    await expect(resizedDomains(two(1), four)).rejects.toThrow(new DataError(message));
  });
});

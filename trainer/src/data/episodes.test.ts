import type { Preprocessing } from '@whet/runtime/images';
import { describe, expect, test } from 'vitest';
import type { Augmentation } from './augment.js';
import { DataError, type Dataset, type ImageClass } from './dataset.js';
import { drawTask, type EpisodeShape } from './draw.js';
import { type Episode, EpisodeSampler, type EpisodeSamplerOptions } from './episodes.js';
import { omniglotPreprocessing } from './omniglot.js';

const SIZE = 6;
const PLAIN: EpisodeSamplerOptions = { rotations: false, seed: 1 };
const SHAPE: EpisodeShape = { ways: 4, shots: 2, queries: 3 };

/** Every image of the set differs from every other and from its own turns: its first three bytes say which it is. */
function makeDataset(form: Partial<Preprocessing> = {}, classes = 8, count = 9): Dataset {
  const preprocessing: Preprocessing = { ...omniglotPreprocessing(SIZE), ...form };
  const { width, height, channels } = preprocessing;
  const make = (part: number, name: string): ImageClass[] =>
    Array.from({ length: classes }, (_, c) => {
      const pixels = Uint8Array.from({ length: count * width * height * channels }, (_, i) => (i * 37 + c * 11) % 256);
      for (let i = 0; i < count; i++) pixels.set([part, c, i], i * width * height * channels);
      return { name: `${name}${c}`, count, pixels };
    });
  const splits = { train: make(10, 'train'), validation: make(20, 'validation'), test: make(30, 'test') };
  return { name: 'toy', preprocessing, splits };
}

/** Images of an episode as 0..255, one array each. */
function imagesOf(tensor: Float32Array, length = SIZE * SIZE): number[][] {
  const images = Array.from({ length: tensor.length / length }, (_, i) =>
    tensor.subarray(i * length, (i + 1) * length),
  );
  return images.map((image) => Array.from(image, (value) => Math.round((1 - value) * 255)));
}

/** A quarter turn counterclockwise. */
function turn(image: readonly number[]): number[] {
  return image.map((_, i) => image[(i % SIZE) * SIZE + (SIZE - 1 - Math.floor(i / SIZE))] as number);
}

function originals(episode: Episode, dataset: Dataset): { way: number; id: string; supports: boolean }[] {
  const { shots, queries } = SHAPE;
  const describeAll = (tensor: Float32Array, each: number, supports: boolean) =>
    imagesOf(tensor).map((image, i) => {
      const way = Math.floor(i / each);
      const [name = '', degrees = '0'] = (episode.classes[way] as string).split('@');
      let upright: readonly number[] = image;
      for (let k = Number(degrees); k < 360 && k > 0; k += 90) upright = turn(upright);
      const source = dataset.splits.train.find((c) => c.name === name) as ImageClass;
      const at = upright[2] as number;
      expect(upright).toEqual([...source.pixels.subarray(at * SIZE * SIZE, (at + 1) * SIZE * SIZE)]);
      return { way, id: `${name}/${at}`, supports };
    });
  return [...describeAll(episode.supportImages, shots, true), ...describeAll(episode.queryImages, queries, false)];
}

describe('EpisodeSampler', () => {
  const dataset = makeDataset();

  test('gives the same episode for the same seed, split, index and shape', () => {
    const one = new EpisodeSampler(dataset, 'train', PLAIN);
    one.episode(SHAPE, 5);
    const episode = one.episode(SHAPE, 6);
    expect(episode).toEqual(new EpisodeSampler(dataset, 'train', PLAIN).episode(SHAPE, 6));
    expect(episode).not.toEqual(one.episode(SHAPE, 7));
    expect(episode).not.toEqual(new EpisodeSampler(dataset, 'train', { ...PLAIN, seed: 2 }).episode(SHAPE, 6));
  });

  test('draws other classes and drawings for another split', () => {
    const names = (split: 'train' | 'test') => new EpisodeSampler(dataset, split, PLAIN).episode(SHAPE, 0).classes;
    expect(names('train').map((name) => name.replace('train', ''))).not.toEqual(
      names('test').map((name) => name.replace('test', '')),
    );
    expect(names('test').every((name) => name.startsWith('test'))).toBe(true);
  });

  test.each([false, true])('is class-major with labels to match, rotations %s', (rotations) => {
    const sampler = new EpisodeSampler(dataset, 'train', { rotations, seed: 4 });
    const turned = new Set<string>();
    for (let index = 0; index < 50; index++) {
      const episode = sampler.episode(SHAPE, index);
      expect([...episode.supportLabels]).toEqual([0, 0, 1, 1, 2, 2, 3, 3]);
      expect([...episode.queryLabels]).toEqual([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]);
      expect(new Set(episode.classes).size).toBe(4);
      const drawn = originals(episode, dataset);
      for (let way = 0; way < 4; way++) {
        const ids = drawn.filter((image) => image.way === way).map((image) => image.id);
        expect(new Set(ids).size).toBe(5);
      }
      for (const name of episode.classes) turned.add(name.split('@')[1] ?? '0');
    }
    expect([...turned].sort()).toEqual(rotations ? ['0', '180', '270', '90'] : ['0']);
  });

  test('draws every class, and every image as support, about as often', () => {
    const sampler = new EpisodeSampler(dataset, 'train', PLAIN);
    const classes = new Map<string, number>();
    const supports = new Map<string, number>();
    for (let index = 0; index < 1800; index++) {
      const episode = sampler.episode(SHAPE, index);
      for (const name of episode.classes) classes.set(name, (classes.get(name) ?? 0) + 1);
      for (const image of imagesOf(episode.supportImages)) {
        const id = `${image[1]}/${image[2]}`;
        supports.set(id, (supports.get(id) ?? 0) + 1);
      }
    }
    expect(classes.size).toBe(8);
    for (const count of classes.values()) expect(Math.abs(count - 900)).toBeLessThan(100);
    expect(supports.size).toBe(72);
    for (const count of supports.values()) expect(Math.abs(count - 200)).toBeLessThan(65);
  });

  test('turns counterclockwise; four quarter turns are none', () => {
    const single = makeDataset({}, 1);
    const sampler = new EpisodeSampler(single, 'train', { rotations: true, seed: 9 });
    expect(sampler.classCount).toBe(4);
    const { classes, supportImages } = sampler.episode({ ways: 4, shots: 9, queries: 0 }, 0);
    expect([...classes].sort()).toEqual(['train0', 'train0@180', 'train0@270', 'train0@90']);
    const of = (name: string) => {
      const way = classes.indexOf(name);
      return imagesOf(supportImages).slice(way * 9, way * 9 + 9);
    };
    const key = (images: number[][]) => images.map(String).sort();
    const upright = of('train0');
    expect(key(of('train0@90'))).toEqual(key(upright.map(turn)));
    expect(key(of('train0@180'))).toEqual(key(upright.map((i) => turn(turn(i)))));
    expect(key(of('train0@270').map(turn))).toEqual(key(upright));
    // Of one image by hand: what stood at the right edge stands on top.
    const image = Array.from({ length: SIZE * SIZE }, (_, i) => i);
    expect(turn(image).slice(0, SIZE)).toEqual(image.filter((_, i) => i % SIZE === SIZE - 1));
  });

  test('writes channels one after the other and standardises each', () => {
    const colour = makeDataset({ channels: 3, width: 5, height: 4, invert: false, mean: [0, 0.5, 1], std: [1, 2, 4] });
    const { classes, supportImages } = new EpisodeSampler(colour, 'train', PLAIN).episode(
      { ways: 2, shots: 9, queries: 0 },
      0,
    );
    const source = colour.splits.train.find((c) => c.name === classes[1]) as ImageClass;
    const image = supportImages.subarray(9 * 60, 10 * 60);
    const at = Math.round(((image[40] as number) * 4 + 1) * 255); // pixel 0, channel 2 holds the image's number
    for (let i = 0; i < 20; i++) {
      for (let c = 0; c < 3; c++) {
        const v = (source.pixels[at * 60 + i * 3 + c] as number) / 255;
        expect(image[c * 20 + i]).toBeCloseTo((v - c / 2) / 2 ** c, 6);
      }
    }
  });

  test('says what is missing', () => {
    const sampler = new EpisodeSampler(dataset, 'test', PLAIN);
    expect(() => sampler.episode({ ways: 9, shots: 1, queries: 1 }, 0)).toThrow(
      'toy, test: expected at least 9 classes for 9 ways, got 8',
    );
    expect(() => sampler.episode({ ways: 2, shots: 5, queries: 5 }, 0)).toThrow(
      'toy, test: class test0: expected at least 10 images for 5 shots and 5 queries, got 9',
    );
    expect(() => sampler.episode({ ways: 2, shots: 0, queries: 5 }, 0)).toThrow(DataError);
    expect(() => sampler.episode({ ways: 2.5, shots: 1, queries: 5 }, 0)).toThrow('expected ways to be an integer');
    const wide = makeDataset({ width: 5 });
    expect(() => new EpisodeSampler(wide, 'train', { ...PLAIN, rotations: true })).toThrow(
      'toy: expected square images to turn, got 5 x 6',
    );
    expect(() => new EpisodeSampler(makeDataset({}, 0), 'train', PLAIN)).toThrow(
      'toy: expected classes in train, got none',
    );
    const damaged: Dataset = { ...dataset, preprocessing: { ...dataset.preprocessing, width: 7 } };
    expect(() => new EpisodeSampler(damaged, 'train', PLAIN)).toThrow('class train0 of train: expected 378 bytes');
  });
});

test('augmentation mirrors half of the images, each by itself', () => {
  const dataset = makeDataset();
  const sampler = (augment: Augmentation) =>
    new EpisodeSampler(dataset, 'train', { rotations: false, seed: 1, augment });
  const shape = { ways: 4, shots: 7, queries: 2 };
  const upright = imagesOf(sampler({}).episode(shape, 0).supportImages);
  const mirrored = imagesOf(sampler({ mirror: true }).episode(shape, 0).supportImages);
  const turned = mirrored.filter((image, i) => {
    const own = upright[i] as number[];
    if (JSON.stringify(image) === JSON.stringify(own)) return false;
    expect(image).toEqual(own.map((_, at) => own[at - (at % SIZE) + SIZE - 1 - (at % SIZE)]));
    return true;
  });
  expect(turned.length).toBeGreaterThan(6);
  expect(turned.length).toBeLessThan(22);
});

describe('class augmentation', () => {
  /** All images of a class are the same drawing, so that what differs between them is the distortion. */
  const alike: Dataset = (() => {
    const dataset = makeDataset();
    const train = dataset.splits.train.map(({ name, count, pixels }) => {
      const first = pixels.slice(0, SIZE * SIZE);
      return {
        name,
        count,
        pixels: Uint8Array.from({ length: pixels.length }, (_, i) => first[i % first.length] as number),
      };
    });
    return { ...dataset, splits: { ...dataset.splits, train } };
  })();
  const classAugment = { mirror: true, degrees: 20, shear: 0.3, stretch: 0.25, elastic: 1 };
  const sampler = (options: Partial<EpisodeSamplerOptions>) =>
    new EpisodeSampler(alike, 'train', { rotations: false, seed: 1, ...options });

  test('distorts all images of a class alike, and each class in a way of its own', () => {
    const episode = sampler({ classAugment }).episode(SHAPE, 3);
    const plain = sampler({}).episode(SHAPE, 3);
    expect(episode.classes).toEqual(plain.classes);
    const support = imagesOf(episode.supportImages);
    const query = imagesOf(episode.queryImages);
    for (let way = 0; way < SHAPE.ways; way++) {
      const [first, ...others] = [
        ...support.slice(way * SHAPE.shots, (way + 1) * SHAPE.shots),
        ...query.slice(way * SHAPE.queries, (way + 1) * SHAPE.queries),
      ];
      for (const other of others) expect(other).toEqual(first);
      expect(first).not.toEqual(imagesOf(plain.supportImages)[way * SHAPE.shots]);
    }
    expect(sampler({ classAugment }).episode(SHAPE, 3)).toEqual(episode);
  });

  test('draws anew in every episode', () => {
    // Two episodes of all classes: the same class by name, another by its distortion.
    const ways = alike.splits.train.length;
    const firstOf = (index: number): number[] | undefined => {
      const { classes, supportImages } = sampler({ classAugment }).episode({ ways, shots: 1, queries: 1 }, index);
      return imagesOf(supportImages)[classes.indexOf('train0')];
    };
    expect(firstOf(0)).not.toEqual(firstOf(1));
  });

  test('is mirrored whole', () => {
    const everyClass = { ways: alike.splits.train.length, shots: 1, queries: 1 };
    const { classes, supportImages } = sampler({ classAugment: { mirror: true } }).episode(everyClass, 0);
    const plain = sampler({}).episode(everyClass, 0);
    const mirror = (image: number[]) => image.map((_, i) => image[i - (i % SIZE) + SIZE - 1 - (i % SIZE)]);
    const kinds = imagesOf(supportImages).map((image, i) => {
      const upright = imagesOf(plain.supportImages)[i] as number[];
      if (JSON.stringify(image) === JSON.stringify(upright)) return 'upright';
      expect(image).toEqual(mirror(upright));
      return 'mirrored';
    });
    expect(classes).toEqual(plain.classes);
    expect(new Set(kinds)).toEqual(new Set(['upright', 'mirrored']));
  });

  test('refuses bounds that make no sense, by name', () => {
    expect(() => sampler({ classAugment: { stretch: -1 } })).toThrow(
      'classAugment.stretch: expected 0 or more, got -1',
    );
  });
});

describe('augmentation', () => {
  const dataset = makeDataset();
  const withAugment = (augment: EpisodeSamplerOptions['augment'], rotations = false) =>
    new EpisodeSampler(dataset, 'train', { rotations, seed: 1, ...(augment && { augment }) });

  test('of no extent changes nothing, turned or not', () => {
    for (const rotations of [false, true]) {
      const plain = withAugment(undefined, rotations).episode(SHAPE, 3);
      const still = withAugment({}, rotations).episode(SHAPE, 3);
      expect(still.classes).toEqual(plain.classes);
      expect(imagesOf(still.supportImages)).toEqual(imagesOf(plain.supportImages));
      expect(imagesOf(still.queryImages)).toEqual(imagesOf(plain.queryImages));
    }
  });

  test('draws the same drawings, distorted, and the same way every time', () => {
    const augment = { shift: 1, degrees: 10, scale: 0.1 };
    const plain = withAugment(undefined).episode(SHAPE, 3);
    const episode = withAugment(augment).episode(SHAPE, 3);
    expect(episode.classes).toEqual(plain.classes);
    expect(episode.supportImages).not.toEqual(plain.supportImages);
    expect(episode).toEqual(withAugment(augment).episode(SHAPE, 3));
    for (const value of episode.supportImages) {
      expect(value).toBeGreaterThanOrEqual(-1e-6);
      expect(value).toBeLessThanOrEqual(1 + 1e-6);
    }
  });

  test('distorts each image by itself, moves ink by the shift and fills with background', () => {
    const size = 21;
    const pixels = new Uint8Array(8 * size * size).fill(255);
    for (let i = 0; i < 8; i++) pixels[i * size * size + 10 * size + 10] = 0;
    const preprocessing = { ...dataset.preprocessing, width: size, height: size };
    const dots: Dataset = {
      name: 'dots',
      preprocessing,
      splits: { train: [{ name: 'dot', count: 8, pixels }], validation: [], test: [] },
    };
    const sampler = new EpisodeSampler(dots, 'train', { rotations: false, seed: 1, augment: { shift: 4 } });
    const places = new Set<string>();
    for (let index = 0; index < 20; index++) {
      const { supportImages } = sampler.episode({ ways: 1, shots: 8, queries: 0 }, index);
      for (let i = 0; i < 8; i++) {
        const image = supportImages.subarray(i * size * size, (i + 1) * size * size);
        let [ink, x, y] = [0, 0, 0];
        for (const [at, value] of image.entries()) {
          ink += value;
          x += value * ((at % size) - 10);
          y += value * (Math.floor(at / size) - 10);
        }
        expect(ink).toBeCloseTo(1, 4);
        expect(Math.max(Math.abs(x), Math.abs(y))).toBeLessThanOrEqual(4 + 1e-4);
        places.add(`${x.toFixed(3)},${y.toFixed(3)}`);
      }
    }
    expect(places.size).toBeGreaterThan(150);
  });

  test('refuses bounds that leave no image', () => {
    expect(() => withAugment({ scale: 1 })).toThrow('augment.scale: expected 0 or more and below 1, got 1');
    expect(() => withAugment({ shift: -1 })).toThrow(DataError);
    expect(() => withAugment({ degrees: Number.NaN })).toThrow(DataError);
  });
});

test('drawTask draws the images of an episode, for who reads them himself', () => {
  const dataset = makeDataset();
  const sampler = new EpisodeSampler(dataset, 'train', PLAIN);
  const data = { name: 'toy', split: 'train', classes: dataset.splits.train } as const;
  for (const index of [0, 1, 7]) {
    const { classes } = drawTask(data, SHAPE, 1, index);
    const { supportImages, queryImages, classes: names } = sampler.episode(SHAPE, index);
    expect(classes.map(({ name }) => name)).toEqual(names);
    const marks = (images: Float32Array) => imagesOf(images).map((image) => image.slice(1, 3));
    const drawn = (part: 'support' | 'queries') => classes.flatMap((each) => each[part]);
    expect(drawn('support').map(({ of, image }) => [of, image])).toEqual(marks(supportImages));
    expect(drawn('queries').map(({ of, image }) => [of, image])).toEqual(marks(queryImages));
  }
  expect(() => drawTask(data, { ...SHAPE, ways: 9 }, 1, 0)).toThrow(
    'toy, train: expected at least 9 classes for 9 ways, got 8',
  );
  expect(() => drawTask(data, { ...SHAPE, shots: 8 }, 1, 0)).toThrow('class train0: expected at least 11 images');
});

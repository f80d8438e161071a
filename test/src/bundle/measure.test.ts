import type { AdaptOptions, Bundle, Example } from '@whet/runtime';
import { decodeImage } from '@whet/runtime/images';
import { loadBundle } from '@whet/runtime/node';
import { supportCheckpoint, TINY_SIZE, tinyCheckpoint, writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import {
  type Drawn,
  drawTasks,
  type FileClass,
  generatorFor,
  type ImageFiles,
  measureBundle,
  pairedDifference,
  type Row,
} from '@whet/trainer';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileBytes } from '../compile/compile-helpers.js';
import { gemm, smallClassifier } from '../compile/small-classifier.js';
import { BRIGHT, photographs } from './photographs.js';

const COUNT = 6;
const TASKS = 4;

/** A class of noisy copies of one drawing. */
function noisyClass(number: number): FileClass {
  const random = generatorFor(3, 'test', number);
  const drawing = Array.from({ length: TINY_SIZE ** 2 }, () => (random.uniform() < 0.3 ? 0 : 255));
  const copies = Array.from({ length: COUNT }, () =>
    Uint8Array.from(drawing, (value) => (random.uniform() < 0.25 ? 255 * random.integer(2) : value)),
  );
  const raw = { width: TINY_SIZE, height: TINY_SIZE, channels: 1 } as const;
  return {
    name: `class ${number}`,
    count: COUNT,
    read: async (i) => ({
      bytes: await sharp(copies[i] as Uint8Array, { raw })
        .toColourspace('b-w')
        .png()
        .toBuffer(),
      place: `class ${number}, image ${i}`,
    }),
  };
}

/** A class of plain pictures of one brightness. */
const plainClass = (light: number): FileClass => ({
  name: `light ${light}`,
  count: COUNT,
  read: async (i) => {
    const create = {
      width: TINY_SIZE,
      height: TINY_SIZE,
      channels: 3,
      background: { r: light, g: light, b: light },
    } as const;
    return { bytes: await sharp({ create }).png().toBuffer(), place: `light ${light}, image ${i}` };
  },
});

const files: ImageFiles = { name: 'noisy', split: 'test', classes: [0, 1, 2, 3, 4].map(noisyClass) };
const shape = { ways: 4, shots: 2, queries: 3 };
const rowsOf = (...patterns: readonly string[]): Row[] =>
  patterns.map((pattern) => ({ name: pattern, adapt: { pattern } }));
const settings = { files, shapes: [shape], tasks: TASKS, command: () => '' };

/** Accuracies of each task, of images that are given to the bundle as they are. */
async function byHand(bundle: Bundle, options: AdaptOptions, own = shape): Promise<number[]> {
  const accuracies: number[] = [];
  const { preprocessing } = bundle.manifest;
  const imageOf = async ({ of, image }: { of: number; image: number }) =>
    decodeImage((await (files.classes[of] as FileClass).read(image)).bytes, preprocessing);
  for (const { classes } of drawTasks({ bundle, files, tasks: TASKS }, own)) {
    const examples: Example[] = [];
    for (const { name, support } of classes) {
      for (const drawn of support) examples.push({ label: name, image: await imageOf(drawn) });
    }
    const { profile } = await bundle.adapt(examples, options);
    let hits = 0;
    for (const { name, queries } of classes) {
      for (const drawn of queries) {
        const [prediction] = await bundle.predict(profile, [await imageOf(drawn)]);
        if (prediction?.label === name) hits++;
      }
    }
    accuracies.push(hits / (own.ways * own.queries));
  }
  return accuracies;
}

describe.each([
  ['population', () => tinyCheckpoint(), ['head', 'full', 'sparse'], 1],
  ['layer', () => tinyCheckpoint('prototype', { normalization: 'layer' }), ['head', 'from-block2'], 2],
  ['support', () => supportCheckpoint(), ['head'], 0],
] as const)('measuring a bundle with %s normalization', (_normalization, checkpoint, patterns, frozenParts) => {
  let bundle: Bundle;
  beforeAll(async () => {
    bundle = await loadBundle(await writeTinyBundle(checkpoint()), { threads: 1 });
  });
  afterAll(() => bundle.release());

  it('has the accuracies of images that are given as they are, and encodes each once', async () => {
    let encoded = 0;
    const counting = new Proxy(bundle, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        return (...args: [never, never]) => {
          if (name === 'encode') encoded += (args[0] as unknown[]).length;
          return value.apply(target, args);
        };
      },
    });
    const seen: Drawn[] = [];
    const rows = rowsOf(...patterns);
    const [measured = []] = await measureBundle({
      ...{ ...settings, bundle: counting, rows },
      onDrawn: (drawn) => seen.push(drawn),
    });
    expect(seen).toMatchObject([{ classes: 5, images: 5 * COUNT, frozenParts, bytesOnDisk: 0 }]);
    expect(seen[0]?.drawn).toBeLessThanOrEqual(5 * COUNT);
    expect(encoded).toBe((seen[0]?.drawn ?? 0) * frozenParts);
    expect(measured.map(({ name }) => name)).toEqual(patterns);
    for (const { name, accuracies, measurement, start, gain, loss, calibration } of measured) {
      const expected = await byHand(bundle, { pattern: name });
      expect(accuracies).toEqual(expected);
      const zero = await byHand(bundle, { pattern: name, steps: 0 });
      expect(start.mean).toBeCloseTo(zero.reduce((a, b) => a + b) / TASKS, 12);
      expect(gain).toEqual(pairedDifference(expected, zero));
      expect(measurement).toMatchObject({ ...shape, tasks: TASKS, dataset: 'noisy', split: 'test', steps: 3 });
      expect(measurement.accuracy).toBeGreaterThan(0.3);
      for (const error of Object.values(calibration)) expect(error).toBeGreaterThan(0);
      expect(loss?.end).toBeLessThanOrEqual(loss?.start as number);
    }
  });

  it('finds the same where what is kept of images stands on the disk', async () => {
    const rows = rowsOf(...patterns);
    const [[kept], [stored]] = (await Promise.all(
      [undefined, 1000].map(async (keptBytes) => {
        const measured = await measureBundle({ ...settings, bundle, rows, ...(keptBytes ? { keptBytes } : {}) });
        return measured.map((ofShape) => ofShape.map(({ measurement, ...figures }) => figures));
      }),
    )) as [object[], object[]];
    expect(stored).toEqual(kept);
  });
});

describe('rows and shapes', () => {
  let bundle: Bundle;
  beforeAll(async () => {
    bundle = await loadBundle(await writeTinyBundle(), { threads: 1 });
  });
  afterAll(() => bundle.release());

  it('may be what chooses a pattern, and have steps and rates of their own', async () => {
    const rows: Row[] = [
      ...rowsOf('full'),
      { name: 'default', adapt: {} },
      { name: 'auto', adapt: { pattern: 'auto' }, start: { pattern: 'head' } },
      { name: 'far', adapt: { pattern: 'head', steps: 7, rate: 0.5 } },
    ];
    const shapes = [shape, { ...shape, ways: 3, shots: 1 }];
    const measured = await measureBundle({ ...settings, bundle, rows, shapes });
    expect(measured.map(([first]) => first?.measurement)).toMatchObject(shapes);
    expect(measured[0]?.[2]?.accuracies).toEqual(await byHand(bundle, { pattern: 'auto' }));
    for (const [full, byDefault, auto, far] of measured) {
      expect(byDefault).toMatchObject({ name: 'default', startOf: 'full' });
      expect(auto).toMatchObject({ name: 'auto', start: full?.start, startOf: 'full' });
      expect(far?.measurement.steps).toBe(7);
    }
  });

  it('have views of examples that are alone in their class, where the pattern asks about them', async () => {
    const patterns = { all: ['all'] };
    const { directory } = await compileBytes(smallClassifier(gemm), { patterns, steps: 5, rate: 0.05, views: 4 });
    const viewing = await loadBundle(directory, { threads: 1 });
    expect(viewing.manifest.patterns['all']?.views).toBe(4);
    for (const shots of [1, 2]) {
      const own = { ...shape, shots };
      const [[all] = []] = await measureBundle({ ...settings, bundle: viewing, rows: rowsOf('all'), shapes: [own] });
      const zero = await byHand(viewing, { pattern: 'all', steps: 0 }, own);
      expect(all?.accuracies).toEqual(await byHand(viewing, { pattern: 'all' }, own));
      expect(all?.gain).toEqual(pairedDifference(all?.accuracies ?? [], zero));
      expect(all?.accuracies).not.toEqual(zero);
    }
    await viewing.release();
  });

  it('have steps spared where views leave them nothing to learn: counted, with images encoded once but for one of each class', async () => {
    const patterns = { head: ['none'], last: ['last:1'] };
    const form = { rate: 0.01, mean: [0.5], std: [0.5 / BRIGHT] };
    const { directory } = await compileBytes(photographs(5).model, { patterns, ...form });
    const sparing = await loadBundle(directory, { threads: 1 });
    let pictures = 0;
    const counting = new Proxy(sparing, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        return (...args: [never, never]) => {
          if (name === 'adapt') {
            pictures += (args[0] as Example[]).filter(({ image }) => ArrayBuffer.isView(image)).length;
          }
          return value.apply(target, args);
        };
      },
    });
    const plain = { ...files, classes: [0, 255].map(plainClass) };
    const rows: Row[] = [
      ...rowsOf('last'),
      { name: 'always', adapt: { pattern: 'last', always: true } },
      ...rowsOf('head'),
    ];
    const shapes = [{ ways: 2, shots: 3, queries: 2 }];
    const given = { ...settings, bundle: counting, files: plain, rows, shapes };
    const [[last, always, head] = []] = await measureBundle(given);
    expect([last, always, head].map((row) => row?.spared)).toEqual([TASKS, 0, 0]);
    expect([last, always].map((row) => row?.measurement.steps)).toEqual([0, 10]);
    expect(pictures).toBe(2 * TASKS);
    const [[grainy] = []] = await measureBundle({ ...settings, bundle: sparing, rows: rowsOf('last') });
    expect(grainy?.spared).toBe(0);
    expect(grainy?.accuracies).toEqual(await byHand(sparing, { pattern: 'last' }));
    await sparing.release();
  });

  it('refuse to take steps always of what chooses a pattern, before anything is encoded', async () => {
    const rows: Row[] = [...rowsOf('head'), { name: 'auto', adapt: { pattern: 'auto', always: true } }];
    const onEncoded = () => expect.unreachable();
    await expect(measureBundle({ ...settings, bundle, rows, onEncoded })).rejects.toThrow(
      'expected a pattern by its name, as its steps are always taken, got "auto", which takes them only where they pay',
    );
  });

  it('refuse more than the data or the bundle has, before anything is encoded', async () => {
    const rows = rowsOf('head');
    const measure = (more: Partial<typeof shape>, some: Partial<ImageFiles> = {}) =>
      measureBundle({ ...settings, bundle, rows, files: { ...files, ...some }, shapes: [{ ...shape, ...more }] });
    await expect(measure({ ways: 6 })).rejects.toThrow('noisy, test: expected at least 6 classes for 6 ways, got 5');
    await expect(measure({}, { classes: [] })).rejects.toThrow('noisy, test: expected classes, got none');
    await expect(measure({ shots: 5 })).rejects.toThrow('class class 0: expected at least 8 images for 5 shots');
    await expect(measure({ ways: 1 })).rejects.toThrow('bundle "tiny": expected 2 to 100 classes, got 1');
    await expect(measure({ shots: 126 })).rejects.toThrow(
      'bundle "tiny": expected at most 500 examples, got 504, 126 shots of 4 ways',
    );
    const many = Array.from({ length: 101 }, (_, i) => noisyClass(i));
    await expect(measure({ ways: 101 }, { classes: many })).rejects.toThrow('expected 2 to 100 classes, got 101');
  });

  it('name an image that cannot be read', async () => {
    const broken = { name: 'broken', count: COUNT, read: async () => ({ bytes: new Uint8Array(9), place: 'x/1.png' }) };
    const some = { ...files, classes: [...files.classes, broken] };
    await expect(measureBundle({ ...settings, bundle, rows: rowsOf('head'), files: some })).rejects.toThrow(
      'x/1.png: expected a PNG, JPEG, WebP, GIF, TIFF or AVIF image, got 9 bytes that are not an image',
    );
  });
});

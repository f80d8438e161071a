import { type Bundle, loadBundle } from '@whet/runtime/node';
import { supportCheckpoint, TINY_SIZE, tinyCheckpoint, writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import { type Dataset, generatorFor, type ImageClass, measureBundle, omniglotPreprocessing } from '@whet/trainer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const COUNT = 6;

/** Classes of noisy copies of one drawing each. */
function classes(split: string): ImageClass[] {
  return Array.from({ length: 5 }, (_, c) => {
    const random = generatorFor(3, split, c);
    const drawing = Array.from({ length: TINY_SIZE ** 2 }, () => (random.uniform() < 0.3 ? 0 : 255));
    const pixels = Uint8Array.from({ length: COUNT * TINY_SIZE ** 2 }, (__, i) =>
      random.uniform() < 0.25 ? 255 * random.integer(2) : (drawing[i % drawing.length] as number),
    );
    return { name: `${split}${c}`, count: COUNT, pixels };
  });
}

const dataset: Dataset = {
  name: 'noisy',
  preprocessing: omniglotPreprocessing(TINY_SIZE),
  splits: { train: [], validation: classes('validation'), test: classes('test') },
};

const shape = { split: 'test', ways: 4, shots: 2, queries: 3, tasks: 20, command: '' } as const;

describe.each([
  ['population', () => tinyCheckpoint(), ['head', 'full']],
  ['layer', () => tinyCheckpoint('prototype', { normalization: 'layer' }), ['head', 'from-block2']],
  ['support', () => supportCheckpoint(), ['head']],
] as const)('measuring a bundle with %s normalization', (normalization, checkpoint, patterns) => {
  let bundle: Bundle;
  beforeAll(async () => {
    bundle = await loadBundle(await writeTinyBundle(checkpoint()), { threads: 1 });
  });
  afterAll(() => bundle.release());

  /** A bundle that counts what is asked of it. */
  function counting() {
    const counts = { encoded: 0, adaptedFromImages: 0 };
    const counted = new Proxy(bundle, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        return (...args: [never, never]) => {
          if (name === 'encode') counts.encoded += (args[0] as unknown[]).length;
          const [first] = (name === 'adapt' ? args[0] : []) as { image: unknown }[];
          if (first && ArrayBuffer.isView(first.image)) counts.adaptedFromImages++;
          return value.apply(target, args);
        };
      },
    });
    return { counts, counted };
  }

  it.each(patterns)('finds the same accuracy of %s whether images are encoded again or not', async (pattern) => {
    const [every, some] = [counting(), counting()];
    const whole = await measureBundle({ ...shape, pattern, dataset, bundle: every.counted, timedTasks: 20 });
    const kept = await measureBundle({ ...shape, pattern, dataset, bundle: some.counted, timedTasks: 2 });
    const { milliseconds: _, ...figures } = whole;
    const { milliseconds, ...others } = kept;
    expect(others).toEqual(figures);
    expect(whole.accuracy).toBeGreaterThan(0.3);
    expect(milliseconds.adapt).toBeGreaterThan(0);
    const images = 4 * (2 + 3);
    if (normalization === 'support') {
      expect(some.counts).toEqual(every.counts);
    } else if (pattern === 'full') {
      expect(some.counts.encoded).toBe(every.counts.encoded);
    } else {
      expect(every.counts.encoded).toBe(20 * images);
      expect(some.counts.encoded).toBeLessThanOrEqual(2 * images + 5 * COUNT);
      expect(some.counts.adaptedFromImages).toBe(2);
    }
  });
});

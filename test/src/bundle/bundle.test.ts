import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BundleError, type Example, InputError, ProfileError } from '@whet/runtime';
import { float32, readSafetensors, type StoredTensor, writeSafetensors } from '@whet/runtime/format';
import { type Bundle, loadBundle } from '@whet/runtime/node';
import { randomImages, tinyCheckpoint, writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { relativeError } from '../parity/reference.js';
import { examplesOf } from '../parity/task-graph-route.js';

/** The text of a manifest with something changed in it. */
// biome-ignore lint/suspicious/noExplicitAny: JSON that is about to be wrong.
const changedJson = (change: (manifest: any) => void) => (text: string) => {
  const manifest = JSON.parse(text);
  change(manifest);
  return JSON.stringify(manifest);
};

describe('a bundle', () => {
  let directory: string;
  let bundle: Bundle;
  beforeAll(async () => {
    directory = await writeTinyBundle();
    bundle = await loadBundle(directory);
  });
  afterAll(() => bundle.release());

  it.each(['full', 'head', 'from-block2', 'sparse'])(
    'pattern %s takes any number of classes and uneven shots',
    async (pattern) => {
      for (const counts of [
        [1, 1],
        [3, 1, 2],
        [1, 4, 2, 1, 1, 1, 2],
      ]) {
        const labels = counts.flatMap((count, i) => new Array<string>(count).fill(`class ${i}`));
        const { profile, losses } = await bundle.adapt(examplesOf(randomImages('uneven', labels.length), labels), {
          pattern,
        });
        expect(profile.classes).toHaveLength(counts.length);
        expect(profile.examples).toEqual(counts);
        if (Math.max(...counts) > 1) expect(losses.at(-1)).toBeLessThan(losses[0] as number);
        const [prediction] = await bundle.predict(profile, randomImages('one', 1));
        const probabilities = Object.values(prediction?.probabilities ?? {});
        expect(probabilities.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 5);
      }
    },
  );

  it('predicts an image the same by itself as among others', async () => {
    const { profile } = await bundle.adapt(examplesOf(randomImages('a', 4), ['x', 'y', 'x', 'y']), { pattern: 'full' });
    const images = randomImages('b', 70);
    const together = await bundle.predict(profile, images);
    for (const i of [0, 1, 63, 64, 69]) {
      const [alone] = await bundle.predict(profile, [images[i] as Float32Array]);
      const expected = Object.values(together[i]?.probabilities ?? {});
      expect(relativeError(Object.values(alone?.probabilities ?? {}), expected)).toBeLessThan(1e-5);
    }
  });

  it('treats classes alike: their order changes nothing', async () => {
    const examples = examplesOf(randomImages('a', 4), ['x', 'y', 'z', 'y']);
    const { profile: forward } = await bundle.adapt(examples, { pattern: 'full' });
    const { profile: backward } = await bundle.adapt([...examples].reverse(), { pattern: 'full' });
    const images = randomImages('b', 5);
    const [some, others] = [await bundle.predict(forward, images), await bundle.predict(backward, images)];
    some.forEach(({ probabilities }, i) => {
      const byName = ['x', 'y', 'z'].map((name) => others[i]?.probabilities[name] as number);
      expect(relativeError(Object.values(probabilities), byName)).toBeLessThan(1e-4);
    });
  });

  it('moves only what a pattern moves: frozen entries are not even stored', async () => {
    const examples = examplesOf(randomImages('a', 2), ['x', 'y']);
    const { profile: head } = await bundle.adapt(examples, { pattern: 'head' });
    expect([...head.values.keys()].sort()).toEqual(['head.bias', 'head.weight']);
    const { profile: sparse } = await bundle.adapt(examples, { pattern: 'sparse' });
    const { profile: full } = await bundle.adapt(examples, { pattern: 'full' });
    expect(sparse.byteLength).toBeLessThan(full.byteLength);
    for (const { name, moving } of bundle.manifest.patterns['sparse']?.moving ?? []) {
      expect(sparse.values.get(name)?.data).toHaveLength(moving);
    }
  });

  it('loads the patterns that are asked for, and reads no file of the others', async () => {
    const directory = await writeTinyBundle();
    for (const file of await readdir(directory)) if (file.startsWith('full.')) await rm(join(directory, file));
    await expect(loadBundle(directory)).rejects.toThrow(/full.*cannot be read/);
    const some = await loadBundle(directory, { patterns: ({ defaultPattern }) => [defaultPattern, 'head'] });
    const examples = examplesOf(randomImages('a', 2), ['x', 'y']);
    const { profile } = await some.adapt(examples, { pattern: 'head' });
    expect((await bundle.adapt(examples, { pattern: 'head' })).profile.toBytes()).toEqual(profile.toBytes());
    expect((await some.adapt(examples)).profile.pattern).toBe('sparse');
    await expect(some.adapt(examples, { pattern: 'full' })).rejects.toThrow('expected one of sparse, head, got "full"');
    const { profile: dense } = await bundle.adapt(examples, { pattern: 'full' });
    await expect(some.predict(dense, [])).rejects.toThrow('profile: the bundle was loaded without its pattern "full"');
    await some.release();
    await expect(loadBundle(directory, { patterns: ['tail'] })).rejects.toThrow(
      /pattern: expected one of full, head, .*, got "tail"/,
    );
  });

  it('takes no step with steps 0: the head stands at the class prototypes', async () => {
    const examples = examplesOf(randomImages('a', 2), ['x', 'y']);
    const { profile, losses } = await bundle.adapt(examples, { steps: 0, pattern: 'full' });
    expect(losses).toEqual([]);
    const predictions = await bundle.predict(profile, randomImages('a', 2));
    expect(predictions.map(({ label }) => label)).toEqual(['x', 'y']);
  });

  it('stops when its signal aborts, also in mid-adaptation', async () => {
    const controller = new AbortController();
    const adapting = bundle.adapt(examplesOf(randomImages('a', 2), ['x', 'y']), {
      steps: 50,
      signal: controller.signal,
      onStep: (step) => step === 2 && controller.abort(new Error('enough')),
    });
    await expect(adapting).rejects.toThrow('enough');
  });

  it('keeps a profile through its bytes', async () => {
    const { profile } = await bundle.adapt(examplesOf(randomImages('a', 3), ['__proto__', 'constructor', 'ß 日本']));
    const restored = bundle.profileFromBytes(profile.toBytes());
    const images = randomImages('b', 3);
    expect(await bundle.predict(restored, images)).toEqual(await bundle.predict(profile, images));
    expect(restored.classes).toEqual(['__proto__', 'constructor', 'ß 日本']);
  });

  it('refuses profiles that are damaged or of another bundle', async () => {
    const { profile } = await bundle.adapt(examplesOf(randomImages('a', 2), ['x', 'y']));
    const bytes = profile.toBytes();
    for (const damaged of [bytes.subarray(0, 4), bytes.subarray(0, bytes.length - 1), new Uint8Array(100)]) {
      expect(() => bundle.profileFromBytes(damaged)).toThrow(ProfileError);
    }
    const { tensors, metadata } = readSafetensors(bytes);
    const withValues = (change: (values: Map<string, StoredTensor>) => void, more = {}) => {
      const values = new Map(tensors);
      change(values);
      return writeSafetensors({ tensors: values, metadata: { ...metadata, ...more } });
    };
    const names = Array.from({ length: bundle.manifest.limits.maxClasses + 1 }, (_, i) => `class ${i}`);
    const classes = { classes: JSON.stringify(names), examples: JSON.stringify(names.map(() => 1)) };
    for (const [changed, message] of [
      [withValues((values) => values.delete('head.bias')), '"head.bias": expected shape [2], got [nothing]'],
      [withValues((values) => values.set('own', float32([1], Float32Array.of(1)))), 'that its pattern does not move'],
      [
        withValues(() => undefined, classes),
        `profile: expected at most ${names.length - 1} classes, got ${names.length}`,
      ],
    ] as const) {
      expect(() => bundle.profileFromBytes(changed)).toThrow(message);
    }
    const other = tinyCheckpoint();
    other.state.parameters.get('conv1.weight')?.value.fill(0.5);
    const second = await loadBundle(await writeTinyBundle(other));
    expect(() => second.profileFromBytes(bytes)).toThrow(/another bundle/);
    await second.release();
  });

  it.each<[string, Example[], object, RegExp]>([
    ['no examples', [], {}, /examples.*none/],
    ['one class', examplesOf(randomImages('a', 2), ['x', 'x']), {}, /at least 2 classes/],
    ['an empty label', examplesOf(randomImages('a', 2), ['x', '']), {}, /got an empty one/],
    ['a short image', [{ label: 'x', image: new Float32Array(5) }], {}, /144 values \[1, 12, 12\], got 5/],
    [
      'NaN',
      [{ label: 'x', image: new Float32Array(144).fill(Number.NaN) }],
      {},
      /expected finite values, got NaN at position 0/,
    ],
    ['an unknown pattern', examplesOf(randomImages('a', 2), ['x', 'y']), { pattern: 'none' }, /expected one of full/],
    [
      'negative steps',
      examplesOf(randomImages('a', 2), ['x', 'y']),
      { steps: -1 },
      /expected a whole number of 0 or more, got -1/,
    ],
    ['a rate of 0', examplesOf(randomImages('a', 2), ['x', 'y']), { rate: 0 }, /expected a positive number, got 0/],
  ])('refuses %s', async (_, examples, options, message) => {
    const refused = bundle.adapt(examples, options);
    await expect(refused).rejects.toThrow(InputError);
    await expect(bundle.adapt(examples, options)).rejects.toThrow(message);
  });

  it.each<[string, string, (text: string) => string, RegExp]>([
    ['a changed graph', 'full.step.onnx', (text) => `${text} `, /full\.step\.onnx: SHA-256/],
    [
      'another schema version',
      'manifest.json',
      (text) => text.replace('whet-bundle/2', 'whet-bundle/9'),
      /schema version/,
    ],
    ['format 1', 'manifest.json', (text) => text.replace('whet-bundle/2', 'whet-bundle/1'), /run `whet migrate`/],
    ['weights that are cut', 'weights.safetensors', (text) => text.slice(0, -4), /weights\.safetensors: SHA-256/],
    ['a manifest that is not JSON', 'manifest.json', () => '{', /manifest\.json: not JSON: /],
    [
      'a default pattern that is not there',
      'manifest.json',
      (t) => t.replace('"defaultPattern": "sparse"', '"defaultPattern": "x"'),
      /manifest\.json: defaultPattern "x" is not one of its patterns/,
    ],
    [
      'a file outside the bundle',
      'manifest.json',
      (t) => t.replaceAll('full.step.onnx', '../step.onnx'),
      /manifest\.json/,
    ],
    [
      'weights outside the bundle',
      'manifest.json',
      (t) => t.replaceAll('weights.safetensors', '../weights.safetensors'),
      /manifest\.json/,
    ],
    [
      'a value that no tensor is',
      'manifest.json',
      (t) => t.replace('"tensor": "conv1.weight"', '"tensor": "conv9.weight"'),
      /weights\.safetensors: "conv9\.weight": expected a tensor of F32 or F16, got none/,
    ],
    [
      'fewer means than channels',
      'manifest.json',
      changedJson(({ preprocessing }) => Object.assign(preprocessing, { mean: [] })),
      /manifest\.json: preprocessing: expected 1 means and deviations, got 0 and 1/,
    ],
    [
      'a file that is not listed',
      'manifest.json',
      changedJson(({ files }) => delete files['head.step.onnx']),
      /manifest\.json: pattern "head" names "head\.step\.onnx", which is not among its files/,
    ],
    [
      'another number of moving values',
      'manifest.json',
      changedJson(({ patterns }) => {
        const [weight] = patterns['sparse'].moving;
        weight.moving -= 1;
      }),
      /weights\.safetensors: pattern "sparse": "conv1\.weight": expected \d+ values, got \d+/,
    ],
    [
      'a mask of more entries than the value has',
      'manifest.json',
      changedJson(({ patterns }) => {
        const { values } = patterns['sparse'];
        values['norm1.bias'].mask = values['conv2.weight'].mask;
      }),
      /weights\.safetensors: ".+": expected at most 4 entries, got \d+/,
    ],
    [
      'rows of another number than the value has',
      'manifest.json',
      changedJson(({ patterns }) => {
        const { values } = patterns['sparse'];
        values['norm1.bias'] = { tensor: values['norm1.bias'].tensor, rows: values['conv2.weight'].mask };
      }),
      /weights\.safetensors: ".+": expected 4 rows, got \d+/,
    ],
    [
      'a graph of moments',
      'manifest.json',
      changedJson(({ patterns }) => Object.assign(patterns['head'].graphs, { moments: 'head.step.onnx' })),
      /manifest\.json: pattern "head": graphs\.moments: expected none, as no normalization needs it/,
    ],
  ])('refuses %s, naming the file', async (_, file, change, message) => {
    const broken = await writeTinyBundle();
    const path = join(broken, file);
    await writeFile(path, Buffer.from(change((await readFile(path)).toString('latin1')), 'latin1'));
    await expect(loadBundle(broken)).rejects.toThrow(BundleError);
    await expect(loadBundle(broken)).rejects.toThrow(message);
  });

  it('refuses a graph that leaves an input out, as when graphs of two patterns are mixed up', async () => {
    const broken = await writeTinyBundle();
    const manifest = JSON.parse(await readFile(join(broken, 'manifest.json'), 'utf8'));
    manifest.patterns.full.graphs.predict = 'head.predict.onnx';
    await writeFile(join(broken, 'manifest.json'), JSON.stringify(manifest));
    await expect(loadBundle(broken)).rejects.toThrow(
      /head\.predict\.onnx: tensor names: missing input "conv1\.weight"/,
    );
  });

  it.each([1e-5, 1e-2, 1, 30, 1e4, 1e30])(
    'takes no step at rate %d that raises the loss of the examples',
    async (rate) => {
      const examples = examplesOf(randomImages('a', 6), ['x', 'y', 'x', 'y', 'x', 'y']);
      for (const pattern of ['full', 'head']) {
        for (const steps of [1, 2, 30]) {
          const { losses, loss, halved, profile } = await bundle.adapt(examples, { pattern, rate, steps });
          for (const [i, each] of losses.entries())
            expect(each).toBeLessThanOrEqual((losses[i - 1] ?? each) * 1.0001 + 1e-6);
          expect(loss).toBeLessThanOrEqual((losses.at(-1) as number) * 1.0001 + 1e-6);
          if (rate <= 1e-2) expect(halved).toBe(0);
          if (rate === 1e4 && steps > 1) expect(halved).toBeGreaterThan(0);
          const labels = examples.map(({ label }) => label);
          const predictions = await bundle.predict(
            profile,
            examples.map(({ image }) => image),
          );
          const own = predictions.map(
            ({ probabilities }, i) => -Math.log(probabilities[labels[i] as string] as number),
          );
          expect(own.reduce((sum, each) => sum + each, 0) / own.length).toBeCloseTo(loss as number, 4);
        }
      }
    },
  );

  it('refuses a graph whose tensor names do not fit, naming the file', async () => {
    const broken = await writeTinyBundle();
    const manifest = JSON.parse(await readFile(join(broken, 'manifest.json'), 'utf8'));
    manifest.patterns.full.graphs.predict = manifest.patterns.full.graphs.step;
    await writeFile(join(broken, 'manifest.json'), JSON.stringify(manifest));
    await expect(loadBundle(broken)).rejects.toThrow(/full\.step\.onnx: tensor names: unexpected input "labels"/);
  });
});

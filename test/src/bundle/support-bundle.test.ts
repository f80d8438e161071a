import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BundleError, ProfileError } from '@whet/runtime';
import { readSafetensors, writeSafetensors } from '@whet/runtime/format';
import { type Bundle, loadBundle } from '@whet/runtime/node';
import { randomImages, supportCheckpoint, writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import { anil, maml, type Rule, sparseMaml } from '@whet/trainer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { relativeError } from '../parity/reference.js';
import { adaptedByTaskGraph, examplesOf, softmax } from '../parity/task-graph-route.js';

const movingFrom = (...layers: string[]): Rule => ({ ...maml, moves: ({ layer }) => layers.includes(layer) });

const patterns: [string, Rule][] = [
  ['full', maml],
  ['head', anil],
  ['from-block2', movingFrom('block2', 'block3', 'block4', 'head')],
  ['from-block3', movingFrom('block3', 'block4', 'head')],
  ['from-block4', movingFrom('block4', 'head')],
  ['sparse', sparseMaml],
];
const names = patterns.map(([name]) => name);
const norms = [1, 2, 3, 4].flatMap((block) => [`norm${block}.mean`, `norm${block}.variance`]);

describe.each(['prototype', 'shared'] as const)('a bundle normalized by the support set, %s head', (head) => {
  let bundle: Bundle;
  beforeAll(async () => {
    bundle = await loadBundle(await writeTinyBundle(supportCheckpoint(head)), { threads: 1 });
  });
  afterAll(() => bundle.release());

  it.each(patterns)('adapts by pattern %s as the trainer does', async (pattern, rule) => {
    const steps = 3;
    const { results, examples, query } = adaptedByTaskGraph(supportCheckpoint(head), rule, 3, 2, steps);
    const { profile, losses } = await bundle.adapt(examples, { pattern, steps });
    losses.forEach((loss, step) => {
      expect(relativeError([loss], [results.get(`loss@${step}`)?.data[0] as number])).toBeLessThan(1e-4);
    });
    for (const name of [...norms, 'head.weight', 'head.bias']) {
      const value = profile.values.get(name)?.data as Float32Array;
      expect(relativeError(value, results.get(name)?.data as Float64Array), name).toBeLessThan(1e-4);
    }
    const logits = results.get('logits')?.data as Float64Array;
    for (const [row, image] of query.entries()) {
      const [prediction] = await bundle.predict(profile, [image]);
      const expected = softmax(logits.slice(row * 3, row * 3 + 3));
      expect(relativeError(Object.values(prediction?.probabilities ?? {}), expected)).toBeLessThan(1e-4);
    }
  });
});

interface PatternJson {
  graphs: Record<string, string>;
  normalizations?: unknown;
}

describe('support normalization in a bundle', () => {
  let directory: string;
  let bundle: Bundle;
  beforeAll(async () => {
    directory = await writeTinyBundle(supportCheckpoint());
    bundle = await loadBundle(directory, { threads: 1 });
  });
  afterAll(() => bundle.release());

  it('says which moments come of the frozen part', () => {
    expect(bundle.manifest.normalization).toBe('support');
    const frozen = Object.fromEntries(
      names.map((name) => [
        name,
        bundle.manifest.patterns[name]?.normalizations?.filter((n) => n.frozen).map((n) => n.name),
      ]),
    );
    expect(frozen).toEqual({
      full: [],
      head: ['norm1', 'norm2', 'norm3', 'norm4'],
      'from-block2': ['norm1'],
      'from-block3': ['norm1', 'norm2'],
      'from-block4': ['norm1', 'norm2', 'norm3'],
      sparse: [],
    });
    const { head, full, 'from-block2': second } = bundle.manifest.patterns;
    expect(head?.graphs).toMatchObject({ encode: 'head.encode.onnx', encodeQuery: 'head.encode-query.onnx' });
    expect(head?.graphs).not.toHaveProperty('moments');
    expect(full?.graphs).toMatchObject({ encode: null, moments: 'full.moments.onnx' });
    expect(full?.graphs).not.toHaveProperty('encodeQuery');
    expect(second?.graphs).toMatchObject({
      encodeQuery: 'from-block2.encode-query.onnx',
      moments: 'from-block2.moments.onnx',
    });
  });

  it.each(names)('pattern %s predicts an image the same by itself as among others', async (pattern) => {
    const labels = ['x', 'y', 'z', 'x', 'y'];
    const { profile } = await bundle.adapt(examplesOf(randomImages('a', 5), labels), { pattern });
    const images = randomImages('b', 70);
    const together = await bundle.predict(profile, images);
    for (const i of [0, 1, 63, 64, 69]) {
      const [alone] = await bundle.predict(profile, [images[i] as Float32Array]);
      const expected = Object.values(together[i]?.probabilities ?? {});
      expect(relativeError(Object.values(alone?.probabilities ?? {}), expected)).toBeLessThan(1e-5);
    }
  });

  it.each(names)('pattern %s takes the moments of all examples, also of more than a batch of them', async (pattern) => {
    const labels = Array.from({ length: 70 }, (_, i) => (i % 2 ? 'x' : 'y'));
    const images = randomImages('many', 70);
    const { profile } = await bundle.adapt(examplesOf(images, labels), { pattern, steps: 0 });
    const twice = await bundle.adapt(examplesOf([...images, ...images], [...labels, ...labels]), { pattern, steps: 0 });
    for (const name of norms) {
      const [once, again] = [profile, twice.profile].map((one) => one.values.get(name)?.data as Float32Array);
      expect(relativeError(again as Float32Array, once as Float32Array), name).toBeLessThan(1e-4);
    }
    const { profile: half } = await bundle.adapt(examplesOf(images.slice(0, 35), labels), { pattern, steps: 0 });
    const mean = (of: typeof half) => of.values.get('norm1.mean')?.data as Float32Array;
    expect(relativeError(mean(half), mean(profile))).toBeGreaterThan(1e-3);
  });

  it.each(names)('pattern %s keeps the moments in a profile of a few kilobytes', async (pattern) => {
    const { profile } = await bundle.adapt(examplesOf(randomImages('a', 3), ['x', 'y', 'x']), { pattern });
    const bytes = profile.toBytes();
    expect([...readSafetensors(bytes).tensors.keys()]).toEqual(expect.arrayContaining(norms));
    expect(profile.byteLength).toBe(bytes.byteLength);
    const restored = bundle.profileFromBytes(bytes);
    const images = randomImages('b', 3);
    expect(await bundle.predict(restored, images)).toEqual(await bundle.predict(profile, images));
  });

  it.each<[string, (name: string, data: Float32Array) => Float32Array | undefined, RegExp]>([
    [
      'without a moment',
      (name, data) => (name === 'norm2.mean' ? undefined : data),
      /"norm2\.mean": expected shape \[4\]/,
    ],
    [
      'of another number of channels',
      (name, data) => (name === 'norm4.variance' ? data.subarray(1) : data),
      /norm4\.var/,
    ],
    [
      'with a negative variance',
      (name, data) => (name === 'norm1.variance' ? data.map((v) => -v) : data),
      /profile: "norm1\.variance": expected variances, got -/,
    ],
  ])('refuses a profile %s', async (_, change, message) => {
    const { profile } = await bundle.adapt(examplesOf(randomImages('a', 2), ['x', 'y']), { pattern: 'from-block3' });
    const { tensors, metadata } = readSafetensors(profile.toBytes());
    const changed = [...tensors].flatMap(([name, tensor]) => {
      const data = change(name, tensor.data as Float32Array);
      const shape = name.startsWith('norm') && /mean|variance/.test(name) ? [data?.length ?? 0] : tensor.shape;
      return data ? [[name, { ...tensor, shape, data }] as const] : [];
    });
    const bytes = writeSafetensors({ tensors: new Map(changed), metadata });
    expect(() => bundle.profileFromBytes(bytes)).toThrow(ProfileError);
    expect(() => bundle.profileFromBytes(bytes)).toThrow(message);
  });

  it.each(names)('pattern %s stays finite where the examples do not vary', async (pattern) => {
    const [image] = randomImages('same', 1) as [Float32Array];
    const blank = new Float32Array(image.length);
    for (const same of [image, blank]) {
      const { profile, losses } = await bundle.adapt(examplesOf([same, same], ['x', 'y']), { pattern });
      expect(losses.every(Number.isFinite)).toBe(true);
      // The last block has one pixel: its variance over two equal images is 0.
      expect(Math.max(...(profile.values.get('norm4.variance')?.data ?? [1]))).toBeLessThan(1e-10);
      const [prediction] = await bundle.predict(profile, randomImages('b', 1));
      expect(Object.values(prediction?.probabilities ?? {}).every(Number.isFinite)).toBe(true);
    }
  });

  it('refuses images whose moments overflow, and leaves the rate out of it', async () => {
    const images = randomImages('a', 2).map((image) => image.map((value) => value * 1e30));
    await expect(bundle.adapt(examplesOf(images, ['x', 'y']), { pattern: 'head' })).rejects.toThrow(
      /images whose moments are finite, got others in "norm1\.variance"/,
    );
  });

  it('differs from the same weights under fixed moments', async () => {
    const fixed = supportCheckpoint();
    fixed.config.normalization = 'population';
    const population = await loadBundle(await writeTinyBundle(fixed), { threads: 1 });
    expect(population.manifest.patterns['head']).not.toHaveProperty('normalizations');
    expect(population.digest).not.toBe(bundle.digest);
    const examples = examplesOf(randomImages('a', 4), ['x', 'y', 'x', 'y']);
    const { profile } = await population.adapt(examples);
    expect([...profile.values.keys()].filter((name) => name.endsWith('.mean'))).toEqual([]);
    expect(() => bundle.profileFromBytes(profile.toBytes())).toThrow(/another bundle/);
    await population.release();
  });

  it.each<[string, (pattern: PatternJson, manifest: { normalization: string }) => void, RegExp]>([
    ['no list of normalizations', (pattern) => delete pattern.normalizations, /expected a list under .* "support"/],
    [
      'one under fixed moments',
      (_, manifest) => {
        manifest.normalization = 'population';
      },
      /expected none under normalization "population"/,
    ],
    [
      'no graph for the moments of queries',
      ({ graphs }) => delete graphs['encodeQuery'],
      /graphs\.encodeQuery: expected one, for "norm1\.mean"/,
    ],
    [
      'no graph for the moments of examples',
      ({ graphs }) => Object.assign(graphs, { encode: null }),
      /manifest\.json: pattern "from-block3": graphs\.encode: expected one, for "norm1\.mean"/,
    ],
    [
      'the same graph for examples and queries',
      ({ graphs }) => Object.assign(graphs, { encodeQuery: 'from-block3.encode.onnx' }),
      /from-block3\.encode\.onnx: tensor names: missing input "norm1\.mean"/,
    ],
    [
      'no graph of moments',
      ({ graphs }) => delete graphs['moments'],
      /graphs\.moments: expected one, for "norm3\.mean"/,
    ],
  ])('refuses a manifest with %s', async (_, change, message) => {
    const broken = await writeTinyBundle(supportCheckpoint());
    const path = join(broken, 'manifest.json');
    const manifest = JSON.parse(await readFile(path, 'utf8'));
    change(manifest.patterns['from-block3'], manifest);
    await writeFile(path, JSON.stringify(manifest));
    await expect(loadBundle(broken)).rejects.toThrow(BundleError);
    await expect(loadBundle(broken)).rejects.toThrow(message);
  });
});

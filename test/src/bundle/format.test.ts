import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { decodeModel, onnxMessage } from '@whet/compiler';
import { BundleError, type Manifest } from '@whet/runtime';
import { readArchive, readSafetensors } from '@whet/runtime/format';
import { loadBundle } from '@whet/runtime/node';
import { randomImages, tinyCheckpoint, writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import { migrateBundle, writeBundle } from '@whet/trainer';
import { type Zippable, zipSync } from 'fflate';
import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { examplesOf } from '../parity/task-graph-route.js';

const fixture = fileURLToPath(new URL('../../fixtures/format-1/', import.meta.url));
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-format-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const manifestOf = async (directory: string) =>
  JSON.parse(await readFile(join(directory, 'manifest.json'), 'utf8')) as Manifest;

describe('the weights of a bundle', () => {
  it('stand in it once, and in no graph', async () => {
    for (const granularity of ['weight', 'channel'] as const) {
      const directory = await writeTinyBundle(tinyCheckpoint('prototype', { maskGranularity: granularity }));
      const { weights, patterns } = await manifestOf(directory);
      const { tensors } = readSafetensors(await readFile(join(directory, weights)));
      const digests = [...tensors.values()].map(
        ({ dtype, data }) => dtype + sha256(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
      );
      expect(new Set(digests).size).toBe(digests.length);
      for (const graph of Object.values(patterns).flatMap(({ graphs }) => Object.values(graphs))) {
        if (!graph) continue;
        const { initializers } = decodeModel(await readFile(join(directory, graph)));
        expect(initializers.filter(({ rawData }) => (rawData?.length ?? 0) >= 256)).toEqual([]);
      }
      // All of them move in one pattern, so the others start from the same tensors.
      const { full, sparse } = patterns;
      for (const [name, { tensor }] of Object.entries(sparse?.values ?? {})) {
        expect(full?.values[name]).toEqual({ tensor });
      }
      const bundle = await loadBundle(directory, { threads: 1 });
      expect(bundle.loaded).toHaveLength(4);
      await bundle.release();
    }
  });
});

describe('a bundle of format 1', () => {
  it('is refused with what to run', async () => {
    await expect(loadBundle(join(fixture, 'bundle'))).rejects.toThrow(
      /manifest\.json: schema version: expected "whet-bundle\/2", got "whet-bundle\/1"; run `whet migrate`/,
    );
  });

  it.each(['migrated', 'migrated.whet'])('migrates to %s, which computes the same bit for bit', async (name) => {
    const place = join(folder, name);
    const { manifest, contents } = await migrateBundle(join(fixture, 'bundle'));
    await writeBundle(place, contents);
    const bundle = await loadBundle(place, { threads: 1 });
    const old = JSON.parse(await readFile(join(fixture, 'bundle/manifest.json'), 'utf8'));
    expect(Object.keys(manifest.patterns)).toEqual(Object.keys(old.patterns));
    for (const [pattern, { graphs }] of Object.entries(manifest.patterns)) {
      for (const [graph, path] of Object.entries(graphs)) {
        if (!path) continue;
        const before = await ort.InferenceSession.create(join(fixture, 'bundle', old.patterns[pattern].graphs[graph]));
        const weights = [{ path: manifest.weights, data: contents.get(manifest.weights) as Uint8Array }];
        const after = await ort.InferenceSession.create(contents.get(path) as Uint8Array, { externalData: weights });
        const feeds = Object.fromEntries(
          before.inputMetadata.map((input) => {
            const shape = (input as { shape: readonly (number | string)[] }).shape;
            const dims = shape.map((dim) => (typeof dim === 'number' ? dim : { N: 3, W: 2 }[dim as 'N' | 'W']));
            const length = dims.reduce((product, dim) => product * dim, 1);
            const data = Float32Array.from({ length }, (_, i) => Math.sin(1 + 1.7 * i) / 2);
            return [input.name, new ort.Tensor('float32', data, dims)];
          }),
        );
        const [expected, actual] = [await before.run(feeds), await after.run(feeds)];
        for (const [output, { data }] of Object.entries(expected)) expect(actual[output]?.data).toEqual(data);
        await Promise.all([before.release(), after.release()]);
      }
    }
    // A profile of the bundle as it was is one of what it became, and is written as that.
    const bytes = await readFile(join(fixture, 'sparse.profile'));
    const profile = bundle.profileFromBytes(bytes);
    expect(profile.bundle).toBe(bundle.digest);
    const { profile: again } = await bundle.adapt(examplesOf(randomImages('support', 4), ['x', 'y', 'x', 'y']), {
      pattern: 'sparse',
    });
    for (const [value, { data }] of again.values) {
      const kept = profile.values.get(value)?.data as Float32Array;
      for (const [i, number] of data.entries()) expect(number).toBeCloseTo(kept[i] as number, 4);
    }
    await bundle.release();
  });

  it('is refused where a file of it is damaged', async () => {
    const place = join(folder, 'damaged');
    const { contents } = await migrateBundle(join(fixture, 'bundle'));
    await writeBundle(place, contents);
    await writeFile(join(place, 'full.step.onnx'), 'x');
    await expect(migrateBundle(place)).rejects.toThrow(/full\.step\.onnx: SHA-256/);
  });
});

describe('a bundle in one file', () => {
  let files: Map<string, Uint8Array>;
  beforeAll(async () => {
    const directory = await writeTinyBundle();
    files = new Map();
    for (const name of await readdir(directory)) files.set(name, await readFile(join(directory, name)));
  });

  it('has the same digest as the folder', async () => {
    const directory = await writeTinyBundle();
    const place = join(folder, 'tiny.whet');
    await writeBundle(place, (await migrateBundle(directory)).contents);
    const [one, other] = [await loadBundle(place, { threads: 1 }), await loadBundle(directory, { threads: 1 })];
    expect(one.digest).toBe(other.digest);
    await Promise.all([one.release(), other.release()]);
  });

  const zipped = (entries: Zippable, level: 0 | 9 = 0) => zipSync(entries, { level });
  /** A name of one entry in place of another of the same length, in both of the archive's lists. */
  const renamed = (archive: Uint8Array, from: string, to: string) =>
    Uint8Array.from(Buffer.from(Buffer.from(archive).toString('latin1').replaceAll(from, to), 'latin1'));

  it.each<[string, () => Uint8Array, RegExp]>([
    [
      'a name outside of it',
      () => renamed(zipped({ 'aa/manifest.json': Buffer.from('{}') }), 'aa/', '../'),
      /"\.\.\/manifest/,
    ],
    [
      'an absolute name',
      () => renamed(zipped({ 'a/passwd': Buffer.from('') }), 'a/passwd', '//passwd'),
      /"\/\/passwd"/,
    ],
    [
      'an entry twice',
      () => renamed(zipped({ 'a.onnx': Buffer.from('1'), 'b.onnx': Buffer.from('2') }), 'a.onnx', 'b.onnx'),
      /"b\.onnx": expected it once/,
    ],
    ['a compressed entry', () => zipped({ 'a.onnx': new Uint8Array(1e6) }, 9), /"a\.onnx": expected it stored/],
    ['no directory', () => zipped({ 'a.onnx': Buffer.from('1') }).subarray(0, 40), /not a bundle in one file/],
    ['something else', () => Buffer.from('not a zip at all, whatever it is called'), /not a bundle in one file/],
  ])('is refused with %s', async (_, archive, message) => {
    const place = join(folder, 'bad.whet');
    await writeFile(place, archive());
    await expect(loadBundle(place)).rejects.toThrow(BundleError);
    await expect(loadBundle(place)).rejects.toThrow(message);
  });

  it('is refused where its directory says more than it holds', () => {
    const archive = zipped(Object.fromEntries(files));
    for (let at = 0; at < archive.length; at += 97) {
      const broken = archive.slice(0, at);
      expect(() => readArchive(broken, 'x.whet')).toThrow(BundleError);
    }
  });

  it('is refused where a file of it is missing', async () => {
    const place = join(folder, 'part.whet');
    const { 'full.step.onnx': _, ...rest } = Object.fromEntries(files);
    await writeFile(place, zipped(rest));
    await expect(loadBundle(place)).rejects.toThrow(/part\.whet\/full\.step\.onnx: cannot be read/);
  });
});

describe('a graph that keeps values in files', () => {
  /** The tiny bundle with a place of its external data changed, and digests that fit. */
  async function changed(change: (entries: { key: string; value: string }[]) => void): Promise<string> {
    const directory = await writeTinyBundle();
    const manifest = await manifestOf(directory);
    const message = onnxMessage('ModelProto');
    const path = 'head.encode.onnx';
    const model = message.decode(await readFile(join(directory, path)));
    const { graph } = model as unknown as {
      graph: { initializer: { externalData: { key: string; value: string }[] }[] };
    };
    const tensor = graph.initializer.find(({ externalData }) => externalData.length > 0);
    if (!tensor) throw new Error('expected a weight in a file');
    change(tensor.externalData);
    const bytes = message.encode(model).finish();
    await writeFile(join(directory, path), bytes);
    manifest.files[path] = { sha256: sha256(bytes), bytes: bytes.length };
    await writeFile(join(directory, 'manifest.json'), JSON.stringify(manifest));
    return directory;
  }
  const set = (key: string, value: string) => (entries: { key: string; value: string }[]) => {
    const entry = entries.find((each) => each.key === key);
    if (entry) entry.value = value;
  };

  it.each<[string, (entries: { key: string; value: string }[]) => void, RegExp]>([
    ['of the machine', set('location', '/etc/hostname'), /got "\/etc\/hostname"/],
    ['beside the bundle', set('location', '../weights.safetensors'), /got "\.\.\/weights\.safetensors"/],
    [
      'that the manifest does not list',
      set('location', 'other.bin'),
      /expected in weights of the manifest \("weights\.safetensors"\), got "other\.bin"/,
    ],
    [
      'beyond the end',
      set('offset', '99999999'),
      /expected within the \d+ bytes of "weights\.safetensors", got 99999999/,
    ],
    ['before the beginning', set('offset', '-8'), /got -8, \d+ long/],
    ['without a number', set('offset', 'x'), /got NaN, /],
  ])('%s is refused by name', async (_, change, message) => {
    const directory = await changed(change);
    await expect(loadBundle(directory)).rejects.toThrow(BundleError);
    await expect(loadBundle(directory)).rejects.toThrow(message);
  });
});

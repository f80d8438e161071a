import { createHash } from 'node:crypto';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { decodeModel, onnxMessage } from '@whet/compiler';
import { BundleError, type Manifest } from '@whet/runtime';
import { readArchive, readSafetensors } from '@whet/runtime/format';
import { loadBundle, loadBundleFiles } from '@whet/runtime/node';
import { randomImages, tinyCheckpoint, writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import { migrateBundle, writeBundle } from '@whet/trainer';
import { type Zippable, zipSync } from 'fflate';
import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkOutline } from '../../../runtime/src/outline.js';
import { SharedWeights } from '../../../trainer/src/bundle/shared-weights.js';
import { examplesOf } from '../parity/task-graph-route.js';

/** More threads would wait for work at others' cost. */
const ONE = { intraOpNumThreads: 1 };
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

describe('shared weights', () => {
  /** The tiny bundle with its weights changed; `fit` puts the digest right. */
  async function withWeights(change: (bytes: Buffer) => Uint8Array | undefined, fit = false): Promise<string> {
    const directory = await writeTinyBundle();
    const manifest = await manifestOf(directory);
    const path = join(directory, manifest.weights);
    const bytes = change(await readFile(path));
    if (!bytes) {
      await rm(path);
      return directory;
    }
    await writeFile(path, bytes);
    if (fit) {
      manifest.files[manifest.weights] = { sha256: sha256(bytes), bytes: bytes.length };
      await writeFile(join(directory, 'manifest.json'), JSON.stringify(manifest));
    }
    return directory;
  }
  const cut = (bytes: Buffer) => bytes.subarray(0, -8);

  it.each<[string, (bytes: Buffer) => Uint8Array | undefined, boolean, RegExp]>([
    ['cut', cut, false, /weights\.safetensors: SHA-256/],
    ['longer', (bytes) => Buffer.concat([bytes, Buffer.alloc(8)]), false, /weights\.safetensors: SHA-256/],
    ['missing', () => undefined, false, /weights\.safetensors: cannot be read: ENOENT/],
    ['cut, with a digest that fits', cut, true, /weights\.safetensors: /],
    [
      'longer, with a digest that fits',
      (bytes) => Buffer.concat([bytes, Buffer.alloc(8)]),
      true,
      /weights\.safetensors: /,
    ],
    ['no safetensors file', () => Buffer.from('nothing of the kind'), true, /weights\.safetensors: /],
  ])('are refused where they are %s', async (_, change, fit, message) => {
    const directory = await withWeights(change, fit);
    await expect(loadBundle(directory)).rejects.toThrow(BundleError);
    await expect(loadBundle(directory)).rejects.toThrow(message);
  });

  it('are refused where they are those of another bundle', async () => {
    const other = await writeTinyBundle(tinyCheckpoint('prototype', { seed: 8 }));
    const { weights } = await manifestOf(other);
    const swapped = await readFile(join(other, weights));
    const directory = await withWeights(() => swapped);
    await expect(loadBundle(directory)).rejects.toThrow(/weights\.safetensors: SHA-256: expected \w+, got \w+/);
  });

  it('stand in the folder of the graphs', async () => {
    const directory = await writeTinyBundle();
    const manifest = JSON.stringify(await manifestOf(directory)).replaceAll('head.encode.onnx', 'sub/head.encode.onnx');
    await writeFile(join(directory, 'manifest.json'), manifest);
    await expect(loadBundle(directory)).rejects.toThrow(
      /manifest\.json: pattern "head": "sub\/head\.encode\.onnx": expected it in the folder of its weights/,
    );
  });

  it('are kept for each shape that a start has, and once for the graphs', () => {
    const shared = new SharedWeights();
    const ones = (shape: number[]) => ({ dtype: 'F32' as const, shape, data: new Float32Array(4).fill(1) });
    expect(shared.put('scale', ones([4, 1, 1]))).toBe('scale');
    expect(shared.put('table', ones([2, 2]))).toBe('table');
    expect(shared.put('other', ones([2, 2]))).toBe('table');
    expect(shared.put('in a graph', ones([4]), true)).toBe('scale');
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
        const before = await ort.InferenceSession.create(
          join(fixture, 'bundle', old.patterns[pattern].graphs[graph]),
          ONE,
        );
        const weights = [{ path: manifest.weights, data: contents.get(manifest.weights) as Uint8Array }];
        const after = await ort.InferenceSession.create(contents.get(path) as Uint8Array, {
          ...ONE,
          externalData: weights,
        });
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

  it.each([
    ['"init":"full', '"init":"../../full', /patterns\.full\.init: expected the name of a file inside the bundle/],
    ['"predict":"', '"predict":"/etc/', /graphs\.predict: expected the name of a file inside/],
    ['"predict":"[^"]*"', '"none":null', /graphs\.predict: /],
  ])('is refused where its manifest says %s as %s', async (said, instead, message) => {
    const place = join(folder, `old-${createHash('md5').update(instead).digest('hex')}`);
    await cp(join(fixture, 'bundle'), place, { recursive: true });
    const path = join(place, 'manifest.json');
    const text = JSON.stringify(JSON.parse(await readFile(path, 'utf8')));
    await writeFile(path, text.replace(new RegExp(said), instead));
    await expect(migrateBundle(place)).rejects.toThrow(message);
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

  /** Two entries, and where their records begin: both local headers, both of the directory, its end. */
  const [one, two] = [Buffer.from('first'), Buffer.from('second')];
  const pair = () => Buffer.from(zipped({ 'a.onnx': one, 'b.onnx': two }));
  const [localB, inDirectory, secondInDirectory] = [41, 83, 135];

  it('is read where nothing is changed', () => {
    const archive = pair();
    expect(archive.indexOf('PK\x03\x04', 1, 'latin1')).toBe(localB);
    expect(archive.indexOf('PK\x01\x02', 0, 'latin1')).toBe(inDirectory);
    expect(archive.indexOf('PK\x01\x02', inDirectory + 1, 'latin1')).toBe(secondInDirectory);
    expect([...readArchive(archive, 'x.whet').values()].map((bytes) => Buffer.from(bytes))).toEqual([one, two]);
  });

  it.each<[string, (archive: Buffer, end: number) => void, RegExp]>([
    ['counts fewer entries', (archive, end) => archive.writeUInt32LE(0x10001, end + 8), /has not the 1 entries/],
    ['counts none', (archive, end) => archive.writeUInt32LE(0, end + 8), /has not the 0 entries/],
    ['counts more', (archive, end) => archive.writeUInt32LE(0x30003, end + 8), /has not the 3 entries/],
    ['is on another disk', (archive, end) => archive.writeUInt16LE(1, end + 4), /in several files/],
    ['begins later', (archive, end) => archive.writeUInt32LE(secondInDirectory, end + 16), /does not end where/],
    [
      'has an encrypted entry',
      (archive) => archive.writeUInt16LE(1, inDirectory + 8),
      /entry "a\.onnx": expected it as it is, got it encrypted/,
    ],
    ['has a longer entry', (archive) => archive.fill(0xff, inDirectory + 20, inDirectory + 28), /longer than the file/],
    [
      'has an entry that runs into the next',
      (archive) => {
        archive.writeUInt32LE(30, inDirectory + 20);
        archive.writeUInt32LE(30, inDirectory + 24);
      },
      /"a\.onnx" and "b\.onnx" stand in each other/,
    ],
    [
      'leads to another entry',
      (archive) => archive.writeUInt32LE(0, secondInDirectory + 42),
      /"b\.onnx" is another one/,
    ],
    ['leads nowhere', (archive) => archive.writeUInt32LE(7, secondInDirectory + 42), /"b\.onnx" is not where/],
  ])('is refused where its directory %s', (_, change, message) => {
    const archive = pair();
    change(archive, archive.length - 22);
    expect(() => readArchive(archive, 'x.whet')).toThrow(BundleError);
    expect(() => readArchive(archive, 'x.whet')).toThrow(message);
  });

  it('is refused where it is cut', () => {
    const archive = zipped(Object.fromEntries(files));
    for (let at = 0; at < archive.length; at += 97) {
      expect(() => readArchive(archive.slice(0, at), 'x.whet')).toThrow(BundleError);
    }
  });

  it('is refused where files in memory lack one', async () => {
    await expect(loadBundleFiles(new Map())).rejects.toThrow(
      'manifest.json: expected among 0 files in memory, got nothing',
    );
  });

  it('takes the place of a bundle only', async () => {
    const place = join(folder, 'holiday.whet');
    // A zip has the time in it: made once.
    const photos = zipped({ 'photo.jpg': Buffer.from('1') });
    await writeFile(place, photos);
    await expect(writeBundle(place, files)).rejects.toThrow(
      /holiday\.whet: expected a new file, or a bundle to replace/,
    );
    expect(await readFile(place)).toEqual(Buffer.from(photos));
  });

  it('is refused where a file of it is missing', async () => {
    const place = join(folder, 'part.whet');
    const { 'full.step.onnx': _, ...rest } = Object.fromEntries(files);
    await writeFile(place, zipped(rest));
    await expect(loadBundle(place)).rejects.toThrow(
      /part\.whet\/full\.step\.onnx: cannot be read: it is not in the archive/,
    );
  });
});

it('a graph that onnxruntime does not know is refused by name', async () => {
  const directory = await writeTinyBundle();
  const manifest = await manifestOf(directory);
  const message = onnxMessage('ModelProto');
  const path = 'head.encode.onnx';
  const model = message.decode(await readFile(join(directory, path)));
  for (const node of (model as unknown as { graph: { node: { opType: string }[] } }).graph.node)
    node.opType = 'Nothing';
  const bytes = message.encode(model).finish();
  await writeFile(join(directory, path), bytes);
  manifest.files[path] = { sha256: sha256(bytes), bytes: bytes.length };
  await writeFile(join(directory, 'manifest.json'), JSON.stringify(manifest));
  await expect(loadBundle(directory)).rejects.toThrow(/head\.encode\.onnx: onnxruntime does not load it: .*Nothing/s);
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

  it('is refused where a number of it is longer than others read it', () => {
    // Field 13 of a tensor, with a bit above those that protobuf in C++ keeps.
    const field = (tag: number[], bytes: readonly number[]) => [...tag, bytes.length, ...bytes];
    const entry = field([0xea, 0x80, 0x80, 0x80, 0x10], [10, 1, 97, 18, 1, 98]);
    const model = Uint8Array.from(field([0x3a], field([0x2a], entry)));
    expect(() => checkOutline(model, new Map())).toThrow(/not an ONNX model: a field has a number beyond all/);
  });

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

import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Bundle, Example } from '@whet/runtime';
import * as node from '@whet/runtime/node';
import * as web from '@whet/runtime/web';
import { randomImages, supportCheckpoint, tinyCheckpoint, writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { compareBundles } from '../../../runtime/src/web/choose.js';
import { relativeError } from '../parity/reference.js';

const examples: Example[] = randomImages('web-support', 6).map((image, i) => ({ label: `class ${i % 3}`, image }));
const query = randomImages('web-query', 8);
const everyPattern = ({ patterns }: web.Manifest) => Object.keys(patterns);

describe.each([
  ['population', tinyCheckpoint],
  ['support', supportCheckpoint],
] as const)('a bundle under %s normalization, as WebAssembly and natively', (_, checkpoint) => {
  it('adapts to the same values, and reads the same profiles', async () => {
    const directory = await writeTinyBundle(checkpoint());
    const native = await node.loadBundle(directory);
    const wasm = await web.loadBundle((path) => readFile(join(directory, path)), { patterns: everyPattern });
    expect(wasm.digest).toBe(native.digest);
    const probabilities = async (bundle: Bundle, bytes: Uint8Array) => {
      const predictions = await bundle.predict(bundle.profileFromBytes(bytes), query);
      return predictions.flatMap((prediction) => Object.values(prediction.probabilities));
    };
    for (const pattern of Object.keys(native.manifest.patterns)) {
      const options = { pattern, steps: 3 };
      const [one, other] = [await native.adapt(examples, options), await wasm.adapt(examples, options)];
      expect(relativeError(other.losses, one.losses), pattern).toBeLessThan(1e-4);
      for (const [name, { data }] of one.profile.values) {
        const found = other.profile.values.get(name)?.data ?? [];
        expect(relativeError(found, data), `${pattern} ${name}`).toBeLessThan(1e-4);
      }
      const expected = await probabilities(native, one.profile.toBytes());
      for (const [bundle, profile] of [
        [wasm, one.profile],
        [wasm, other.profile],
        [native, other.profile],
      ] as const) {
        expect(relativeError(await probabilities(bundle, profile.toBytes()), expected), pattern).toBeLessThan(1e-4);
      }
    }
    await native.release();
    await wasm.release();
  });
});

describe('the backend', () => {
  const withGpu = { gpu: { requestAdapter: async () => ({ info: { vendor: 'acme', architecture: 'one' } }) } };
  afterEach(() => vi.unstubAllGlobals());
  const open = async (options: web.WebLoadOptions) => {
    const directory = await writeTinyBundle();
    const choices: web.BackendChoice[] = [];
    const onBackend = (choice: web.BackendChoice) => choices.push(choice);
    const bundle = await web.loadBundle((path) => readFile(join(directory, path)), {
      ...options,
      onBackend,
    });
    return { bundle, choice: choices[0] };
  };

  it('is WebAssembly by itself where there is no GPU', async () => {
    vi.stubGlobal('navigator', {});
    const { bundle, choice } = await open({ backend: 'auto' });
    expect(choice).toEqual({ backend: 'wasm', threads: 1, reason: 'this browser offers no GPU' });
    await bundle.release();
  });

  it('is not a GPU in software', async () => {
    const requestAdapter = async () => ({ info: { vendor: 'google', architecture: 'swiftshader' } });
    vi.stubGlobal('navigator', { gpu: { requestAdapter } });
    const { bundle, choice } = await open({ backend: 'auto' });
    expect(choice?.reason).toBe('google swiftshader computes on the CPU');
    await bundle.release();
  });

  it('is what was remembered of this GPU and this bundle', async () => {
    vi.stubGlobal('navigator', withGpu);
    const asked: string[] = [];
    const before: web.BackendChoice = { backend: 'wasm', threads: 1, reason: 'measured before' };
    const get = async (key: string) => {
      asked.push(key);
      return before;
    };
    const { bundle, choice } = await open({ backend: 'auto', memory: { get, set: async () => {} } });
    expect(choice).toEqual(before);
    expect(asked).toEqual([
      expect.stringMatching(`^whet backend: ${web.ortVersion}, 1 threads, acme one, ${bundle.digest}$`),
    ]);
    await bundle.release();
  });

  it('is WebAssembly where WebGPU does not start, which is not remembered', async () => {
    vi.stubGlobal('navigator', withGpu);
    const set = vi.fn(async () => {});
    const { bundle, choice } = await open({ backend: 'auto', memory: { get: async () => undefined, set } });
    expect(choice?.backend).toBe('wasm');
    expect(choice?.reason).toMatch(/^WebGPU does not work here: .*onnxruntime-web does not start: /);
    expect(set).not.toHaveBeenCalled();
    expect((await bundle.adapt(examples)).losses).toHaveLength(3);
    await bundle.release();
  });

  it('is measured, and never one that computes something else', async () => {
    const [one, same] = [(await open({})).bundle, (await open({})).bundle];
    const directory = await writeTinyBundle(tinyCheckpoint('prototype', { seed: 8 }));
    const other = await web.loadBundle((path) => readFile(join(directory, path)));
    const equal = await compareBundles(one, same, 1);
    expect(equal.reason).toMatch(/^measured [\d.]+ ms on WebAssembly, [\d.]+ ms on WebGPU$/);
    const { wasm = 0, webgpu = 0 } = equal.milliseconds ?? {};
    expect(equal.backend).toBe(webgpu < wasm ? 'webgpu' : 'wasm');
    const different = await compareBundles(one, other, 1);
    expect(different.backend).toBe('wasm');
    expect(different.reason).toMatch(/^WebGPU computes something else here: probabilities differ by /);
    for (const bundle of [one, same, other]) await bundle.release();
  });
});

describe('a bundle from an address', () => {
  let server: Server | undefined;
  afterAll(() => server?.close());

  it('is fetched; a missing file is named', async () => {
    const directory = await writeTinyBundle();
    server = createServer(async (request, response) => {
      const path = new URL(request.url ?? '', 'http://localhost').pathname.replace(/^\/bundle\//, '');
      const bytes = await readFile(join(directory, path)).catch(() => undefined);
      response.writeHead(bytes ? 200 : 404).end(bytes);
    });
    await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const progress: web.DownloadProgress[] = [];
    const onProgress = (now: web.DownloadProgress) => progress.push(now);
    const bundle = await web.loadBundle(new URL('/bundle/', origin), { onProgress });
    const { manifest } = bundle;
    const needed = web.filesOf(manifest, manifest.patterns[manifest.defaultPattern] as web.PatternManifest);
    const sizes = needed.map((file) => manifest.files[file]?.bytes ?? 0);
    const { loaded, total } = progress.at(-1) as web.DownloadProgress;
    expect(total).toBe(sizes.reduce((a, b) => a + b, 0));
    expect(loaded).toBe(total);
    expect((await bundle.adapt(examples, { steps: 1 })).losses).toHaveLength(1);
    await bundle.release();
    await expect(web.loadBundle(`${origin}/elsewhere/x`)).rejects.toThrow(
      /elsewhere\/x\/manifest\.json: expected the file, got HTTP 404/,
    );
  });

  it('is loaded pattern by pattern, and says how far it is', async () => {
    const directory = await writeTinyBundle();
    const read: string[] = [];
    const reader = (path: string) => {
      read.push(path);
      return readFile(join(directory, path));
    };
    const whole = await node.loadBundle(directory);
    const bundle = await web.loadBundle(reader);
    const { defaultPattern, patterns } = bundle.manifest;
    expect(bundle.digest).toBe(whole.digest);
    expect(bundle.loaded).toEqual([defaultPattern]);
    const other = Object.keys(patterns).find((name) => name !== defaultPattern) as string;
    expect(read.filter((path) => path.startsWith(`${other}.`))).toEqual([]);
    await expect(bundle.adapt(examples, { pattern: other })).rejects.toThrow(`got "${other}"; load it first`);
    const { profile } = await whole.adapt(examples, { pattern: other });
    expect(() => bundle.profileFromBytes(profile.toBytes())).toThrow('loaded without its pattern');
    await Promise.all([bundle.load(other), bundle.load(other)]);
    expect(new Set(read).size).toBe(read.length);
    expect(bundle.profileFromBytes(profile.toBytes()).classes).toEqual(profile.classes);
    await expect(bundle.load('nowhere')).rejects.toThrow(/expected one of .*, got "nowhere"/);
    await bundle.release();
    await whole.release();
  });

  it.each(['full', 'auto'])('lets a cancel in between steps, and stops: %s', async (pattern) => {
    const directory = await writeTinyBundle();
    const bundle = await web.loadBundle((path) => readFile(join(directory, path)), { patterns: everyPattern });
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error('enough')), 50);
    const options = { pattern, steps: 100_000, rate: 1e-9, signal: controller.signal };
    await expect(bundle.adapt(examples, options)).rejects.toThrow('enough');
    await bundle.release();
  });

  it('names the file that a reader fails on', async () => {
    const read = () => Promise.reject(new Error('out of paper'));
    await expect(web.loadBundle(read)).rejects.toThrow('bundle/manifest.json: cannot be read: out of paper');
  });
});

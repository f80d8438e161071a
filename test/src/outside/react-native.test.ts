import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Example } from '@whet/runtime';
import * as node from '@whet/runtime/node';
import { loadBundle, type ReactNativeLoadOptions, type ReactNativeRuntime } from '@whet/runtime/react-native';
import { randomImages, supportCheckpoint, tinyCheckpoint, writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import * as ort from 'onnxruntime-node';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { relativeError } from '../parity/reference.js';

/** Options that sessions were made with. */
const made: ort.InferenceSession.SessionOptions[] = [];

/**
 * A stand-in of onnxruntime-react-native's interface, on onnxruntime-node. As its native side does, it reads the buffers of tensors and of files from
 * their beginnings, whatever part of them an array is.
 */
const reactNative = {
  InferenceSession: {
    async create(model: Uint8Array, options: ort.InferenceSession.SessionOptions = {}) {
      made.push(options);
      const externalData = (options.externalData ?? []).map((file) => {
        const { path, data } = file as { path: string; data: Uint8Array };
        return { path, data: new Uint8Array(data.buffer) };
      });
      const session = await ort.InferenceSession.create(model, {
        executionProviders: ['cpu'],
        intraOpNumThreads: 1,
        ...(externalData.length > 0 ? { externalData } : {}),
      });
      const fromTheBeginning = ({ type, data, dims }: ort.Tensor) => {
        const { buffer, length } = data as Float32Array;
        return new ort.Tensor(
          type as 'float32',
          new (data.constructor as Float32ArrayConstructor)(buffer, 0, length),
          dims,
        );
      };
      const run = session.run.bind(session);
      return Object.assign(Object.create(session), {
        run: (feeds: Record<string, ort.Tensor>) =>
          run(Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [name, fromTheBeginning(tensor)]))),
        release: () => session.release(),
      });
    },
  },
} as unknown as ReactNativeRuntime;

const examples: Example[] = randomImages('phone-support', 6).map((image, i) => ({ label: `class ${i % 3}`, image }));
const query = randomImages('phone-query', 8);

describe('@whet/runtime/react-native, on a stand-in of onnxruntime-react-native', () => {
  afterEach(() => vi.unstubAllGlobals());

  it.each([
    ['population', tinyCheckpoint],
    ['support', supportCheckpoint],
  ] as const)('adapts and predicts as in Node: %s normalization', async (_, checkpoint) => {
    const directory = await writeTinyBundle(checkpoint());
    const own = await node.loadBundle(directory, { threads: 1 });
    // As where a file system gives parts of a larger buffer.
    const read = async (path: string) => {
      const bytes = await readFile(join(directory, path));
      const larger = new Uint8Array(bytes.length + 16);
      larger.set(bytes, 8);
      return larger.subarray(8, 8 + bytes.length);
    };
    const options: ReactNativeLoadOptions = { patterns: ({ patterns }) => Object.keys(patterns), threads: 2 };
    const bundle = await loadBundle(read, reactNative, options);
    // What is of little work has one.
    expect(new Set(made.map(({ intraOpNumThreads }) => intraOpNumThreads))).toEqual(new Set([1, 2]));
    for (const pattern of own.loaded) {
      const [expected, came] = [await own.adapt(examples, { pattern }), await bundle.adapt(examples, { pattern })];
      expect(relativeError(came.losses, expected.losses), pattern).toBeLessThan(1e-5);
      const told = await bundle.predict(bundle.profileFromBytes(expected.profile.toBytes()), query);
      for (const [i, { probabilities }] of (await own.predict(expected.profile, query)).entries()) {
        const those = Object.values(told[i]?.probabilities ?? {});
        expect(relativeError(those, Object.values(probabilities)), pattern).toBeLessThan(1e-5);
      }
    }
    await bundle.release();
    await own.release();
  });

  it('fetches the default pattern where answers come as a whole, and nothing computes digests', async () => {
    const directory = await writeTinyBundle();
    vi.stubGlobal('crypto', undefined);
    vi.stubGlobal('fetch', async (address: string) => {
      const path = new URL(address).pathname.replace('/bundle/', '');
      const bytes = await readFile(join(directory, path)).catch(() => undefined);
      if (!bytes) return { ok: false, status: 404, statusText: 'Not Found' };
      return { ok: true, arrayBuffer: async () => Uint8Array.from(bytes).buffer };
    });
    const told: number[] = [];
    made.length = 0;
    const bundle = await loadBundle('http://phone.invalid/bundle', reactNative, {
      executionProviders: ['xnnpack'],
      onProgress: ({ loaded, total }) => told.push(loaded / total),
    });
    expect(bundle.loaded).toEqual([bundle.manifest.defaultPattern]);
    expect(told.at(-1)).toBe(1);
    expect(made.every(({ executionProviders }) => executionProviders?.[0] === 'xnnpack')).toBe(true);
    expect((await bundle.adapt(examples)).profile.classes).toHaveLength(3);
    await bundle.release();
    await expect(loadBundle('http://phone.invalid/elsewhere', reactNative)).rejects.toThrow('manifest.json');
  });
});

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Bundle, BundleError } from '@whet/runtime';
import { createSession, loadBundle } from '@whet/runtime/node';
import { randomImages, writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import { beforeAll, describe, expect, it } from 'vitest';
import { examplesOf } from '../parity/task-graph-route.js';

describe('a bundle whose sessions are made when they first run', () => {
  const examples = examplesOf(randomImages('preload', 4), ['a', 'b', 'a', 'b']);
  const queries = randomImages('asked', 2);
  let directory: string;
  let made: number;
  /** Fails to make the session of the graph that a bundle asks for as the `failing`th. */
  let failing: number | undefined;
  const open = () =>
    Bundle.open(
      {
        location: directory,
        read: (path) => readFile(join(directory, path)),
        createSession: (model, weights) => {
          if (++made === failing) throw new Error('no memory');
          return createSession(model, { threads: 1 }, weights);
        },
      },
      { preload: false },
    );
  beforeAll(async () => {
    directory = await writeTinyBundle();
  });

  it.each([true, false])('answers the same of files in memory that threads share, made before %s', async (preload) => {
    const shared = async (path: string) => {
      const bytes = await readFile(join(directory, path));
      const own = new Uint8Array(new SharedArrayBuffer(bytes.length));
      own.set(bytes);
      return own;
    };
    const answers = [];
    for (const more of [{}, { read: shared }]) {
      const bundle = await loadBundle(directory, { threads: 1, preload, ...more });
      for (const pattern of bundle.loaded) {
        const { profile, losses } = await bundle.adapt(examples, { pattern, steps: 2 });
        answers.push({ pattern, losses, answer: await bundle.predict(profile, queries) });
      }
      await bundle.release();
    }
    expect(answers.splice(answers.length / 2)).toEqual(answers);
  });

  it('makes what runs alone, once, and answers as one that has all of them', async () => {
    [made, failing] = [0, undefined];
    const bundle = await open();
    expect([made, bundle.sessionCount, bundle.loaded.length]).toEqual([
      0,
      0,
      Object.keys(bundle.manifest.patterns).length,
    ]);
    const [one, other] = await Promise.all([
      bundle.adapt(examples, { pattern: 'head' }),
      bundle.adapt(examples, { pattern: 'head' }),
    ]);
    const afterAdapting = made;
    expect(bundle.sessionCount).toBe(made);
    const all = await loadBundle(directory, { threads: 1 });
    const { profile } = await all.adapt(examples, { pattern: 'head' });
    for (const { profile: came } of [one, other]) expect(came.toBytes()).toEqual(profile.toBytes());
    expect(await bundle.predict(profile, queries)).toEqual(await all.predict(profile, queries));
    // An adaptation ends with the loss of its examples.
    expect(made).toBe(afterAdapting);
    // Whoever predicts alone needs what encodes and what predicts.
    made = 0;
    const predicting = await open();
    await predicting.predict(predicting.profileFromBytes(profile.toBytes()), queries);
    expect(made).toBe(2);
    for (const each of [bundle, all, predicting]) await each.release();
    await expect(predicting.predict(profile, queries)).rejects.toThrow('the bundle was released');
  });

  it('says which graph has no session, and tries again', async () => {
    [made, failing] = [0, 1];
    const bundle = await open();
    await expect(bundle.adapt(examples, { pattern: 'head' })).rejects.toThrow(
      /head\.encode\.onnx: onnxruntime does not load it: no memory/,
    );
    expect(bundle.sessionCount).toBe(0);
    expect((await bundle.adapt(examples, { pattern: 'head' })).profile.classes).toEqual(['a', 'b']);
    await bundle.release();
  });

  it('is released once, also while a session is being made', async () => {
    [made, failing] = [0, undefined];
    let go: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    let released = 0;
    const bundle = await Bundle.open(
      {
        location: directory,
        read: (path) => readFile(join(directory, path)),
        createSession: async (model, weights) => {
          await gate;
          const session = await createSession(model, { threads: 1 }, weights);
          const { release } = session;
          session.release = () => {
            released++;
            return release.call(session);
          };
          return session;
        },
      },
      { preload: false },
    );
    const adapting = bundle.adapt(examples, { pattern: 'head' });
    const refused = expect(adapting).rejects.toThrow();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(bundle.sessionCount).toBe(0);
    const both = Promise.all([bundle.release(), bundle.release()]);
    go();
    await both;
    await refused;
    expect([released, bundle.sessionCount]).toEqual([1, 0]);
    await expect(bundle.adapt(examples, { pattern: 'head' })).rejects.toThrow('the bundle was released');
  });

  it('is refused as ever where a graph has other tensors, or is not what the manifest says', async () => {
    const broken = await writeTinyBundle();
    const path = join(broken, 'manifest.json');
    const manifest = JSON.parse(await readFile(path, 'utf8'));
    const { step } = manifest.patterns.full.graphs;
    manifest.patterns.full.graphs.predict = step;
    await writeFile(path, JSON.stringify(manifest));
    const options = { threads: 1, preload: false };
    await expect(loadBundle(broken, options)).rejects.toThrow(/full\.step\.onnx: tensor names: unexpected input/);
    await writeFile(join(broken, step), 'other');
    await expect(loadBundle(broken, options)).rejects.toThrow(BundleError);
  });

  it('asks for one thread for graphs of little work, and never for what encodes', async () => {
    const small = new Map<string, boolean | undefined>();
    const files = new Map<Uint8Array, string>();
    const bundle = await Bundle.open({
      location: directory,
      read: async (path) => {
        const bytes = new Uint8Array(await readFile(join(directory, path)));
        files.set(bytes, path);
        if (path !== 'manifest.json') return bytes;
        const manifest = JSON.parse(new TextDecoder().decode(bytes));
        // As of a network whose steps keep megabytes.
        manifest.patterns.full.stepMemory.peakActivationBytes = 5_000_000;
        return new TextEncoder().encode(JSON.stringify(manifest));
      },
      createSession: (model, weights, isSmall) => {
        small.set(files.get(model) ?? '', isSmall);
        return createSession(model, { threads: 1 }, weights);
      },
    });
    await bundle.release();
    expect([small.get('head.step.onnx'), small.get('head.predict.onnx'), small.get('head.start.onnx')]).toEqual([
      true,
      true,
      true,
    ]);
    expect([small.get('head.encode.onnx'), small.get('full.step.onnx')]).toEqual([false, false]);
  });
});

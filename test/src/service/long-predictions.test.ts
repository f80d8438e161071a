import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeOnnx, GraphBuilder, makeTensor } from '@whet/compiler';
import type { Bundle } from '@whet/runtime';
import { type RequestError, WhetClient } from '@whet/runtime/client';
import { loadBundle } from '@whet/runtime/node';
import { createMemoryStore, type Engine, localEngine, type Query, startServer } from '@whet/server';
import { compileModel } from '@whet/trainer';
import sharp from 'sharp';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

// A list of images that is predicted in several parts, between which others have their turn, and may change the profile.

const SIDE = 224;
/** More than become tensors at once. */
const COUNT = 40;

/** The means of the channels of images of any size, and a head on them. */
function means(): Uint8Array {
  const g = new GraphBuilder();
  const x = g.input('x', ['N', 3, 'H', 'W']);
  const flat = g.apply('Flatten', [g.apply('GlobalAveragePool', [x], {}, 'pooled')], { axis: 1 }, 'flat');
  const weight = g.constant(makeTensor([3, 2], new Float32Array(6).fill(1)), 'w');
  const outputs = new Map([['y', g.apply('MatMul', [flat, weight], {}, 'fc')]]);
  return encodeOnnx({ name: 'means', inputs: [x], outputs });
}

const picture = (background: string) =>
  sharp({ create: { width: 2, height: 2, channels: 3, background } })
    .png()
    .toBuffer();

let folder: string;
let bundle: Bundle;
let images: Buffer[];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-long-'));
  const directory = join(folder, 'means');
  const options = { model: means(), fileName: 'means.onnx', name: 'means', patterns: { head: ['none'] } };
  await compileModel({ ...options, directory, imageSize: [SIDE, SIDE] });
  bundle = await loadBundle(directory, { threads: 1 });
  const [red, blue] = [await picture('#f00'), await picture('#00f')];
  images = Array.from({ length: COUNT }, (_, i) => (i % 2 === 0 ? red : blue));
});
afterAll(async () => {
  await bundle.release();
  await rm(folder, { recursive: true, force: true });
});

/** What is done before the second part is predicted, and whether the engine has forgotten the profile by then. */
let between: () => Promise<unknown>;
let forgets: boolean;
let parts: number;
beforeEach(() => {
  [between, forgets, parts] = [async () => undefined, false, 0];
});

/** An engine that lets something happen before the second part of a list. */
function watched(engine: Engine): Engine {
  return {
    models: engine.models,
    sessions: engine.sessions,
    adapt: (job, control) => engine.adapt(job, control),
    inspect: (model, bytes) => engine.inspect(model, bytes),
    close: () => engine.close(),
    async predict(model: string, queries: readonly Query[]) {
      const asks = queries.every(({ bytes }) => bytes === undefined);
      if (asks && parts++ === 1) {
        await between();
        if (forgets) return queries.map(() => ({ kind: 'unknown' }) as const);
      }
      return engine.predict(model, queries);
    },
  };
}

describe('a long list whose profile changes on the way', () => {
  async function predicting(change: (client: WhetClient, profile: string) => Promise<unknown>) {
    const store = createMemoryStore();
    const engine = watched(localEngine(new Map([['means', bundle]])));
    // Whole parts, so that there are two.
    const server = await startServer({ engine, store, version: '1.2.3', work: { batchImages: 4096 } });
    try {
      const client = new WhetClient(server.url);
      const examples = ['red', 'blue'].map((label, i) => ({ label, image: images[i] as Buffer }));
      const { profile } = await client.adapt({ examples });
      await client.predict({ profile }, images.slice(0, 1));
      parts = 0;
      between = () => change(client, profile);
      const answer = await client.predict({ profile }, images).catch(({ problem }: RequestError) => problem);
      return { answer, parts };
    } finally {
      await server.close();
    }
  }
  const swapped = (client: WhetClient, profile: string) =>
    client.adapt({ profile, examples: ['blue', 'red'].map((label, i) => ({ label, image: images[i] as Buffer })) });

  test('is answered of the version that it began with, where that is at hand', async () => {
    const { answer, parts } = await predicting(swapped);
    expect(parts).toBe(2);
    expect(answer).toMatchObject({ predictions: images.map((_, i) => ({ label: i % 2 === 0 ? 'red' : 'blue' })) });
  });

  test('is refused with 409 where it is not: one answer is of one version', async () => {
    forgets = true;
    const { answer, parts } = await predicting(swapped);
    expect(parts).toBe(2);
    expect(answer).toMatchObject({ status: 409, field: 'version', current: 2 });
  });

  test('is answered where it is fetched again and is the same', async () => {
    forgets = true;
    const { answer } = await predicting(async () => undefined);
    expect(answer).toMatchObject({ predictions: images.map((_, i) => ({ label: i % 2 === 0 ? 'red' : 'blue' })) });
  });

  test('is not found where it is gone', async () => {
    forgets = true;
    const { answer } = await predicting((client, profile) => client.deleteProfile(profile));
    expect(answer).toMatchObject({ status: 404, field: 'profile' });
  });
});

import { rm } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { type RequestError, WhetClient } from '@whet/runtime/client';
import { type Engine, threadedEngine } from '@whet/server';
import { randomImages, writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './server-fixture.js';

let directory: string;
const engines: Engine[] = [];
const load = async () => {
  const engine = await threadedEngine([directory], { threads: 1, adaptNiceness: 0 });
  engines.push(engine);
  return engine;
};
const servers: TestServer[] = [];

async function startThreaded(work: object): Promise<{ client: WhetClient; server: TestServer }> {
  const server = await startTestServer({ steps: 1_000_000 }, { engine: await load(), work });
  servers.push(server);
  return { client: new WhetClient(server.url), server };
}

beforeAll(async () => {
  directory = await writeTinyBundle();
});
afterAll(async () => {
  for (const server of servers) await server.close();
  for (const engine of engines) await engine.close();
  await rm(directory, { recursive: true, force: true });
});

const examples = randomImages('examples', 4).map((image, i) => ({ label: 'ab'[i % 2] as string, image }));
/** Minutes of work, unless it is ended. */
const endless = { examples, pattern: 'full', steps: 1_000_000, rate: 1e-9 };
const refusal = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error: unknown) => error as RequestError,
  );
const gauge = async (url: string, name: string) => {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1]);
};
const until = async (condition: () => Promise<boolean>) => {
  for (let i = 0; i < 1500; i++) {
    if (await condition()) return;
    await pause(20);
  }
  throw new Error('it did not come to that in 30 s');
};

test('predictions go on while it adapts; the queue has an end, and callers who go away leave it', async () => {
  const { client, server } = await startThreaded({ adaptQueue: 2 });
  const { url } = server;
  const { profile } = await client.adapt({ examples });
  const gone = new AbortController();
  const running = refusal(client.adapt(endless, { signal: gone.signal }));
  await until(async () => (await gauge(url, 'whet_adaptations_running')) === 1);
  const waiting = [
    refusal(client.adapt(endless, { signal: gone.signal })),
    refusal(client.adapt(endless, { signal: gone.signal })),
  ];
  await until(async () => (await gauge(url, 'whet_adaptations_waiting')) === 2);
  expect(await refusal(client.adapt({ examples }))).toMatchObject({
    status: 429,
    retryAfter: expect.any(Number),
    message: 'request: expected at most 2 adaptations that wait, got 2',
  });
  for (const image of randomImages('queries', 50)) {
    expect((await client.predict({ profile }, [image])).predictions).toHaveLength(1);
  }
  expect(await gauge(url, 'whet_adaptations_running')).toBe(1);
  gone.abort();
  await Promise.all([running, ...waiting]);
  await until(async () => (await gauge(url, 'whet_adaptations_running')) === 0);
  expect(await gauge(url, 'whet_adaptations_waiting')).toBe(0);
  expect(await client.adapt({ examples })).toMatchObject({ version: 1 });
  expect((await server.store.usage()).profiles).toBe(2);
  expect(server.errors).toEqual([]);
});

test('an adaptation that takes too long is given up, and stores nothing', async () => {
  const { client, server } = await startThreaded({ adaptDeadlineMs: 300 });
  const began = performance.now();
  expect(await refusal(client.adapt(endless))).toMatchObject({ status: 503, problem: { type: '/problems/deadline' } });
  expect(performance.now() - began).toBeGreaterThan(299);
  await until(async () => (await gauge(server.url, 'whet_adaptations_running')) === 0);
  expect((await server.store.usage()).profiles).toBe(0);
});

test('requests at the same time are predicted together, each with its own profile and the right answer', async () => {
  const { client, server } = await startThreaded({ batchImages: 8 });
  const patterns = ['head', 'full', 'sparse'];
  const profiles = await Promise.all(
    patterns.map(async (pattern) => (await client.adapt({ examples, pattern })).profile),
  );
  const images = randomImages('queries', 90);
  const alone = [];
  for (const [i, image] of images.entries())
    alone.push(await client.predict({ profile: profiles[i % 3] as string }, [image]));
  const before = await gauge(server.url, 'whet_batch_requests_count');
  const together = await Promise.all(
    images.map((image, i) => client.predict({ profile: profiles[i % 3] as string }, [image])),
  );
  for (const [i, { predictions }] of together.entries()) {
    const expected = alone[i]?.predictions[0];
    expect(predictions[0]?.label).toBe(expected?.label);
    for (const [name, value] of Object.entries(expected?.probabilities ?? {})) {
      expect(predictions[0]?.probabilities[name]).toBeCloseTo(value, 5);
    }
  }
  expect((await gauge(server.url, 'whet_batch_requests_count')) - before).toBeLessThan(90);
  // A list that is longer than a batch goes in parts, in its order.
  const list = await client.predict({ profile: profiles[0] as string }, images.slice(0, 21));
  const each = await client.predict({ profile: profiles[0] as string }, [images[20] as Float32Array]);
  expect(list.predictions).toHaveLength(21);
  expect(list.predictions[20]?.label).toBe(each.predictions[0]?.label);
});

test('threads that adapt start when they are needed, as many as there are adaptations at once', async () => {
  const options = { threads: 1, adaptThreads: 2, adaptNiceness: 0 };
  const engine = await threadedEngine([directory], options);
  engines.push(engine);
  const job = { model: 'tiny', examples: examples.map(({ label, image }) => ({ label, image })) };
  const adapt = () => engine.adapt(job, { signal: new AbortController().signal });
  const { sessions } = engine;
  await adapt();
  await adapt();
  const ofOne = engine.sessions - sessions;
  expect(ofOne).toBeGreaterThan(0);
  const adapted = await Promise.all([adapt(), adapt(), adapt()]);
  expect(adapted).toHaveLength(3);
  expect(engine.sessions - sessions).toBe(2 * ofOne);
});

test('threads that start later run the bundle that the engine began with, whatever became of its folder', async () => {
  const own = await writeTinyBundle();
  const options = { threads: 1, adaptThreads: 2, adaptNiceness: 0 };
  const engine = await threadedEngine([own], options);
  engines.push(engine);
  await rm(own, { recursive: true, force: true });
  const job = { model: 'tiny', examples: examples.map(({ label, image }) => ({ label, image })) };
  const adapt = () => engine.adapt(job, { signal: new AbortController().signal });
  const [{ bytes }] = await Promise.all([adapt(), adapt()]);
  expect(await engine.inspect('tiny', bytes)).toMatchObject({ classes: ['a', 'b'] });
  await expect(threadedEngine([own], options)).rejects.toMatchObject({ name: 'BundleError' });
});

test('an engine that was closed says so, and starts no thread', async () => {
  const engine = await threadedEngine([directory], { threads: 1, adaptNiceness: 0 });
  await engine.close();
  await engine.close();
  const query = { key: undefined, images: [] };
  const { signal } = new AbortController();
  for (const asked of [
    engine.inspect('tiny', new Uint8Array()),
    engine.predict('tiny', [query]),
    engine.adapt({ model: 'tiny', examples: [] }, { signal }),
  ]) {
    await expect(asked).rejects.toMatchObject({
      name: 'EngineError',
      message: 'expected an engine that runs, got one that was closed',
    });
  }
  expect(engine.sessions).toBe(0);
});

test('sessions are made when they are first needed, or all before', async () => {
  const options = { threads: 1, adaptNiceness: 0 };
  const [engine, all] = await Promise.all([load(), threadedEngine([directory], { ...options, preload: 'all' })]);
  engines.push(all);
  const job = { model: 'tiny', examples: examples.map(({ label, image }) => ({ label, image })) };
  const signal = new AbortController().signal;
  // The thread that adapts starts with the first adaptation.
  await engine.adapt(job, { signal });
  const { sessions } = engine;
  await engine.adapt(job, { signal });
  expect(engine.sessions).toBe(sessions);
  await engine.adapt({ ...job, pattern: 'full' }, { signal });
  expect(engine.sessions).toBeGreaterThan(sessions);
  expect(all.sessions).toBeGreaterThan(engine.sessions);
  const before = all.sessions;
  await all.adapt({ ...job, pattern: 'full' }, { signal });
  expect(all.sessions).toBe(before);
});

test('a folder that is no bundle is refused, and names that meet', async () => {
  await expect(threadedEngine(['/nowhere'], { threads: 1, adaptNiceness: 0 })).rejects.toMatchObject({
    name: 'BundleError',
  });
  await expect(threadedEngine([directory, directory], { threads: 1, adaptNiceness: 0 })).rejects.toThrow(
    'called "tiny"',
  );
});

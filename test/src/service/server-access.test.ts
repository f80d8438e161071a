import { randomUUID } from 'node:crypto';
import { Agent, get } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { type RequestError, WhetClient } from '@whet/runtime/client';
import { addKey, createMemoryStore } from '@whet/server';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkAnswer } from './check-answers.js';
import { type Drawing, SIZE, startTestServer, type TestServer, tensorOf } from './server-fixture.js';

let server: TestServer;
let url: string;
const lines: string[] = [];
const clients: Record<'a' | 'a2' | 'b' | 'operator' | 'slow', WhetClient> = {} as never;
const keys: Record<string, string> = {};

beforeAll(async () => {
  const store = createMemoryStore();
  const logger = pino({ base: null }, { write: (line: string) => lines.push(line) });
  server = await startTestServer({}, { store, auth: 'keys', logger });
  url = server.url;
  const add = async (name: keyof typeof clients, rest: object = {}) => {
    const { key, record } = await addKey(store.keys, { name, ...rest });
    keys[name] = key;
    clients[name] = new WhetClient(url, { key });
    return record;
  };
  const { namespace } = await add('a');
  await add('a2', { namespace });
  await add('b');
  await add('operator', { role: 'operator' });
  await add('slow', { rateLimit: 3 });
});
afterAll(() => server.close());

const image = (shape: Drawing) => Float32Array.from(tensorOf(shape));
const examples = (['left', 'top'] as const).map((label) => ({ label, image: image(label) }));
const status = (work: Promise<unknown>) =>
  work.then(
    () => 200,
    (error: RequestError) => error.status,
  );

describe('keys', () => {
  test('are asked for wherever profiles or models are told, and nowhere else', async () => {
    for (const path of [
      '/profiles',
      `/profiles/${randomUUID()}`,
      '/models',
      '/metrics',
      `/profiles/${randomUUID()}/export`,
    ]) {
      const response = await fetch(url + path);
      expect(response.status).toBe(401);
      expect(response.headers.get('www-authenticate')).toBe('Bearer realm="whet"');
    }
    for (const path of ['/adapt', '/predict', '/profiles']) {
      expect((await fetch(url + path, { method: 'POST', body: '{}' })).status).toBe(401);
    }
    for (const path of ['/health', '/health/live', '/health/ready', '/openapi.json', '/docs']) {
      expect((await fetch(url + path)).status).toBe(200);
    }
    expect(await (await fetch(`${url}/health`)).json()).not.toHaveProperty('profiles');
  });

  test.each(['', 'Bearer', 'Bearer x', 'Basic abc', 'Bearer whet_', `Bearer ${'x'.repeat(5000)}`])(
    'are not taken as %j',
    async (authorization) => {
      const response = await fetch(`${url}/profiles`, { headers: { authorization } });
      expect(response.status).toBe(401);
      const { detail } = (await response.json()) as { detail: string };
      expect(detail).toContain('authorization: expected "Bearer" and an API key, got ');
    },
  );

  test('are taken in either header, and are kept as hashes alone', async () => {
    const key = keys['a'] as string;
    expect((await fetch(`${url}/models`, { headers: { 'X-API-Key': key } })).status).toBe(200);
    expect((await fetch(`${url}/models`, { headers: { Authorization: `bearer ${key}` } })).status).toBe(200);
    expect(JSON.stringify(await server.store.keys.list())).not.toContain(key.slice(5, 20));
  });

  test('let only operators read the metrics', async () => {
    const metrics = (key: string) => fetch(`${url}/metrics`, { headers: { 'X-API-Key': key } });
    const refused = await metrics(keys['a'] as string);
    expect(await refused.json()).toMatchObject({
      status: 403,
      detail: 'authorization: expected the key of an operator, got that of a user',
    });
    expect((await metrics(keys['operator'] as string)).status).toBe(200);
  });

  test('are of no use once they are revoked', async () => {
    const { key, record } = await addKey(server.store.keys, { name: 'short' });
    const client = new WhetClient(url, { key });
    expect(await status(client.profiles())).toBe(200);
    await server.store.keys.revoke(record.name);
    expect(await status(client.profiles())).toBe(401);
  });
});

test('wrong keys are refused before the store is asked, once there were many; a key that is in use goes on', async () => {
  const store = createMemoryStore();
  const { key } = await addKey(store.keys, { name: 'right' });
  let asked = 0;
  const find = store.keys.find.bind(store.keys);
  store.keys.find = (hash) => {
    asked++;
    return find(hash);
  };
  const guessed = await startTestServer({}, { store, auth: 'keys' });
  const ask = async (value: string) =>
    (await fetch(`${guessed.url}/models`, { headers: { 'X-API-Key': value } })).status;
  expect(await ask(key)).toBe(200);
  for (let i = 0; i < 60; i++) expect(await ask(`whet_${i}`)).toBe(401);
  const before = asked;
  const refused = await fetch(`${guessed.url}/models`, { headers: { Authorization: 'Bearer whet_more' } });
  expect([refused.status, Number(refused.headers.get('retry-after')) > 0]).toEqual([429, true]);
  expect(await refused.json()).toMatchObject({
    detail: 'authorization: expected at most 60 wrong keys a minute, got more',
  });
  for (let i = 0; i < 20; i++) expect(await ask(`whet_more_${i}`)).toBe(429);
  expect(asked).toBe(before);
  expect(await ask(key)).toBe(200);
  await guessed.close();
});

test('wrong keys that come at once are counted before the store has answered; right ones only wait', async () => {
  const store = createMemoryStore();
  const right = await Promise.all(
    Array.from({ length: 80 }, async (_, i) => (await addKey(store.keys, { name: `right ${i}` })).key),
  );
  const find = store.keys.find.bind(store.keys);
  let asked = 0;
  let asking = 0;
  let most = 0;
  store.keys.find = async (hash) => {
    asked++;
    most = Math.max(most, ++asking);
    await pause(100);
    asking--;
    return find(hash);
  };
  const guessed = await startTestServer({}, { store, auth: 'keys' });
  const ask = async (value: string) =>
    (await fetch(`${guessed.url}/models`, { headers: { 'X-API-Key': value } })).status;
  // More at once than may be wrong.
  const statuses = await Promise.all(right.map(ask));
  expect(new Set(statuses)).toEqual(new Set([200]));
  expect(most).toBeLessThanOrEqual(60);
  asked = 0;
  const wrong = await Promise.all(Array.from({ length: 150 }, (_, i) => ask(`whet_${i}`)));
  expect(asked).toBe(60);
  expect(wrong.filter((status) => status === 401)).toHaveLength(60);
  expect(wrong.filter((status) => status === 429)).toHaveLength(90);
  await guessed.close();
});

describe('profiles of another key', () => {
  const ask = async (id: string) => {
    const response = await fetch(`${url}/profiles/${id}`, { headers: { 'X-API-Key': keys['a'] as string } });
    const text = (await response.text()).replaceAll(id, 'ID');
    const names = [...response.headers.keys()].sort();
    return JSON.stringify([response.status, text, names]);
  };
  const idsOf = (client: WhetClient, bytes: Uint8Array) =>
    Promise.all(Array.from({ length: 20 }, async () => (await client.importProfile(bytes)).profile));
  /** Pairs of requests, one for a profile of another key and one for nobody's, in either order. */
  const PAIRS = 200;
  /** By chance, this many more than half are of one kind once in 30,000 times: four standard deviations. */
  const CHANCE = 4 * Math.sqrt(PAIRS / 4);
  /** In how many pairs another key's profile took longer. */
  const slower = async (theirs: readonly string[]) => {
    const nobodys = theirs.map(() => randomUUID());
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const headers = { 'X-API-Key': keys['a'] as string };
    // Without what `fetch` does besides, which takes longer than the service.
    const timeOf = (id: string) =>
      new Promise<number>((resolve, reject) => {
        const began = performance.now();
        get(`${url}/profiles/${id}`, { agent, headers }, (response) => {
          response.resume().once('end', () => resolve(performance.now() - began));
        }).once('error', reject);
      });
    let count = 0;
    for (let i = 0; i < PAIRS; i++) {
      const pair = [theirs[i % theirs.length], nobodys[i % nobodys.length]] as [string, string];
      const turned = Math.random() < 0.5;
      const [first, second] = [await timeOf(pair[turned ? 1 : 0]), await timeOf(pair[turned ? 0 : 1])];
      if (turned ? second > first : first > second) count++;
    }
    agent.destroy();
    return count;
  };

  test('are not there: to read, list, predict with, change, overwrite or delete', async () => {
    const { a, b } = clients;
    const { profile } = await b.adapt({ examples });
    const { bytes, etag } = await b.exportProfile(profile);
    const before = await b.profile(profile);
    const nobodys = randomUUID();
    const tries = (id: string) => [
      status(a.profile(id)),
      status(a.exportProfile(id)),
      status(a.predict({ profile: id }, [image('left')])),
      status(a.adapt({ examples, profile: id })),
      status(a.adapt({ examples, profile: id, continue: true, version: 1 })),
      status(a.deleteProfile(id)),
      status(a.deleteProfile(id, { etag })),
    ];
    const answers = await Promise.all(tries(profile));
    expect(answers).toEqual(new Array(7).fill(404));
    expect(answers).toEqual(await Promise.all(tries(nobodys)));
    expect((await a.profiles()).profiles).toEqual([]);
    // The same id in another namespace is another profile, whose making tells nothing of the first.
    expect(await a.importProfile(bytes, { id: profile })).toMatchObject({ version: 1 });
    await a.deleteProfile(profile);
    expect(await b.profile(profile)).toEqual(before);
    expect((await b.profiles()).profiles).toHaveLength(1);
  });

  test('have the words of a refusal of any id, and take as long', async () => {
    const { profile } = await clients.b.adapt({ examples });
    expect(await ask(profile)).toBe(await ask(randomUUID()));
    const { bytes } = await clients.b.exportProfile(profile);
    expect(Math.abs((await slower(await idsOf(clients.b, bytes))) - PAIRS / 2)).toBeLessThan(CHANCE);
  });

  test('would be told from none by a millisecond more', async () => {
    const { store } = server;
    const owner = (await store.keys.list()).find(({ name }) => name === 'b')?.namespace as string;
    const info = store.info.bind(store);
    const ids = await idsOf(
      clients.b,
      (await clients.b.exportProfile((await clients.b.adapt({ examples })).profile)).bytes,
    );
    // A leak, as of a store that looks into an index of all owners first.
    store.info = async (asking, id) => {
      if (await info(owner, id)) await new Promise((resolve) => setTimeout(resolve, 1));
      return info(asking, id);
    };
    try {
      expect((await slower(ids)) - PAIRS / 2).toBeGreaterThan(CHANCE);
    } finally {
      store.info = info;
    }
  });

  test('are shared by keys of one namespace', async () => {
    const { profile } = await clients.a.adapt({ examples });
    expect(await clients.a2.profile(profile)).toEqual(await clients.a.profile(profile));
  });
});

describe('limits', () => {
  test('of requests a minute are per key', async () => {
    const { slow, b } = clients;
    for (let i = 0; i < 3; i++) expect(await status(slow.models())).toBe(200);
    const refusal = await slow.models().catch((error: RequestError) => error);
    expect(refusal).toMatchObject({
      status: 429,
      retryAfter: expect.any(Number),
      message: 'request: expected at most 3 requests a minute, got more',
    });
    expect(await status(b.models())).toBe(200);
  });

  test('of other origins: none may call unless they are named', async () => {
    const from = (server: string) => fetch(`${server}/health`, { headers: { Origin: 'https://a.example' } });
    expect((await from(url)).headers.has('access-control-allow-origin')).toBe(false);
    const open = await startTestServer({}, { corsOrigins: ['https://a.example'] });
    expect((await from(open.url)).headers.get('access-control-allow-origin')).toBe('https://a.example');
    await open.close();
  });

  test.each([
    ['head', 'GET /health HTTP/1.1\r\nX-Slow: a', 408, 'timeout'],
    [
      'body',
      'POST /adapt HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n',
      408,
      'timeout',
    ],
    ['rest of nonsense', 'nonsense\r\n\r\n', 400, 'malformed-request'],
  ] as const)(
    'of time: a client whose %s dribbles in is refused and hung up on, others are served meanwhile',
    {
      timeout: 20_000,
    },
    async (_what, begin, expected, kind) => {
      const strict = await startTestServer({}, { timeouts: { headMs: 300, bodyMs: 300 } });
      const { hostname, port } = new URL(strict.url);
      const dribble = new Promise<string>((resolve) => {
        // A client that goes on where it was told to go.
        const socket = connect({ port: Number(port), host: hostname, allowHalfOpen: true });
        let got = '';
        socket.write(begin);
        const timer = setInterval(() => socket.write('a'), 50);
        socket.on('data', (data) => {
          got += data;
        });
        socket.on('error', () => undefined);
        socket.on('close', () => {
          clearInterval(timer);
          resolve(got);
        });
      });
      expect((await fetch(`${strict.url}/health`)).status).toBe(200);
      const [start = '', body = ''] = (await dribble).split('\r\n\r\n');
      expect(start).toMatch(new RegExp(`^HTTP/1.1 ${expected} `));
      expect(JSON.parse(body)).toMatchObject({ type: `/problems/${kind}` });
      if (expected === 408) expect(body).toContain('expected a whole request in time, got a part of one');
      const headers = start
        .split('\r\n')
        .slice(1)
        .map((line) => line.split(': ') as [string, string]);
      await checkAnswer(strict.url, 'GET', '/health', new Response(body, { status: expected, headers }));
      await strict.close();
    },
  );

  test('of time: an answer that is not read', { timeout: 20_000 }, async () => {
    const count = 8000;
    const strict = await startTestServer({ predictImages: count }, { timeouts: { bodyMs: 500 } });
    const client = new WhetClient(strict.url);
    const long = examples.map((each) => ({ ...each, label: each.label.padEnd(256, 'x') }));
    const { profile } = await client.adapt({ examples: long });
    const { hostname, port } = new URL(strict.url);
    const socket = connect({ port: Number(port), host: hostname });
    const length = count * SIZE * SIZE * 4;
    const head = `POST /predict?profile=${profile} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream`;
    socket.pause();
    socket.write(`${head}\r\nContent-Length: ${length}\r\n\r\n`);
    socket.write(Buffer.alloc(length));
    const cut = new Promise<unknown>((resolve) => socket.once('error', resolve));
    // Not read, but written to: where the server is still there, this is no error.
    const timer = setInterval(() => socket.write('GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n'), 100);
    expect(await cut).toMatchObject({ code: expect.stringMatching(/ECONNRESET|EPIPE/) });
    clearInterval(timer);
    await strict.close();
  });
});

test('logs tell who asked for what and how it went, without keys, images or labels', async () => {
  lines.length = 0;
  const { profile } = await clients.a.adapt({
    examples: examples.map((each) => ({ ...each, label: `secret ${each.label}` })),
  });
  await status(clients.a.profile(profile));
  await fetch(`${url}/secret-path?x=secret`, { headers: { 'X-API-Key': keys['a'] as string } });
  await new Promise((resolve) => setTimeout(resolve, 20));
  const logged = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(logged.map(({ method, route, status: code }) => [method, route, code])).toEqual([
    ['POST', '/adapt', 201],
    ['GET', '/profiles/:id', 200],
    ['GET', 'other', 404],
  ]);
  const [record] = (await server.store.keys.list()).filter(({ name }) => name === 'a');
  expect(logged[0]).toMatchObject({ key: record?.id, milliseconds: expect.any(Number) });
  const text = lines.join('');
  expect(text).not.toContain('secret');
  for (const key of Object.values(keys)) expect(text).not.toContain(key.slice(5));
});

import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { Bundle } from '@whet/runtime';
import { addKey, createApp, createMemoryStore, startServer } from '@whet/server';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkAnswersOf } from './check-answers.js';
import { openTinyBundle, post, tensorOf } from './server-fixture.js';

let bundle: Bundle;
beforeAll(async () => {
  bundle = await openTinyBundle();
});
afterAll(() => bundle.release());

const body = { examples: (['left', 'top'] as const).map((label) => ({ label, tensor: tensorOf(label) })) };

describe('a fault of the server', () => {
  test('is a problem without its reasons, which the operator hears', async () => {
    const failure = new Error('disk /secret/path is full');
    const errors: unknown[] = [];
    const store = { ...createMemoryStore(), put: () => Promise.reject(failure) };
    const bundles = new Map([['tiny', bundle]]);
    const server = await startServer({ bundles, store, version: '0', onError: (error) => errors.push(error) });
    await checkAnswersOf(server.url);
    try {
      const response = await post(`${server.url}/adapt`, body);
      expect(response.status).toBe(500);
      expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/);
      const text = await response.text();
      expect(JSON.parse(text)).toMatchObject({ type: '/problems/internal-error', status: 500 });
      expect(text).not.toMatch(/secret|disk/);
      expect(errors).toEqual([failure]);
      expect((await fetch(`${server.url}/health`)).status).toBe(200);
    } finally {
      await server.close();
    }
  });

  test('is not told where nobody listens, and ends nothing', async () => {
    const store = { ...createMemoryStore(), usage: () => Promise.reject(new Error('gone')) };
    const server = await startServer({ bundles: new Map([['tiny', bundle]]), store, version: '0' });
    await checkAnswersOf(server.url);
    try {
      expect((await fetch(`${server.url}/health`)).status).toBe(500);
      expect((await fetch(`${server.url}/models`)).status).toBe(200);
    } finally {
      await server.close();
    }
  });
});

describe('startServer', () => {
  const options = () => ({ bundles: new Map([['tiny', bundle]]), store: createMemoryStore(), version: '0' });

  test('rejects where the port is taken', async () => {
    const server = await startServer(options());
    await checkAnswersOf(server.url);
    try {
      const port = Number(new URL(server.url).port);
      await expect(startServer({ ...options(), port })).rejects.toThrow(/EADDRINUSE/);
    } finally {
      await server.close();
    }
  });

  test('closes after the requests under way are answered, and then refuses', async () => {
    const server = await startServer(options());
    await checkAnswersOf(server.url);
    const answer = post(`${server.url}/adapt`, { ...body, steps: 100 });
    await new Promise((resolve) => setTimeout(resolve, 20));
    const [response] = await Promise.all([answer, server.close()]);
    expect(response.status).toBe(201);
    await expect(fetch(`${server.url}/health`)).rejects.toThrow();
  });

  test('answers who has connected before it closed, and hangs up on who asks nothing', async () => {
    const server = await startServer(options());
    await checkAnswersOf(server.url);
    expect((await fetch(`${server.url}/health`)).status).toBe(200);
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    await once(socket, 'connect');
    const silent = connect(Number(port), hostname);
    await once(silent, 'connect');
    // The server has accepted both.
    expect((await fetch(`${server.url}/health`)).status).toBe(200);
    const closed = server.close();
    await pause(50);
    socket.write('GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n');
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(String(answer)).toMatch(/^HTTP\/1.1 200 [\s\S]*\r\nConnection: close\r\n/);
    // Long before the time that requests under way have.
    expect(await Promise.race([closed.then(() => 'closed'), pause(5000, 'still open')])).toBe('closed');
  });

  test('closes after a client went away while a slow store was asked who it is', async () => {
    const memory = createMemoryStore();
    const { key } = await addKey(memory.keys, { name: 'phone' });
    let asked = 0;
    const find = async (hash: string) => {
      asked++;
      await pause(200);
      return memory.keys.find(hash);
    };
    const store = { ...memory, keys: { ...memory.keys, find } };
    const server = await startServer({ ...options(), store, auth: 'keys' });
    const headers = { 'X-API-Key': key, 'Content-Type': 'application/json' };
    const controller = new AbortController();
    const sent = ['/adapt', '/predict'].map((path) =>
      fetch(server.url + path, { method: 'POST', headers, body: JSON.stringify(body), signal: controller.signal }),
    );
    const gone = Promise.allSettled(sent);
    while (asked < sent.length) await pause(5);
    controller.abort();
    await gone;
    await pause(400);
    expect(await Promise.race([server.close().then(() => 'closed'), pause(3000, 'still open')])).toBe('closed');
    expect((await memory.usage()).profiles).toBe(0);
  });

  test('is not ready once it is about to end', async () => {
    const server = await startServer({ ...options(), timeouts: { drainDelayMs: 300 } });
    await checkAnswersOf(server.url);
    const closed = server.close();
    expect(await (await fetch(`${server.url}/health/ready`)).json()).toMatchObject({
      status: 503,
      detail: 'request: expected a service that stays, got one that is about to end',
    });
    await closed;
  });

  test('names an address that answers', async () => {
    const server = await startServer({ ...options(), host: '0.0.0.0' });
    await checkAnswersOf(server.url);
    try {
      expect(server.url).toMatch(/^http:\/\/localhost:\d+$/);
      expect((await fetch(`${server.url.replace('localhost', '127.0.0.1')}/health`)).status).toBe(200);
    } finally {
      await server.close();
    }
  });
});

test('createApp wants a bundle', () => {
  const options = { bundles: new Map<string, Bundle>(), store: createMemoryStore(), version: '0' };
  expect(() => createApp(options)).toThrow('bundles: expected at least one bundle, got none');
});

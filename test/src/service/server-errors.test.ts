import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import type { Bundle } from '@whet/runtime';
import {
  createMemoryStore,
  type Engine,
  localEngine,
  openStore,
  type ProfileStore,
  type RunningServer,
  StoreUnavailableError,
  startServer,
} from '@whet/server';
import { writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { lacking } from '../needs.js';
import { whetMain } from '../programs.js';
import { openTinyBundle, post, postText, tensorOf } from './server-fixture.js';

// An error in every stream, thread, timer and socket that the service has: each is answered or passed over, and none ends it.

let bundle: Bundle;
beforeAll(async () => {
  bundle = await openTinyBundle();
});
afterAll(() => bundle.release());

let server: RunningServer;
let errors: unknown[];
afterEach(() => server?.close());

const examples = (['left', 'top'] as const).map((label) => ({ label, tensor: tensorOf(label) }));
const query = { images: [{ tensor: tensorOf('left') }] };

async function start(
  options: { store?: Partial<ProfileStore>; engine?: Partial<Engine>; adaptDeadlineMs?: number } = {},
) {
  errors = [];
  const engine: Engine = { ...localEngine(new Map([['tiny', bundle]])), ...options.engine };
  server = await startServer({
    engine,
    store: { ...createMemoryStore(), ...options.store },
    version: '0',
    onError: (error) => errors.push(error),
    timeouts: { drainMs: 2000 },
    ...(options.adaptDeadlineMs ? { work: { adaptDeadlineMs: options.adaptDeadlineMs } } : {}),
  });
  return server.url;
}

/** A status, and the problem that the body states. */
async function refusal(asked: Promise<Response>): Promise<string> {
  const response = await asked;
  const { type } = (await response.json()) as { type?: string };
  return `${response.status} ${type}`;
}

describe('a store that fails', () => {
  const ID = '00000000-0000-4000-8000-000000000000';
  const calls: readonly [method: keyof ProfileStore, ask: (url: string) => Promise<Response>][] = [
    ['put', (url) => post(`${url}/adapt`, { examples })],
    ['info', (url) => post(`${url}/predict`, { ...query, profile: ID })],
    ['get', (url) => fetch(`${url}/profiles/${ID}/export`)],
    ['info', (url) => fetch(`${url}/profiles/${ID}`)],
    ['list', (url) => fetch(`${url}/profiles`)],
    ['delete', (url) => fetch(`${url}/profiles/${ID}`, { method: 'DELETE' })],
    ['check', (url) => fetch(`${url}/health/ready`)],
  ];
  test.each(calls)('%s: it is said whose fault it is, and who asks next is answered', async (method, ask) => {
    const failures: readonly [fail: () => never, got: string][] = [
      [
        () => {
          throw new Error('thrown');
        },
        '500 /problems/internal-error',
      ],
      [
        () => {
          throw new StoreUnavailableError('away');
        },
        '503 /problems/unavailable',
      ],
    ];
    for (const [fail, got] of failures) {
      for (const failing of [fail, async () => fail()]) {
        const url = await start({ store: { [method]: failing } });
        expect(await refusal(ask(url))).toBe(got);
        expect((await fetch(`${url}/models`)).status).toBe(200);
        await server.close();
      }
    }
  });
});

describe('an engine that fails', () => {
  const thrown = () => {
    throw new Error('thrown');
  };
  test.each([
    ['throws', thrown],
    ['rejects', async () => thrown()],
  ])('%s: the one request is refused', async (_, fail) => {
    const url = await start({ engine: { predict: fail, inspect: fail } });
    const { profile } = (await (await post(`${url}/adapt`, { examples })).json()) as { profile: string };
    const bytes = new Uint8Array(await (await fetch(`${url}/profiles/${profile}/export`)).arrayBuffer());
    expect(await refusal(post(`${url}/predict`, { ...query, profile }))).toBe('500 /problems/internal-error');
    const imported = postText(`${url}/profiles`, bytes, { 'Content-Type': 'application/octet-stream' });
    expect(await refusal(imported)).toBe('500 /problems/internal-error');
    expect((await fetch(`${url}/profiles/${profile}`)).status).toBe(200);
    expect(errors).toHaveLength(2);
    await server.close();
    expect(await refusal(post(`${await start({ engine: { adapt: fail } })}/adapt`, { examples }))).toBe(
      '500 /problems/internal-error',
    );
  });

  test('ends between two steps that are told: the stream says so', async () => {
    const adapt: Engine['adapt'] = async (_, { onStep }) => {
      onStep?.(1, 0.5);
      await pause(10);
      return thrown();
    };
    const url = await start({ engine: { adapt } });
    const response = await fetch(`${url}/adapt`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Accept: 'text/event-stream' },
      body: JSON.stringify({ examples }),
    });
    expect(await response.text()).toMatch(/^event: step\n[\s\S]*event: problem\ndata: .*internal-error/);
  });

  test('never answers: an adaptation has its deadline, and who goes away holds nothing up', async () => {
    const never = () => new Promise<never>(() => undefined);
    const { adapt } = localEngine(new Map([['tiny', bundle]]));
    let isStuck = false;
    const stuck: Engine['adapt'] = (job, control) =>
      isStuck
        ? new Promise((_, reject) => {
            control.signal.addEventListener('abort', () => reject(control.signal.reason as Error));
          })
        : adapt(job, control);
    const url = await start({ engine: { adapt: stuck, predict: never }, adaptDeadlineMs: 1000 });
    const { profile } = (await (await post(`${url}/adapt`, { examples })).json()) as { profile: string };
    isStuck = true;
    expect(await refusal(post(`${url}/adapt`, { examples }))).toBe('503 /problems/deadline');
    const controller = new AbortController();
    const asked = fetch(`${url}/predict`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ ...query, profile }),
      signal: controller.signal,
    });
    setTimeout(() => controller.abort(), 50);
    await expect(asked).rejects.toThrow();
    expect((await fetch(`${url}/models`)).status).toBe(200);
    expect(await Promise.race([server.close().then(() => 'closed'), pause(20_000, 'open', { ref: false })])).toBe(
      'closed',
    );
  });
});

async function open(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

describe('a client that resets its connection', () => {
  const json = JSON.stringify({ examples, steps: 200 });
  const head = (path: string, type: string, length: number, more = '') =>
    `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${type}\r\nContent-Length: ${length}\r\n${more}\r\n`;
  const form = `--x\r\nContent-Disposition: form-data; name="a"; filename="a.png"\r\nContent-Type: image/png\r\n\r\nabc`;
  const packed = gzipSync(json).toString('latin1');
  const requests: Readonly<Record<string, string>> = {
    json: head('/adapt', 'application/json', json.length) + json,
    events: head('/adapt', 'application/json', json.length, 'Accept: text/event-stream\r\n') + json,
    gzip: head('/adapt', 'application/json', packed.length, 'Content-Encoding: gzip\r\n') + packed,
    chunks: `POST /adapt HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${json.length.toString(16)}\r\n${json}\r\n0\r\n\r\n`,
    form: head('/adapt', 'multipart/form-data; boundary=x', 100_000) + form.repeat(20),
    bytes: head('/predict', 'application/octet-stream', 5760) + '\0'.repeat(5760),
    profile: head('/profiles', 'application/octet-stream', 5000) + '\0'.repeat(5000),
    continue: head('/adapt', 'application/json', json.length, 'Expect: 100-continue\r\n') + json,
    pipelined: 'GET /models HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(50),
    broken: 'GET / HTTP/9.9\r\n: :\r\n\r\n',
  };
  test.each(Object.keys(requests))('at any moment of a request: %s', async (name) => {
    const url = await start();
    const text = Buffer.from(requests[name] as string, 'latin1');
    const end = text.indexOf('\r\n\r\n') + 4;
    for (const sent of [0, 10, end - 2, end, end + 1, (end + text.length) >> 1, text.length - 1, text.length]) {
      for (const wait of [0, 10]) {
        const socket = await open(url);
        socket.write(text.subarray(0, sent));
        if (wait > 0) await pause(wait);
        socket.resetAndDestroy();
      }
    }
    // And one who is answered, in part or whole.
    const socket = await open(url);
    socket.write(text);
    await Promise.race([once(socket, 'data'), pause(1000)]);
    socket.resetAndDestroy();
    expect((await fetch(`${url}/models`)).status).toBe(200);
    expect(errors).toEqual([]);
    const closed = server.close().then(() => 'closed');
    expect(await Promise.race([closed, pause(20_000, 'open', { ref: false })])).toBe('closed');
  });
});

test('connections that are kept alive, with and without an expectation, do not hold the end up, and are answered first', async () => {
  let ask: () => void = () => undefined;
  const asked = new Promise<void>((resolve) => {
    ask = resolve;
  });
  const usage = async () => {
    ask();
    // Longer than who has not asked yet is waited for.
    await pause(1500);
    return { profiles: 0, bytes: 0 };
  };
  const url = await start({ store: { usage } });
  const idle = await Promise.all(Array.from({ length: 5 }, () => open(url)));
  for (const socket of idle) {
    socket.write('GET /models HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await once(socket, 'data');
  }
  const unknown = await open(url);
  unknown.write('GET /health HTTP/1.1\r\nHost: localhost\r\nExpect: something\r\n\r\n');
  await asked;
  const closed = server.close().then(() => 'closed');
  const [answer] = (await once(unknown, 'data')) as [Buffer];
  expect(String(answer)).toMatch(/^HTTP\/1\.1 200 /);
  expect(await Promise.race([closed, pause(20_000, 'open', { ref: false })])).toBe('closed');
});

test.each([
  ['at once', 0],
  ['in its first query', 1],
  ['in its third', 3],
])('a database that hangs up %s is named, and ends nothing', async (_, queries) => {
  // PostgreSQL's protocol, as far as a connection goes: trusted, ready, and each query done.
  const message = (type: string, body: Buffer) => {
    const head = Buffer.alloc(5);
    head.write(type);
    head.writeInt32BE(body.length + 4, 1);
    return Buffer.concat([head, body]);
  };
  const ready = message('Z', Buffer.from('I'));
  const database = createServer((socket) => {
    let asked = -1;
    socket.on('error', () => undefined);
    socket.on('data', () => {
      asked++;
      if (asked >= queries) socket.resetAndDestroy();
      else if (asked === 0) socket.write(Buffer.concat([message('R', Buffer.alloc(4)), ready]));
      else socket.write(Buffer.concat([message('C', Buffer.from('BEGIN\0')), ready]));
    });
  }).listen(0, '127.0.0.1');
  await once(database, 'listening');
  const { port } = database.address() as AddressInfo;
  const opening = openStore(`postgres://whet@127.0.0.1:${port}/whet`);
  await expect(opening).rejects.toThrow(StoreUnavailableError);
  await expect(opening).rejects.toThrow('PostgreSQL does not answer: ');
  database.close();
});

test('a store in a database whose driver is not installed is refused with what to install', async () => {
  vi.doMock('pg', () => {
    throw new Error('not installed');
  });
  try {
    await expect(openStore('postgres://localhost/whet')).rejects.toThrow(
      'a store in PostgreSQL needs the package "pg": npm install pg',
    );
  } finally {
    vi.doUnmock('pg');
  }
});

test('a connection that cannot be taken ends nothing', async () => {
  const listen = vi.spyOn(Server.prototype, 'listen');
  const url = await start();
  const [listening] = listen.mock.contexts as Server[];
  listen.mockRestore();
  listening?.emit('error', Object.assign(new Error('accept EMFILE'), { code: 'EMFILE', syscall: 'accept' }));
  expect((await fetch(`${url}/models`)).status).toBe(200);
  const { port } = new URL(url);
  const options = { engine: localEngine(new Map([['tiny', bundle]])), store: createMemoryStore(), version: '0' };
  await expect(startServer({ ...options, port: Number(port) })).rejects.toThrow('EADDRINUSE');
});

const tools = { '/dev/full': existsSync('/dev/full'), prlimit: existsSync('/usr/bin/prlimit') };
test.skipIf(!Object.values(tools).every(Boolean))(
  `a log that cannot be written, and file descriptors that are used up, end nothing${lacking(tools)}`,
  { timeout: 120_000 },
  async () => {
    const probe = createServer().listen(0, '127.0.0.1');
    await once(probe, 'listening');
    const { port } = probe.address() as AddressInfo;
    probe.close();
    const url = `http://127.0.0.1:${port}`;
    const folder = await writeTinyBundle();
    const examples = await Promise.all(
      [0, 255].map(async (grey) => {
        const create = { width: 8, height: 8, channels: 3, background: { r: grey, g: grey, b: grey } } as const;
        return { label: `${grey}`, image: (await sharp({ create }).png().toBuffer()).toString('base64') };
      }),
    );
    const pictures = JSON.stringify({ examples });
    const tensors = JSON.stringify({
      examples: ['left', 'top'].map((label) => ({ label, tensor: tensorOf(label as 'left' | 'top') })),
      pattern: 'head',
      remember: 1,
    });
    const args = ['serve', folder, '--port', `${port}`, '--store', 'memory:', '--threads', '1', '--log-level', 'info'];
    const command = [process.execPath, ...whetMain, ...args, '--adapt-niceness', '0'];
    const child = spawn('bash', ['-c', 'exec "$0" "$@" >/dev/full 2>/dev/full', ...command], { stdio: 'ignore' });
    const ended = once(child, 'exit');
    const sockets: Socket[] = [];
    try {
      const live = () =>
        fetch(`${url}/health/live`).then(
          ({ status }) => status,
          () => 0,
        );
      await expect.poll(live, { timeout: 90_000, interval: 100 }).toBe(200);
      const headers = { 'Content-Type': 'application/json' };
      const adapt = async (body: string) => (await fetch(`${url}/adapt`, { method: 'POST', headers, body })).status;
      expect(await adapt(tensors.replace(/,"remember":1/, ''))).toBe(201);
      const first = await open(url);
      sockets.push(first);
      // Files and connections that are open stay so; no other can be opened.
      const allow = (descriptors: number) =>
        promisify(execFile)('prlimit', [`--pid=${child.pid}`, `--nofile=${descriptors}:`]);
      await allow(4);
      for (let i = 0; i < 20; i++) {
        const socket = await open(url);
        sockets.push(socket);
        socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
        first.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
        const [refused] = (await once(first, 'data')) as [Buffer];
        expect(String(refused)).toMatch(/^HTTP\/1\.1 503 [\s\S]*"type":"\/problems\/unavailable"/);
      }
      // What is first needed now: what decodes pictures or remembers cannot be loaded, the API's document needs no file.
      for (const body of [pictures, tensors]) {
        const length = `Content-Length: ${body.length}\r\nContent-Type: application/json`;
        first.write(`POST /adapt HTTP/1.1\r\nHost: localhost\r\n${length}\r\n\r\n${body}`);
        const [refused] = (await once(first, 'data')) as [Buffer];
        expect(String(refused)).toMatch(/^HTTP\/1\.1 503 [\s\S]*\r\nRetry-After: 2\r\n/);
      }
      first.write('GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n');
      expect(String((await once(first, 'data'))[0])).toMatch(/^HTTP\/1\.1 200 /);
      await allow(1024);
      for (const socket of sockets) socket.destroy();
      await expect.poll(live, { timeout: 20_000 }).toBe(200);
      for (const path of ['', 'docs', 'openapi.json']) expect((await fetch(`${url}/${path}`)).status).toBe(200);
      // A thread is started anew later and later.
      await expect.poll(() => adapt(tensors), { timeout: 40_000, interval: 200 }).toBe(201);
      expect(await adapt(pictures)).toBe(201);
      expect(child.exitCode).toBeNull();
      child.kill('SIGTERM');
      expect(await ended).toEqual([0, null]);
    } finally {
      for (const socket of sockets) socket.destroy();
      child.kill('SIGKILL');
      await rm(dirname(folder), { recursive: true, force: true });
    }
  },
);

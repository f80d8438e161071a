import { execFile } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { chmod, mkdtemp, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import * as files from '@whet/page';
import type { Bundle } from '@whet/runtime';
import { readBundle } from '@whet/runtime/node';
import { createMemoryStore, type RunningServer, startServer } from '@whet/server';
import { writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import { writeBundle } from '@whet/trainer';
import { afterAll, afterEach, beforeAll, describe, expect, it, test, vi } from 'vitest';
import { openTinyBundle } from './server-fixture.js';

let bundle: Bundle;
let parent: string;
let folder: string;
let archive: string;
let server: RunningServer;
/** Bytes of a file that no socket holds; nothing is written of them. */
const LARGE = 64 * 1024 * 1024;
beforeAll(async () => {
  bundle = await openTinyBundle();
  parent = await mkdtemp(join(tmpdir(), 'whet-static-'));
  folder = join(parent, 'tiny');
  archive = join(parent, 'one.whet');
  const made = await writeTinyBundle();
  await rename(made, folder);
  for (const place of [parent, folder]) await chmod(place, 0o755);
  await writeBundle(archive, (await readBundle(folder)).contents);
  await writeFile(join(folder, 'large.bin'), '');
  await truncate(join(folder, 'large.bin'), LARGE);
  const bundles = new Map([
    ['tiny', folder],
    ['one', archive],
  ]);
  server = await startServer({
    bundles: new Map([['tiny', bundle]]),
    store: createMemoryStore(),
    version: '0',
    page: { files, bundles },
  });
  // What is loaded late is loaded before any privilege is dropped.
  for (const path of ['/', '/bundles/tiny/manifest.json', '/bundles/one/manifest.json']) await get(path);
});
afterAll(async () => {
  await server.close();
  await bundle.release();
  await rm(parent, { recursive: true, force: true });
});
afterEach(() => {
  vi.restoreAllMocks();
});

const get = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
  fetch(server.url + path, { method, headers });

/** What the answer to a file that cannot be read has to be. */
const refusals = {
  ENOENT: { status: 404, type: '/problems/not-found' },
  EACCES: { status: 403, type: '/problems/unreadable' },
  EMFILE: { status: 503, type: '/problems/unavailable' },
} as const;

async function expectRefused(response: Response, code: keyof typeof refusals): Promise<void> {
  const { status, type } = refusals[code];
  expect(response.status).toBe(status);
  expect(response.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
  // Nothing of a file that was to be sent: not its encoding, its age, or how long it may be kept.
  for (const name of ['content-encoding', 'etag', 'last-modified', 'cache-control', 'content-range']) {
    expect(response.headers.get(name), name).toBeNull();
  }
  const { headers } = await get('/models');
  expect(response.headers.get('content-security-policy')).toBe(headers.get('content-security-policy'));
  const text = await response.text();
  expect(JSON.parse(text)).toMatchObject({ type, status });
  expect(text).not.toContain(parent);
}

const failure = (code: string) => Object.assign(new Error(`${code}: it fails`), { code, errno: -1, syscall: 'open' });

/** Lets the system fail at a file; of `open`, after it was found. */
function fail(call: 'stat' | 'open', code: string, of: string): void {
  const real = fs[call] as (...args: unknown[]) => unknown;
  vi.spyOn(fs, call).mockImplementation(((path: unknown, ...args: unknown[]) => {
    const callback = args.at(-1) as (error: Error) => void;
    if (String(path).includes(of)) process.nextTick(callback, failure(code));
    else real.call(fs, path, ...args);
  }) as never);
}

/** Runs as somebody who may not read what belongs to whoever runs the tests, where that is everybody's master. */
async function withoutPrivileges<T>(work: () => Promise<T>): Promise<T> {
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) process.seteuid?.(65534);
  try {
    return await work();
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
}

const script = fs
  .readdirSync(join(files.pageDirectory, 'assets'))
  .find((name) => /^index-.*\.js$/.test(name)) as string;
const places = ['/', '/sw.js', `/assets/${script}`, '/bundles/tiny/manifest.json', '/bundles/tiny/large.bin'];
const nameOf = (path: string) => (path === '/' ? 'index.html' : (path.split('/').at(-1) as string));

describe('a file that is there as its gzip alone', () => {
  const name = fs.readdirSync(join(files.pageDirectory, 'assets')).find((file) => file.endsWith('.wasm.gz')) as string;
  const path = `/assets/${name.slice(0, -'.gz'.length)}`;

  it('comes unpacked to who takes no gzip, and packed to others', async () => {
    const whole = gunzipSync(fs.readFileSync(join(files.pageDirectory, 'assets', name)));
    for (const [coding, found] of [
      ['identity', null],
      ['gzip', 'gzip'],
    ] as const) {
      const response = await get(path, { 'Accept-Encoding': coding });
      expect(response.status).toBe(200);
      expect(response.headers.get('content-encoding')).toBe(found);
      expect(response.headers.get('content-type')).toBe('application/wasm');
      expect(response.headers.get('content-security-policy')).toBe(files.headersOf(path)['Content-Security-Policy']);
      expect(Buffer.from(await response.arrayBuffer()).equals(whole)).toBe(true);
    }
    const head = await get(path, { 'Accept-Encoding': 'identity' }, 'HEAD');
    expect([head.status, (await head.arrayBuffer()).byteLength]).toEqual([200, 0]);
  });

  it('is refused where it cannot be opened', async () => {
    fail('open', 'EACCES', name);
    await expectRefused(await get(path, { 'Accept-Encoding': 'identity' }), 'EACCES');
  });
});

describe('a file that cannot be opened', () => {
  it.each(
    places.flatMap((path) => Object.keys(refusals).map((code) => [path, code as keyof typeof refusals] as const)),
  )('%s: %s is refused, whether it is looked at or opened, and there again afterwards', async (path, code) => {
    for (const call of ['stat', 'open'] as const) {
      for (const headers of [{}, { 'Accept-Encoding': 'identity' }, { Range: 'bytes=1-2' }]) {
        fail(call, code, nameOf(path));
        await expectRefused(await get(path, headers), code);
        vi.restoreAllMocks();
      }
    }
    const part = await get(path, { 'Accept-Encoding': 'identity', Range: 'bytes=0-99' });
    expect([part.status, (await part.arrayBuffer()).byteLength]).toEqual([206, 100]);
  });

  it('is refused where its mode says so, alone or with its folder', async () => {
    const manifest = join(folder, 'manifest.json');
    await chmod(manifest, 0o000);
    await withoutPrivileges(async () => expectRefused(await get('/bundles/tiny/manifest.json'), 'EACCES'));
    await chmod(manifest, 0o644);
    await chmod(folder, 0o000);
    await withoutPrivileges(async () => expectRefused(await get('/bundles/tiny/manifest.json'), 'EACCES'));
    await chmod(folder, 0o755);
    await chmod(archive, 0o000);
    // Another file, which has to be read anew.
    fs.utimesSync(archive, new Date(), new Date(1));
    await withoutPrivileges(async () => expectRefused(await get('/bundles/one/manifest.json'), 'EACCES'));
    await chmod(archive, 0o644);
    for (const name of ['tiny', 'one']) expect((await get(`/bundles/${name}/manifest.json`)).status).toBe(200);
  });

  it('a bundle in one file: absent, damaged and whole again', async () => {
    const path = '/bundles/one/manifest.json';
    const whole = await readFile(archive);
    await rename(archive, `${archive}.aside`);
    await expectRefused(await get(path), 'ENOENT');
    await writeFile(archive, whole.subarray(0, whole.length >> 1));
    await expectRefused(await get(path), 'EMFILE');
    await rename(`${archive}.aside`, archive);
    expect((await get(path)).status).toBe(200);
  });
});

test('a file that is cut off while it is sent ends the connection: its length was promised', async () => {
  const { hostname, port } = new URL(server.url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => undefined);
  socket.write('GET /bundles/tiny/large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n');
  const closed = once(socket, 'close');
  // The rest waits until somebody reads.
  let got = ((await once(socket, 'data')) as [Buffer])[0].length;
  socket.pause();
  await pause(50);
  await truncate(join(folder, 'large.bin'), 1000);
  socket.on('data', (bytes: Buffer) => {
    got += bytes.length;
  });
  socket.resume();
  await closed;
  expect(got).toBeLessThan(LARGE);
  await truncate(join(folder, 'large.bin'), LARGE);
  expect((await get('/models')).status).toBe(200);
});

test('a client that hangs up while a file is sent leaves nothing open', async () => {
  const { hostname, port } = new URL(server.url);
  const open = () =>
    fs
      .readdirSync('/proc/self/fd')
      .flatMap((fd) => {
        try {
          return [fs.readlinkSync(`/proc/self/fd/${fd}`)];
        } catch {
          return [];
        }
      })
      .filter((place) => place.endsWith('large.bin')).length;
  for (let i = 0; i < 5; i++) {
    const socket = connect(Number(port), hostname);
    socket.on('error', () => undefined);
    socket.write('GET /bundles/tiny/large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await once(socket, 'data');
    socket.resetAndDestroy();
  }
  if (process.platform === 'linux') await expect.poll(open).toBe(0);
  expect((await get('/models')).status).toBe(200);
});

test('a pipe that nobody writes to holds nothing up', async () => {
  const place = join(folder, 'pipe.bin');
  await promisify(execFile)('mkfifo', [place]);
  // As many as Node.js has threads for files, and more.
  const answers = await Promise.all(Array.from({ length: 8 }, () => get('/bundles/tiny/pipe.bin')));
  for (const answer of answers) await expectRefused(answer, 'ENOENT');
  expect((await get('/bundles/tiny/manifest.json')).status).toBe(200);
  await rm(place);
});

describe('a file', () => {
  it('comes as gzip to who takes it, as it is to others, and in parts', async () => {
    const plain = await get(`/assets/${script}`, { 'Accept-Encoding': 'identity' });
    const packed = await get(`/assets/${script}`, { 'Accept-Encoding': 'gzip' });
    expect(plain.headers.get('content-encoding')).toBeNull();
    expect(packed.headers.get('content-encoding')).toBe('gzip');
    expect(await packed.text()).toBe(await plain.text());
    for (const { headers } of [plain, packed]) {
      expect(headers.get('content-type')).toBe('text/javascript; charset=utf-8');
      expect(headers.get('vary')).toBe('Accept-Encoding');
    }
    expect(plain.headers.get('etag')).not.toBe(packed.headers.get('etag'));
    const part = await get('/bundles/tiny/large.bin', { Range: 'bytes=5-8' });
    expect([part.status, part.headers.get('content-range')]).toEqual([206, `bytes 5-8/${LARGE}`]);
    expect(Buffer.from(await part.arrayBuffer())).toEqual(Buffer.alloc(4));
    expect((await get('/bundles/tiny/large.bin', { Range: `bytes=${LARGE}-` })).status).toBe(416);
    expect((await get('/bundles/tiny/large.bin', { 'If-Match': '"other"' })).status).toBe(412);
  });

  it.each(['/bundles/tiny/manifest.json', '/bundles/one/manifest.json'])(
    '%s is told of by HEAD, and not sent twice',
    async (path) => {
      const head = await get(path, {}, 'HEAD');
      const whole = await get(path);
      expect(head.status).toBe(200);
      for (const name of ['etag', 'content-type', 'cache-control']) {
        expect(head.headers.get(name), name).toBe(whole.headers.get(name));
        expect(head.headers.get(name), name).not.toBeNull();
      }
      const again = await get(path, { 'If-None-Match': whole.headers.get('etag') as string });
      expect(again.status).toBe(304);
    },
  );

  it.each([
    '/bundles/tiny',
    '/bundles/tiny/',
    '/bundles/tiny/../one.whet',
    '/bundles/tiny/%2e%2e/one.whet',
    '/bundles/tiny/..%2fone.whet',
    '/bundles/tiny/manifest.json%00',
    '/bundles/tiny/%ff',
    `/assets/loader-x%2f..%2f${script}`,
    `/assets/loader-x.js/../${script}`,
    `/assets/%2e/${script}`,
    `//assets//${script}`,
    '/bundles/tiny/manifest.json/',
    '/assets',
    '/assets/',
    `/${'a'.repeat(5000)}`,
  ])('that is none is not found: %.40s', async (path) => {
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
    const parts: Buffer[] = [];
    for await (const part of socket) parts.push(part as Buffer);
    expect(String(Buffer.concat(parts))).toMatch(/^HTTP\/1\.1 404 [\s\S]*"type":"\/problems\/not-found"/);
  });
});

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { WhetClient } from '@whet/runtime/client';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fileOf, formOf, post, postText, startTestServer, type TestServer, tensorOf } from './server-fixture.js';
import { storeProfile } from './server-refusals.js';

// What a request may cost, besides its bytes.

const MIB = 2 ** 20;
const LIMITS = {
  bodyBytes: MIB,
  heldBytes: 2 * MIB,
  imagePixels: 2_000_000,
  requestPixels: 4_000_000,
  keyPixels: 5_000_000,
};

let server: TestServer;
let profile: string;
let megapixel: string;
beforeAll(async () => {
  server = await startTestServer(LIMITS);
  profile = await storeProfile(server);
  const empty = { width: 1000, height: 1000, channels: 3, background: '#888' } as const;
  megapixel = (await sharp({ create: empty }).webp({ lossless: true }).toBuffer()).toString('base64');
});
afterAll(() => server.close());

const problemOf = async (response: Response) => [
  response.status,
  ((await response.json()) as { detail?: string }).detail,
];

describe('pixels', () => {
  test('of all images of a request are bounded together, in JSON and in a form, before any is decoded', async () => {
    const count = 5;
    const detail = 'body: expected images of at most 4000000 pixels together, got 5000000';
    const images = new Array<string>(count).fill(megapixel);
    expect(await problemOf(await post(`${server.url}/predict`, { profile, images }))).toEqual([413, detail]);
    const examples = images.map((image, i) => ({ label: `${i % 2}`, image }));
    expect(await problemOf(await post(`${server.url}/adapt`, { examples }))).toEqual([413, detail]);
    const file = Buffer.from(megapixel, 'base64');
    const form = formOf(images.map((_, i) => [`${i % 2}`, file]));
    expect(await problemOf(await post(`${server.url}/adapt`, form))).toEqual([413, detail]);
    expect((await post(`${server.url}/predict`, { profile, images: images.slice(1) })).status).toBe(200);
  });

  test('of all requests of a client are bounded together, and free again afterwards', async () => {
    const ask = (count: number) =>
      post(`${server.url}/predict`, { profile, images: new Array<string>(count).fill(megapixel) });
    const answers = await Promise.all(Array.from({ length: 8 }, () => ask(4)));
    const statuses = answers.map(({ status }) => status);
    expect(statuses).toContain(200);
    expect(statuses).toContain(429);
    const refused = answers.find(({ status }) => status === 429);
    expect(refused?.headers.get('retry-after')).toBe('1');
    expect((await ask(4)).status).toBe(200);
  });
});

test('a PNG file of more chunks than any has is refused without a walk through all of them', async () => {
  const png = await fileOf('left');
  const empty = Buffer.from('0000000074655874d2b0a2e3', 'hex');
  const end = png.length - 12;
  const file = Buffer.concat([png.subarray(0, end), Buffer.alloc(60_000 * 12, empty), png.subarray(end)]);
  const strict = await startTestServer();
  const id = await storeProfile(strict);
  const ask = async (bytes: Uint8Array) =>
    (
      await post(
        `${strict.url}/predict`,
        formOf([
          ['profile', id],
          ['a', bytes],
        ]),
      )
    ).json();
  const more = Buffer.concat([file.subarray(0, -12), Buffer.alloc(60_000 * 12, empty), png.subarray(end)]);
  expect(await ask(more)).toMatchObject({ status: 422, detail: expect.stringContaining('more than 100000 chunks') });
  await strict.close();
});

test('a prediction that takes too long is given up', async () => {
  const slow = await startTestServer({}, { work: { predictDeadlineMs: 1, batchWaitMs: 50 } });
  const id = await storeProfile(slow);
  const answer = await post(`${slow.url}/predict`, { profile: id, tensor: tensorOf('left') });
  expect(await problemOf(answer)).toEqual([503, expect.stringContaining('expected predictions within 1 ms, got none')]);
  expect(slow.errors).toEqual([]);
  await slow.close();
});

/** A connection with a request that is sent bit by bit. */
function open(head: readonly string[]): { socket: Socket; answer: Promise<string> } {
  const { hostname, port } = new URL(server.url);
  const socket = connect(Number(port), hostname);
  let got = '';
  const answer = new Promise<string>((resolve) => {
    socket.on('data', (data) => {
      got += data;
      if (got.includes('\r\n\r\n')) resolve(got);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(got));
  });
  socket.write([...head, '', ''].join('\r\n'));
  return { socket, answer };
}

const chunk = (bytes: number) => `${bytes.toString(16)}\r\n${' '.repeat(bytes)}\r\n`;

describe('bodies', () => {
  test.each([
    ['a form that has not begun', 'POST /adapt', 'multipart/form-data; boundary=x', 413],
    ['JSON', 'POST /predict', 'application/json', 413],
    ['bytes', 'POST /profiles', 'application/octet-stream', 413],
    ['a type that nobody reads', 'POST /adapt', 'text/plain', 415],
    ['a request that has none', 'GET /health/live', 'text/plain', 200],
    ['a route that is not there', 'PUT /nowhere', 'text/plain', 404],
  ])('of %s are cut off where they come without a length', async (_what, line, type, status) => {
    const { socket, answer } = open([
      `${line} HTTP/1.1`,
      'Host: localhost',
      `Content-Type: ${type}`,
      'Transfer-Encoding: chunked',
    ]);
    const piece = chunk(64 * 1024);
    let sent = 0;
    const closed = new Promise((resolve) => socket.once('close', resolve));
    const pour = () => {
      while (!socket.destroyed && sent < 400 * MIB) {
        sent += piece.length;
        if (!socket.write(piece)) {
          socket.once('drain', pour);
          return;
        }
      }
    };
    pour();
    expect((await answer).slice(9, 12)).toBe(`${status}`);
    await closed;
    // What the server has read, what it lets go by, and what stands in the buffers of the connection.
    expect(sent).toBeLessThan(40 * MIB);
  });

  test('of more parts than a form has are refused, whatever the parts are', async () => {
    const type = { 'Content-Type': 'multipart/form-data; boundary=x' };
    const parts = `${'--x\r\nA: b\r\n\r\n\r\n'.repeat(2000)}--x--\r\n`;
    expect(await problemOf(await postText(`${server.url}/adapt`, Buffer.from(parts), type))).toEqual([
      413,
      'body: expected at most 28 parts, got more',
    ]);
  });

  test('of a length over the limit are refused at once, and their answers can be read', async () => {
    const head = ['Host: localhost', 'Content-Type: application/json', `Content-Length: ${400 * MIB}`];
    const { socket, answer } = open(['POST /adapt HTTP/1.1', ...head]);
    expect(await answer).toMatch(/^HTTP\/1.1 413 [\s\S]*Connection: close/);
    socket.destroy();
  });

  test('are bounded all together: the largest gives way, small ones get through', async () => {
    const types = ['application/json', 'application/octet-stream', 'multipart/form-data; boundary=x'];
    const large = types.map((type) => {
      const head = ['Host: localhost', `Content-Type: ${type}`, 'Transfer-Encoding: chunked'];
      const held = open([`POST /predict?profile=${profile} HTTP/1.1`, ...head]);
      held.socket.write(chunk(900_000));
      return held;
    });
    const answer = await Promise.race(large.map((each) => each.answer));
    expect(answer).toMatch(/^HTTP\/1.1 429 [\s\S]*Retry-After: 1/);
    for (let i = 0; i < 5; i++) {
      expect((await post(`${server.url}/predict`, { profile, tensor: tensorOf('left') })).status).toBe(200);
    }
    for (const { socket } of large) socket.destroy();
    await Promise.all(large.map((each) => each.answer));
    // What was held is free again.
    const whole = await postText(`${server.url}/predict`, Buffer.alloc(1_000_000, 0x20));
    expect(whole.status).toBe(400);
  });
});

test('an answer that nobody reads holds no body', async () => {
  const count = 3000;
  const long = await startTestServer({ bodyBytes: 2 * MIB, heldBytes: 4 * MIB, predictImages: count });
  // Which take twice as much in an answer.
  const examples = [1, 2, 3, 4, 5].map((i) => ({ label: `${i}${'"'.repeat(255)}`, tensor: tensorOf('left') }));
  const adapted = await post(`${long.url}/adapt`, { examples });
  const { profile: id } = (await adapted.json()) as { profile: string };
  const tensor = tensorOf('left');
  const body = Buffer.alloc(2_000_000, ' ');
  body.write(JSON.stringify({ profile: id, images: new Array(count).fill({ tensor }) }));
  const socket = connect(Number(new URL(long.url).port), new URL(long.url).hostname);
  socket.write(
    'POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n' +
      `Content-Length: ${body.length}\r\n\r\n`,
  );
  socket.write(body);
  // Of nine megabytes, more than fits on the way.
  const [head] = (await once(socket, 'data')) as [Buffer];
  socket.pause();
  expect(String(head)).toMatch(/^HTTP\/1.1 200 /);
  const other = Buffer.alloc(200_000, ' ');
  other.write(JSON.stringify({ profile: id, tensor }));
  expect((await postText(`${long.url}/predict`, other)).status).toBe(200);
  socket.destroy();
  await long.close();
});

test('what a body decompresses to counts with it', async () => {
  const packed = gzipSync(`{"profile":"${profile}","image":"${'A'.repeat(900_000)}"}`);
  const headers = { 'Content-Type': 'application/json', 'Content-Encoding': 'gzip' };
  const head = ['Host: localhost', 'Content-Type: application/json', 'Transfer-Encoding: chunked'];
  const { socket, answer } = open(['POST /predict HTTP/1.1', ...head]);
  socket.write(chunk(950_000));
  let refused: string | undefined;
  void answer.then((got) => {
    refused = got;
  });
  // Together they are more than one client may have: the larger one gives way as soon as it has come.
  while (refused === undefined) {
    expect((await postText(`${server.url}/predict`, packed, headers)).status).toBe(415);
  }
  expect(refused).toMatch(/^HTTP\/1.1 429 /);
  socket.destroy();
});

test('long bodies are parsed in a thread, with the same answers', async () => {
  const long = await startTestServer();
  const client = new WhetClient(long.url);
  const examples = (['left', 'top'] as const).map((label) => ({ label, image: Float32Array.from(tensorOf(label)) }));
  const { profile: id } = await client.adapt({ examples });
  const tensor = tensorOf('left');
  const images = new Array(300).fill({ tensor });
  const answer = await post(`${long.url}/predict`, { profile: id, images });
  const { predictions } = (await answer.json()) as { predictions: { label: string }[] };
  expect(predictions.map(({ label }) => label)).toEqual(new Array(300).fill('left'));
  const bad = await post(`${long.url}/predict`, {
    profile: id,
    images: [...images, { tensor: tensor.with(3, null as never) }],
  });
  expect(await bad.json()).toMatchObject({ status: 422, field: 'images[300].tensor[3]' });
  const deep = await postText(`${long.url}/predict`, `{"a":${'['.repeat(100_000)}`);
  expect(await deep.json()).toMatchObject({ status: 400, field: 'body' });
  await long.close();
});

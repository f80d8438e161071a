import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { formOf, post, postText, startTestServer, type TestServer } from './server-fixture.js';
import { type ExpectedRefusal, expectRefusal, goodExamples } from './server-refusals.js';

const UNKNOWN = '00000000-0000-4000-8000-000000000000';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

describe('bodies', () => {
  const refusals: Record<string, ExpectedRefusal> = {
    malformed: { status: 400, field: 'body', detail: /expected JSON in UTF-8, got / },
    large: { status: 413, field: 'body', detail: /at most 33554432 bytes, got / },
    type: { status: 415, field: 'content-type', detail: /application\/json or multipart\/form-data, got / },
  };
  const json = { 'Content-Type': 'application/json' };

  test.each(['/adapt', '/predict'])('that are not JSON are refused by %s', async (path) => {
    const texts = [
      '{"examples":',
      'hello',
      "{'a': 1}",
      `{"a": "${'x'.repeat(10_000)}`,
      '[',
      '[1,]',
      '\u0000',
      '{"a":NaN}',
    ];
    for (const text of texts) {
      await expectRefusal(
        server,
        () => postText(server.url + path, text, json),
        refusals['malformed'] as ExpectedRefusal,
      );
    }
    const utf16 = new Uint8Array(Buffer.from('{}', 'utf16le'));
    await expectRefusal(
      server,
      () => postText(server.url + path, utf16, json),
      refusals['malformed'] as ExpectedRefusal,
    );
  });

  test.each([
    ['objects', `{"profile":"x","images":[${'{},'.repeat(200_000)}{}]}`, /at most 20000 arrays and objects, got more/],
    ['names', `{${Array.from({ length: 40_000 }, (_, i) => `"${i}":"",`).join('')}"a":1}`, /at most 60000 texts/],
  ])(
    'of more %s than any request needs are refused before they are looked at, however small they were sent',
    async (_what, text, detail) => {
      const packed = gzipSync(text);
      expect(packed.length).toBeLessThan(300_000);
      const send = () => postText(`${server.url}/predict`, packed, { ...json, 'Content-Encoding': 'gzip' });
      await expectRefusal(server, send, { status: 413, field: 'body', detail });
    },
  );

  test('that nest without end are refused, and brackets inside texts are not counted', async () => {
    const depth = 1_000_000;
    const refusal = { status: 400, field: 'body', detail: /got arrays or objects more than 16 deep/ };
    await expectRefusal(server, () => postText(`${server.url}/adapt`, '['.repeat(depth), json), refusal);
    const closed = `{"examples":${'['.repeat(depth)}${']'.repeat(depth)}}`;
    await expectRefusal(server, () => postText(`${server.url}/adapt`, closed, json), refusal);
    const quoted = { examples: [{ label: `\\"${'['.repeat(100)}` }] };
    await expectRefusal(server, () => post(`${server.url}/adapt`, quoted), {
      status: 400,
      field: 'examples[0].image',
      detail: /neither/,
    });
  });

  test('that are not UTF-8 are refused', async () => {
    const latin1 = new Uint8Array(Buffer.from('{"profile": "\u00e9"}', 'latin1'));
    await expectRefusal(
      server,
      () => postText(`${server.url}/predict`, latin1, json),
      refusals['malformed'] as ExpectedRefusal,
    );
  });

  test('that are missing are refused', async () => {
    await expectRefusal(server, () => postText(`${server.url}/adapt`, '', json), {
      status: 400,
      field: 'body',
      detail: /an object, got nothing/,
    });
    const empty = () => fetch(`${server.url}/adapt`, { method: 'POST' });
    await expectRefusal(server, empty, refusals['type'] as ExpectedRefusal);
  });

  test.each(['text/plain', 'application/x-www-form-urlencoded', 'image/png', 'application/xml', 'nonsense'])(
    'of type %s are refused',
    async (type) => {
      const response = () => postText(`${server.url}/adapt`, '{}', { 'Content-Type': type });
      await expectRefusal(server, response, refusals['type'] as ExpectedRefusal);
    },
  );

  test('of another charset or encoding are refused', async () => {
    const latin1 = { 'Content-Type': 'application/json; charset=latin1' };
    await expectRefusal(server, () => postText(`${server.url}/adapt`, '{}', latin1), {
      status: 415,
      field: 'content-type',
      detail: /expected charset utf-8, got "latin1"/,
    });
    const refusal = {
      status: 415,
      field: 'content-encoding',
      detail: /expected gzip, deflate, br or none, got "rot13"/,
    };
    const rot13 = { 'Content-Encoding': 'rot13' };
    await expectRefusal(server, () => postText(`${server.url}/adapt`, '{}', { ...json, ...rot13 }), refusal);
    const form = { 'Content-Type': 'multipart/form-data; boundary=x', ...rot13 };
    const asItIs = { status: 415, field: 'content-encoding', detail: /expected a form as it is, got "rot13"/ };
    await expectRefusal(server, () => postText(`${server.url}/adapt`, '--x--', form), asItIs);
    const bytes = { 'Content-Type': 'application/octet-stream', ...rot13 };
    const asTheyAre = { status: 415, field: 'content-encoding', detail: /expected bytes as they are, got "rot13"/ };
    await expectRefusal(server, () => postText(`${server.url}/profiles`, 'x', bytes), asTheyAre);
    await expectRefusal(server, () => postText(`${server.url}/profiles`, '{}', json), {
      status: 415,
      field: 'content-type',
      detail: /expected application\/octet-stream, got "application\/json"/,
    });
    const damaged = { ...json, 'Content-Encoding': 'gzip' };
    await expectRefusal(
      server,
      () => postText(`${server.url}/adapt`, 'not gzip', damaged),
      refusals['malformed'] as ExpectedRefusal,
    );
  });

  test('over the limit are refused, whether they say their length, hide it or compress it', async () => {
    const big = new Uint8Array(40_000_000).fill(0x20);
    const large = refusals['large'] as ExpectedRefusal;
    await expectRefusal(server, () => postText(`${server.url}/adapt`, big, json), large);
    await expectRefusal(server, () => postStream(`${server.url}/adapt`, big, json), large);
    const compressed = { ...json, 'Content-Encoding': 'gzip' };
    await expectRefusal(server, () => postText(`${server.url}/adapt`, gzipSync(big), compressed), large);
    await expectRefusal(server, () => post(`${server.url}/predict`, formOf([['a', big]])), large);
    const head = '--x\r\nContent-Disposition: form-data; name="a"; filename="a.png"\r\n\r\n';
    const form = Buffer.concat([Buffer.from(head), big, Buffer.from('\r\n--x--\r\n')]);
    const type = { 'Content-Type': 'multipart/form-data; boundary=x' };
    await expectRefusal(server, () => postStream(`${server.url}/adapt`, form, type), large);
  });
});

describe('routes', () => {
  test.each([
    ['GET', '/adapt', 'POST'],
    ['PUT', '/predict', 'POST'],
    ['POST', '/health', 'GET, HEAD'],
    ['DELETE', '/models', 'GET, HEAD'],
    ['POST', '/profiles/x', 'GET, HEAD, PUT, DELETE'],
    ['PUT', '/profiles', 'GET, HEAD, POST'],
    ['PUT', '/profiles/x/export', 'GET, HEAD'],
  ])('%s %s is refused, and told what is allowed', async (method, path, allow) => {
    const response = await fetch(server.url + path, { method });
    expect(response.headers.get('allow')).toBe(allow);
    await expectRefusal(server, async () => response, {
      status: 405,
      field: 'method',
      detail: new RegExp(`${allow}, got ${method}`),
    });
    const options = await fetch(server.url + path, { method: 'OPTIONS' });
    expect([options.status, options.headers.get('allow')]).toEqual([204, `${allow}, OPTIONS`]);
  });

  test('that do not exist are refused', async () => {
    const paths = ['/', '/adapt/x', '/profiles/x/y', '/%2e%2e/etc/passwd', '/__proto__', `/${'x'.repeat(5000)}`];
    for (const path of paths) {
      await expectRefusal(server, () => fetch(server.url + path), {
        status: 404,
        field: 'path',
        detail: /expected POST \/adapt, POST \/predict or another of /,
      });
    }
  });

  test('of unknown or undecodable profiles are refused', async () => {
    for (const id of [UNKNOWN, '__proto__', 'constructor', '%00', '..%2f..']) {
      const response = () => fetch(`${server.url}/profiles/${id}`);
      await expectRefusal(server, response, { status: 404, field: 'profile', detail: /id of a stored profile/ });
    }
    const response = () => fetch(`${server.url}/profiles/%E0%A4%A`);
    await expectRefusal(server, response, {
      status: 400,
      field: 'path',
      detail: /expected percent-encoding of UTF-8, got what cannot be decoded/,
    });
  });

  test('of a request that is not HTTP are refused in the same form', async () => {
    const response = () => fetch(`${server.url}/health`, { headers: { 'X-Long': 'x'.repeat(20_000) } });
    await expectRefusal(server, response, {
      status: 400,
      field: 'request',
      detail: /expected an HTTP\/1\.1 request, got /,
    });
  });
});

test.each(['multipart/form-data; boundary=x', 'application/json'])(
  'a client that goes away in the middle of %s leaves nothing behind',
  async (type) => {
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    const part = '--x\r\nContent-Disposition: form-data; name="a"; filename="a.png"\r\n\r\n';
    socket.write(
      `POST /adapt HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${type}\r\nContent-Length: 1000\r\n\r\n${part}`,
    );
    await new Promise((resolve) => setTimeout(resolve, 50));
    socket.destroy();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect((await server.store.usage()).profiles).toBe(0);
    expect(server.errors).toEqual([]);
    expect((await fetch(`${server.url}/health`)).status).toBe(200);
  },
);

test('a client that goes away while it is adapted for stops the work and leaves nothing behind', async () => {
  const patient = await startTestServer({ steps: 1_000_000 });
  const { bundle } = patient;
  const adapt = bundle.adapt.bind(bundle);
  const started = new Promise<{ work: ReturnType<typeof adapt> }>((resolve) => {
    bundle.adapt = (...args) => {
      const work = adapt(...args);
      resolve({ work });
      return work;
    };
  });
  const body = JSON.stringify({ examples: goodExamples(), pattern: 'full', steps: 1_000_000, rate: 1e-9 });
  const { hostname, port } = new URL(patient.url);
  const socket = connect(Number(port), hostname);
  const head = `POST /adapt HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}`;
  socket.write(`${head}\r\n\r\n${body}`);
  const { work } = await started;
  socket.destroy();
  await expect(work).rejects.toThrow(/abort/i);
  expect((await patient.store.usage()).profiles).toBe(0);
  expect(patient.errors).toEqual([]);
  await patient.close();
});

/** Posts without a Content-Length. */
function postStream(url: string, bytes: Uint8Array, headers: Record<string, string>): Promise<Response> {
  let at = 0;
  const body = new ReadableStream({
    pull(stream) {
      if (at >= bytes.length) stream.close();
      else stream.enqueue(bytes.subarray(at, at + 65_536));
      at += 65_536;
    },
  });
  return fetch(url, { method: 'POST', headers, body, duplex: 'half' } as RequestInit);
}

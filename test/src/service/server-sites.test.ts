import { request as send } from 'node:http';
import { connect } from 'node:net';
import { hostname } from 'node:os';
import * as files from '@whet/page';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkAnswer } from './check-answers.js';
import { fileOf, startTestServer, type TestServer } from './server-fixture.js';

// What a page in a browser on this machine can ask of a service that asks for no keys.

const SITE = 'https://app.example';
let server: TestServer;
let secured: TestServer;
beforeAll(async () => {
  const page = { files, bundles: new Map<string, string>() };
  server = await startTestServer({}, { corsOrigins: [SITE], hostNames: ['whet.example.org'], page });
  secured = await startTestServer({}, { auth: 'keys' });
});
afterAll(() => Promise.all([server.close(), secured.close()]));

interface Ask {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

/** A request as a browser may send it: `fetch` does not let its `Host` be chosen. */
function ask({ method = 'GET', path = '/profiles', headers = {}, body = '' }: Ask, { url } = server) {
  return new Promise<{ status: number; type: string; field: string }>((resolve, reject) => {
    const { hostname: address, port } = new URL(url);
    const client = send({ hostname: address, port, method, path, headers }, async (response) => {
      let text = '';
      for await (const chunk of response) text += chunk;
      const { statusCode: status = 0, headers: got } = response;
      const named = Object.entries(got).map(([name, value]) => [name, String(value)] as [string, string]);
      await checkAnswer(url, method, path, new Response(text, { status, headers: named })).catch(reject);
      const problem = got['content-type']?.startsWith('application/problem+json') ? JSON.parse(text) : {};
      resolve({ status, type: problem.type, field: problem.field });
    });
    client.on('error', reject).end(body);
  });
}

const misdirected = { status: 421, type: '/problems/misdirected', field: 'host' };
const foreign = { status: 403, type: '/problems/foreign-origin', field: 'origin' };

describe('without keys', () => {
  test.each([
    'evil.example',
    'evil.example:8080',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    'x y',
    'evil.example.',
  ])('a request for %j is refused', async (host) => {
    for (const path of ['/profiles', '/models', '/metrics']) {
      expect(await ask({ path, headers: { Host: host } })).toEqual(misdirected);
    }
    expect(await ask({ method: 'POST', path: '/adapt', headers: { Host: host } })).toEqual(misdirected);
  });

  test.each([
    'localhost:8080',
    'LOCALHOST',
    'whet.localhost',
    '127.0.0.1',
    '192.168.1.20:8080',
    '[::1]:8080',
    '[fe80::1]',
    hostname(),
    'whet.example.org',
    'Whet.Example.org.:80',
  ])('a request for %j is answered', async (host) => {
    expect(await ask({ headers: { Host: host } })).toMatchObject({ status: 200 });
  });

  test('a page of another site can neither read, nor change what it cannot read', async () => {
    const image = await fileOf('left');
    const part = (label: string) => [
      Buffer.from(`--x\r\nContent-Disposition: form-data; name="${label}"; filename="a.png"\r\n\r\n`),
      image,
      Buffer.from('\r\n'),
    ];
    const body = Buffer.concat([...part('a'), ...part('b'), Buffer.from('--x--\r\n')]);
    const form = { method: 'POST', path: '/adapt', body };
    const type = { 'Content-Type': 'multipart/form-data; boundary=x' };
    for (const origin of ['https://evil.example', 'null', 'http://localhost:1', `https://sub.${new URL(SITE).host}`]) {
      expect(await ask({ ...form, headers: { ...type, Origin: origin } })).toEqual(foreign);
      expect(await ask({ headers: { Origin: origin, 'Sec-Fetch-Site': 'cross-site' } })).toEqual(foreign);
    }
    expect(await ask({ headers: { 'Sec-Fetch-Site': 'cross-site' } })).toEqual(foreign);
    expect((await server.store.usage()).profiles).toBe(0);
    // The service's own page, the origin that is named, and whatever is no browser.
    const { host, origin } = new URL(server.url);
    for (const headers of [
      { Origin: origin, 'Sec-Fetch-Site': 'same-origin' },
      { Origin: origin },
      { Origin: 'https://whet.example.org', Host: 'whet.example.org' },
      { Origin: SITE, 'Sec-Fetch-Site': 'cross-site', Host: host },
      {},
    ]) {
      expect(await ask({ ...form, headers: { ...type, ...headers } })).toMatchObject({ status: 201 });
    }
  });

  test('that holds for every route, the page and what is not there', async () => {
    const paths = ['/', '/health', '/health/live', '/health/ready', '/docs', '/openapi.json', '/nowhere'];
    for (const path of [...paths, '/bundles/index.json', '/bundles/tiny/manifest.json', '/assets/x.js']) {
      for (const method of ['GET', 'POST', 'OPTIONS']) {
        const { status } = await ask({ method, path, headers: { Host: 'evil.example' } });
        expect([method, path, status]).toEqual([method, path, 421]);
      }
    }
  });
});

test.each([
  [400, 'GET /health HTTP/1.1', ['Host: localhost', 'Host: evil.example'], 'expected one Host header, got 2'],
  [400, 'GET /health HTTP/1.1', ['Host: localhost', 'host: localhost']],
  [
    421,
    'GET http://evil.example/health HTTP/1.1',
    ['Host: localhost'],
    `expected the target's host "evil.example", got "localhost"`,
  ],
  [421, 'GET http://localhost:1/health HTTP/1.1', ['Host: localhost']],
  [421, 'POST HTTPS://evil.example HTTP/1.1', ['Host: localhost', 'Content-Length: 0']],
  [421, 'GET http://user@localhost/health HTTP/1.1', ['Host: localhost']],
  [
    421,
    'GET /health HTTP/1.1',
    ['Host: user@localhost'],
    'expected an address, localhost or one of the names that the setting hostNames has, got "user@localhost"',
  ],
  [421, 'GET /health HTTP/1.1', ['Host: localhost/evil.example']],
  [
    403,
    'GET /models HTTP/1.1',
    ['Host: localhost', 'Origin: https://evil.example'],
    `expected a call from the service's own page or an origin of the setting corsOrigins, got "https://evil.example"`,
  ],
  [200, 'GET http://LocalHost/health HTTP/1.1', ['Host: localhost']],
] as [number, string, string[], string?][])('%i: %s with %j', async (status, line, headers, detail = '') => {
  const { hostname: address, port } = new URL(server.url);
  const socket = connect(Number(port), address);
  socket.end([line, ...headers, 'Connection: close', '', ''].join('\r\n'));
  let got = '';
  for await (const chunk of socket) got += chunk;
  expect(got).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  expect(got.replaceAll('\\"', '"')).toContain(detail);
});

test('with keys it is the key that counts', async () => {
  const headers = { Host: 'evil.example', Origin: 'https://evil.example' };
  expect(await ask({ headers }, secured)).toMatchObject({ status: 401 });
});

test('behind a proxy keys are asked for, unless they are said to be off', async () => {
  const [proxied, open] = [
    await startTestServer({}, { proxies: 1 }),
    await startTestServer({}, { proxies: 1, auth: 'off' }),
  ];
  expect(await ask({}, proxied)).toMatchObject({ status: 401 });
  expect(await ask({}, open)).toMatchObject({ status: 200 });
  await Promise.all([proxied.close(), open.close()]);
});

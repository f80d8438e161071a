import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { Agent, type IncomingHttpHeaders, request as send } from 'node:http';
import { WhetClient } from '@whet/runtime/client';
import { randomImages, writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkAnswer } from './check-answers.js';
import { fileOf, float32Base64, tensorOf } from './server-fixture.js';
import { goodExamples } from './server-refusals.js';
import { type ServeProcess, startServe } from './whet-serve.js';

// 20,000 by WHET_FUZZ=20000; fewer in the suite.
const REQUESTS = Number(process.env['WHET_FUZZ'] ?? 1500);

let service: ServeProcess;
let directory: string;
let profile: string;
const agent = new Agent({ keepAlive: true, maxSockets: 8 });
const files: Buffer[] = [];
beforeAll(async () => {
  directory = await writeTinyBundle();
  const limits = ['--body-bytes', '200000', '--image-pixels', '1000000', '--adapt-deadline-ms', '600000'];
  service = await startServe([directory, '--store', 'memory:', '--threads', '1', '--log-level', 'error', ...limits]);
  const examples = randomImages('examples', 4).map((image, i) => ({ label: 'ab'[i % 2] as string, image }));
  profile = (await new WhetClient(service.url).adapt({ examples })).profile;
  for (const format of ['png', 'jpeg', 'webp'] as const) files.push(await fileOf('left', format));
});
afterAll(async () => {
  agent.destroy();
  service.kill('SIGTERM');
  await service.ended;
  await rm(directory, { recursive: true, force: true });
});

interface Raw {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** Connections that ended without an answer. */
let dropped = 0;

/** Sends a request as it is; undefined where the connection ended without an answer. */
function ask({
  method,
  path,
  headers,
  body,
}: Raw): Promise<{ status: number; type: string; text: string } | undefined> {
  return new Promise((resolve, reject) => {
    let client: ReturnType<typeof send>;
    try {
      const { hostname, port } = new URL(service.url);
      client = send({ hostname, port, method, path, headers: { ...headers, 'Content-Length': body.length }, agent });
    } catch {
      // Node.js does not send what is no header or path at all.
      resolve(undefined);
      return;
    }
    client.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const { statusCode: status = 0, headers: got } = response;
        const text = Buffer.concat(chunks).toString();
        const check = async () => {
          const answer = new Response([204, 304].includes(status) ? null : text, { status, headers: headersOf(got) });
          await checkAnswer(service.url, method, path.split(/[?#]/, 1)[0] as string, answer);
          return { status, type: String(got['content-type']), text };
        };
        check().then(resolve, reject);
      });
      response.on('error', () => resolve(undefined));
    });
    client.on('error', () => {
      dropped++;
      resolve(undefined);
    });
    client.end(body);
  });
}

const headersOf = (headers: IncomingHttpHeaders) =>
  Object.entries(headers).map(([name, value]) => [name, String(value)] as [string, string]);

/** A file with bytes changed, cut off or put in. */
const brokenImage = fc
  .record({
    file: fc.nat(2),
    changes: fc.array(fc.record({ at: fc.nat(600), value: fc.nat(255) }), { maxLength: 8 }),
    cut: fc.option(fc.nat(600)),
    more: fc.uint8Array({ maxLength: 20 }),
  })
  .map(({ file, changes, cut, more }) => {
    const bytes = Buffer.from(files[file] as Buffer);
    for (const { at, value } of changes) bytes[at % bytes.length] = value;
    return Buffer.concat([bytes.subarray(0, cut ?? bytes.length), more]);
  });

const number = fc.oneof(fc.double(), fc.integer(), fc.constantFrom(1e308, -0, 2 ** 53, 1e-320));
const anything = fc.anything({
  maxDepth: 3,
  withNullPrototype: false,
  values: [fc.string({ unit: 'binary' }), number, fc.boolean(), fc.constant(null)],
});
const image = fc.oneof(
  brokenImage.map((bytes) => ({ image: bytes.toString('base64') })),
  brokenImage.map((bytes) => ({ image: `data:image/png;base64,${bytes.toString('base64')}` })),
  fc.array(number, { minLength: 140, maxLength: 146 }).map((tensor) => ({ tensor })),
  fc
    .uint8Array({ minLength: 570, maxLength: 580 })
    .map((bytes) => ({ tensor: { data: Buffer.from(bytes).toString('base64') } })),
  fc.constant({ tensor: { data: float32Base64(tensorOf('top')) } }),
  fc.record({ image: anything, tensor: anything }, { requiredKeys: [] }),
);
const label = fc.oneof(fc.constantFrom('left', 'top', '__proto__', '', 'constructor'), fc.string({ unit: 'binary' }));
const example = fc.oneof(
  fc.tuple(label, image).map(([name, value]) => ({ label: name, ...value })),
  fc.constantFrom(...goodExamples()),
  anything,
);
const id = fc.oneof(fc.constant('PROFILE'), fc.uuid(), fc.string(), anything);
const options = fc.record(
  {
    model: fc.oneof(fc.constantFrom('tiny', 'other'), anything),
    pattern: fc.oneof(fc.constantFrom('head', 'full', 'sparse'), anything),
    steps: fc.oneof(fc.nat(3), anything),
    rate: fc.oneof(fc.double({ min: 0, max: 1 }), anything),
    profile: id,
    continue: fc.oneof(fc.boolean(), anything),
    version: fc.oneof(fc.nat(3), anything),
    [`__proto__`]: anything,
  },
  { requiredKeys: [] },
);
const adaptJson = fc
  .tuple(options, fc.array(example, { maxLength: 5 }))
  .map(([rest, examples]) => ({ ...rest, examples }));
const predictJson = fc.oneof(
  fc.tuple(id, image).map(([name, value]) => ({ profile: name, ...value })),
  fc
    .tuple(id, fc.array(fc.oneof(image, anything), { maxLength: 4 }))
    .map(([name, images]) => ({ profile: name, images })),
  anything,
);
const text = (value: unknown): string => {
  try {
    return JSON.stringify(value, (_key, each) => (typeof each === 'bigint' ? String(each) : each)) ?? '';
  } catch {
    return '{}';
  }
};
const json = (path: string, value: fc.Arbitrary<unknown>) =>
  fc.tuple(value, fc.option(fc.nat(4000)), fc.boolean()).map(([body, cut, spoilt]): Raw => {
    const bytes = Buffer.from(text(body).replaceAll('PROFILE', profile));
    if (spoilt && cut !== null && bytes.length > 0) bytes[cut % bytes.length] = cut & 255;
    const sent = !spoilt && cut !== null ? bytes.subarray(0, cut) : bytes;
    return { method: 'POST', path, headers: { 'Content-Type': 'application/json' }, body: sent };
  });
const part = fc.record({
  name: fc.oneof(label, fc.constantFrom('profile', 'steps', 'pattern', 'continue')),
  file: fc.boolean(),
  value: fc.oneof(
    brokenImage,
    fc.string().map((value) => Buffer.from(value)),
    fc.constantFrom('1', 'true', 'head').map((value) => Buffer.from(value)),
  ),
  ending: fc.constantFrom('\r\n', '\r\n', '\r\n', '\n', ''),
});
const form = (path: string) =>
  fc
    .record({
      parts: fc.array(part, { maxLength: 5 }),
      closed: fc.boolean(),
      boundary: fc.constantFrom('x', '--', 'x y'),
    })
    .map(({ parts, closed, boundary }): Raw => {
      const chunks = parts.flatMap(({ name, file, value, ending }) => [
        Buffer.from(
          `--${boundary}\r\nContent-Disposition: form-data; name="${name}"${file ? '; filename="a.png"' : ''}\r\n\r\n`,
        ),
        value,
        Buffer.from(ending),
      ]);
      const body = Buffer.concat([...chunks, Buffer.from(closed ? `--${boundary}--\r\n` : '')]);
      return { method: 'POST', path, headers: { 'Content-Type': `multipart/form-data; boundary=${boundary}` }, body };
    });
const bytes = fc
  .record({
    method: fc.constantFrom('POST', 'PUT'),
    path: fc.constantFrom(
      '/predict?profile=PROFILE',
      '/predict',
      '/profiles',
      '/profiles?model=tiny',
      `/profiles/${randomUUID()}`,
      '/adapt',
    ),
    body: fc.oneof(fc.uint8Array({ maxLength: 700 }), brokenImage, fc.constant(Buffer.alloc(576))),
    tag: fc.option(fc.string()),
  })
  .map(
    ({ method, path, body, tag }): Raw => ({
      method,
      path: path.replace('PROFILE', profile),
      headers: { 'Content-Type': 'application/octet-stream', ...(tag === null ? {} : { 'If-Match': tag }) },
      body,
    }),
  );
const other = fc
  .record({
    method: fc.constantFrom('GET', 'HEAD', 'DELETE', 'PATCH', 'OPTIONS', 'POST'),
    path: fc.oneof(
      fc.webPath(),
      fc.webQueryParameters().map((query) => `/profiles?${query}`),
      fc.string().map((path) => `/profiles/${path}`),
    ),
    headers: fc.dictionary(
      fc.constantFrom(
        'Content-Type',
        'Content-Encoding',
        'Accept',
        'If-Match',
        'Authorization',
        'Expect',
        'Host',
        'Origin',
      ),
      fc.string(),
    ),
  })
  .map((each): Raw => ({ ...each, body: new Uint8Array() }));

const anyRequest = fc.oneof(
  { weight: 4, arbitrary: json('/adapt', adaptJson) },
  { weight: 4, arbitrary: json('/predict', predictJson) },
  { weight: 2, arbitrary: form('/adapt') },
  { weight: 2, arbitrary: form('/predict') },
  { weight: 2, arbitrary: bytes },
  { weight: 1, arbitrary: other },
);

/** MiB of the service, which runs in a process of its own. */
async function resident(): Promise<number> {
  const text = await (await fetch(`${service.url}/metrics`)).text();
  return Number(/^process_resident_memory_bytes (\S+)/m.exec(text)?.[1]) / 2 ** 20;
}

test(`${REQUESTS} malformed requests: no crash, no fault of the server, no growth of memory`, {
  timeout: 3_600_000,
}, async () => {
  const seen = new Map<number, number>();
  let early = 0;
  let count = 0;
  const property = fc.asyncProperty(fc.array(anyRequest, { minLength: 8, maxLength: 8 }), async (requests) => {
    const answers = await Promise.all(requests.map(ask));
    for (const [i, answer] of answers.entries()) {
      if (++count === Math.floor(REQUESTS / 2)) early = await resident();
      if (!answer) continue;
      seen.set(answer.status, (seen.get(answer.status) ?? 0) + 1);
      const what = `${requests[i]?.method} ${requests[i]?.path}: ${answer.text}`;
      expect(answer.status, `${what} ${service.log.join('\n')}`).toBeLessThan(500);
      if (answer.status < 400 || requests[i]?.method === 'HEAD') continue;
      // Of a file, told by the status alone.
      if (answer.status === 412 && answer.text === '') continue;
      expect(answer.type, what).toMatch(/^application\/problem\+json/);
      expect(answer.text.length, what).toBeLessThan(1500);
      expect(answer.text, what).not.toMatch(/node_modules|\.js:\d/);
    }
    expect(service.log).toEqual([]);
  });
  const numRuns = Math.ceil(REQUESTS / 8);
  await fc.assert(property, {
    numRuns,
    ...(process.env['WHET_FUZZ'] ? {} : { seed: 5 }),
    endOnFailure: true,
    // The bodies would fill pages; the seed makes them again.
    reporter: ({ failed, seed, errorInstance }) => {
      if (failed) throw new Error(`seed ${seed}: ${(errorInstance as Error).message}`);
    },
  });
  for (const status of [200, 400, 404, 409, 415, 422]) expect([status, seen.has(status)]).toEqual([status, true]);
  expect((await fetch(`${service.url}/health`)).status).toBe(200);
  // Every request that could be sent has its answer.
  expect(dropped).toBe(0);
  const late = await resident();
  process.stdout.write(
    `${count} requests: ${JSON.stringify(Object.fromEntries(seen))}, ${dropped} without an answer; resident ${early.toFixed(0)} MiB half-way, ${late.toFixed(0)} at the end\n`,
  );
  // What the second half took, with a collector that is in no hurry.
  expect(late - early).toBeLessThan(40);
});

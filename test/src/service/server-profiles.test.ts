import { randomUUID } from 'node:crypto';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Profile, readProfile } from '@whet/runtime';
import { RequestError, WhetClient } from '@whet/runtime/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkedAnswers } from './check-answers.js';
import { type Drawing, fileOf, formOf, post, startTestServer, type TestServer, tensorOf } from './server-fixture.js';

let server: TestServer;
let client: WhetClient;
beforeAll(async () => {
  server = await startTestServer();
  client = new WhetClient(server.url);
});
afterAll(() => server.close());

const tensor = (shape: Drawing) => Float32Array.from(tensorOf(shape));
const examples = (['left', 'top'] as const).map((label) => ({ label, image: tensor(label) }));
const refused = (status: number, field: string, current?: number) =>
  expect.objectContaining({ problem: expect.objectContaining({ status, field, ...(current ? { current } : {}) }) });

describe('adapting a profile again', () => {
  test('continues from what it has learnt, and adds classes', async () => {
    const first = await client.adapt({ examples, steps: 2 });
    expect(first).toMatchObject({ version: 1, classes: ['left', 'top'] });
    const more = [{ label: 'corner', image: tensor('corner') }];
    const second = await client.adapt({ examples: more, profile: first.profile, continue: true });
    expect(second).toMatchObject({ profile: first.profile, version: 2, pattern: first.pattern, added: ['corner'] });
    expect(second.classes).toEqual(['left', 'top', 'corner']);
    expect(await client.profile(first.profile)).toMatchObject({ version: 2, examples: { left: 1, top: 1, corner: 1 } });
    const direct = await server.bundle.adapt(examples, { steps: 2 });
    const next = await server.bundle.adapt(more, { from: direct.profile });
    const { bytes } = await client.exportProfile(first.profile);
    expect(Buffer.from(bytes).equals(next.profile.toBytes())).toBe(true);
  });

  test('or starts over, also with another pattern', async () => {
    const first = await client.adapt({ examples, pattern: 'head' });
    const second = await client.adapt({ examples, pattern: 'full', profile: first.profile, steps: 1 });
    expect(second).toMatchObject({ version: 2, pattern: 'full' });
    const fresh = await client.adapt({ examples, pattern: 'full', steps: 1 });
    const [a, b] = [await client.exportProfile(first.profile), await client.exportProfile(fresh.profile)];
    expect(Buffer.from(a.bytes).equals(b.bytes)).toBe(true);
  });

  test('as a form too', async () => {
    const { profile } = await client.adapt({ examples });
    const form = formOf([
      ['corner', await fileOf('corner')],
      ['profile', profile],
      ['continue', 'true'],
      ['version', '1'],
    ]);
    const response = await post(`${server.url}/adapt`, form);
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ version: 2, classes: ['left', 'top', 'corner'] });
  });

  test('is refused where it has another version, and loses no concurrent update', async () => {
    const { profile } = await client.adapt({ examples });
    await client.adapt({ examples, profile });
    await expect(client.adapt({ examples, profile, version: 1 })).rejects.toEqual(refused(409, 'version', 2));
    // Each adds a class of its own, and tries again where another was faster.
    const labels = Array.from({ length: 3 }, (_, i) => `class ${i}`);
    let conflicts = 0;
    await Promise.all(
      labels.map(async (label) => {
        for (;;) {
          try {
            return await client.adapt({ examples: [{ label, image: tensor('corner') }], profile, continue: true });
          } catch (error) {
            if (!(error instanceof RequestError) || error.status !== 409) throw error;
            conflicts++;
          }
        }
      }),
    );
    expect(conflicts).toBeGreaterThan(0);
    const { classes, version } = await client.profile(profile);
    expect([...classes].sort()).toEqual([...labels, 'left', 'top']);
    expect(version).toBe(5);
  });

  test.each([
    [{ profile: randomUUID() }, 404, 'profile'],
    [{ profile: '__proto__' }, 404, 'profile'],
    [{ continue: true }, 400, 'profile'],
    [{ version: 1 }, 400, 'profile'],
    [{ profile: randomUUID(), version: 0 }, 422, 'version'],
  ])('is refused for %j', async (options, status, field) => {
    await expect(client.adapt({ examples, ...options })).rejects.toEqual(refused(status, field));
  });

  test('is refused with another pattern or model than it continues', async () => {
    const { profile } = await client.adapt({ examples, pattern: 'head' });
    const again = (options: object) => client.adapt({ examples, profile, continue: true, ...options });
    await expect(again({ pattern: 'full' })).rejects.toEqual(refused(422, 'pattern'));
    await expect(again({ model: 'other' })).rejects.toEqual(refused(422, 'model'));
    expect(await client.profile(profile)).toMatchObject({ version: 1 });
  });

  test.each([
    ['6 classes', 6, 409, 'profile'],
    ['50,000 classes', 50_000, 413, 'body'],
  ])('refuses to import a profile of %s where the bundle has 5 at most', async (_what, count, status, field) => {
    const { profile } = await client.adapt({ examples });
    const { bundle, pattern, steps, values, storage } = readProfile((await client.exportProfile(profile)).bytes);
    const classes = Array.from({ length: count }, (_, i) => `${i}`);
    const length = server.bundle.manifest.featureLength;
    const grown = new Map(values)
      .set('head.weight', { shape: [count, length], data: new Float32Array(count * length) })
      .set('head.bias', { shape: [count], data: new Float32Array(count) });
    const odd = new Profile(
      bundle,
      pattern,
      classes,
      classes.map(() => 1),
      steps,
      grown,
      storage,
    ).toBytes();
    await expect(client.importProfile(odd)).rejects.toEqual(refused(status, field));
    await expect(client.importProfile(odd, { id: profile })).rejects.toEqual(refused(status, field));
    expect(await client.profile(profile)).toMatchObject({ version: 1 });
  });

  test('imports the largest profile that a bundle can have, and none with bytes behind it', async () => {
    const { profile } = await client.adapt({ examples, pattern: 'full' });
    const { bundle, pattern, values, storage } = readProfile((await client.exportProfile(profile)).bytes);
    const length = server.bundle.manifest.featureLength;
    const classes = Array.from({ length: 5 }, (_, i) => `${i}${'"'.repeat(255)}`);
    const grown = new Map(values)
      .set('head.weight', { shape: [5, length], data: new Float32Array(5 * length) })
      .set('head.bias', { shape: [5], data: new Float32Array(5) });
    const counts = classes.map(() => 1_000_000_000);
    const most = [counts, Number.MAX_SAFE_INTEGER] as const;
    const largest = new Profile(bundle, pattern, classes, ...most, grown, storage).toBytes();
    expect(await client.importProfile(largest)).toMatchObject({ classes, bytes: largest.length });
    const longer = Buffer.concat([largest, Buffer.alloc(4)]);
    await expect(client.importProfile(longer)).rejects.toEqual(refused(409, 'profile'));
  });
});

test('going on from a profile finds its classes by what is seen of their names', async () => {
  const named = (label: string) => [
    { label, image: tensor('left') },
    { label: 'top', image: tensor('top') },
  ];
  const { profile } = await client.adapt({ examples: named('caf\u00e9') });
  const again = await client.adapt({ examples: named('cafe\u0301\u200b'), profile, continue: true });
  expect([again.classes, again.added]).toEqual([['caf\u00e9', 'top'], []]);
});

describe('events', () => {
  test('tell each inner step and then the profile', async () => {
    const steps: [number, number][] = [];
    const answer = await client.adapt({ examples, steps: 4 }, { onStep: (step, loss) => steps.push([step, loss]) });
    expect(steps).toEqual(answer.losses.map((loss, i) => [i + 1, loss]));
    expect(await client.profile(answer.profile)).toMatchObject({ version: 1 });
  });

  test('are read whatever a label holds', async () => {
    const label = 'a data: {} event: problem, \u{1f3f4} "';
    const named = [
      { label, image: tensor('left') },
      { label: 'top', image: tensor('top') },
    ];
    const steps: number[] = [];
    const answer = await client.adapt({ examples: named, steps: 1 }, { onStep: (step) => steps.push(step) });
    expect([steps, answer.classes]).toEqual([[1], named.map(({ label: name }) => name)]);
  });

  test('refuse with a status before the first, and with an event after', async () => {
    const onStep = () => undefined;
    await expect(client.adapt({ examples: [] }, { onStep })).rejects.toEqual(refused(422, 'examples'));
    const { profile } = await client.adapt({ examples });
    const rival = client.adapt({ examples, profile, steps: 0 });
    const slow = client.adapt({ examples, profile, steps: 50, rate: 1e-6 }, { onStep });
    await rival;
    await expect(slow).rejects.toEqual(refused(409, 'version', 2));
  });
});

describe('/profiles', () => {
  test('lists pages, deletes, exports and imports', async () => {
    const own = await startTestServer();
    const api = new WhetClient(own.url);
    try {
      const ids: string[] = [];
      for (let i = 0; i < 5; i++) ids.push((await api.adapt({ examples })).profile);
      const first = await api.profiles({ limit: 3 });
      const second = await api.profiles({ limit: 3, after: first.next ?? '' });
      expect([...first.profiles, ...second.profiles].map(({ profile }) => profile)).toEqual([...ids].sort());
      expect(second.next).toBeUndefined();
      const [id] = ids as [string];
      const { bytes, etag } = await api.exportProfile(id);
      const before = await api.predict({ profile: id }, [tensor('left')]);
      await api.deleteProfile(id, { etag });
      await expect(api.profile(id)).rejects.toEqual(refused(404, 'profile'));
      await expect(api.deleteProfile(id)).rejects.toEqual(refused(404, 'profile'));
      await expect(api.predict({ profile: id }, [tensor('left')])).rejects.toEqual(refused(404, 'profile'));
      const copy = await api.importProfile(bytes);
      expect(copy).toMatchObject({ version: 1, classes: ['left', 'top'], bytes: bytes.length });
      await api.importProfile(bytes, { id });
      for (const profile of [copy.profile, id]) {
        expect((await api.predict({ profile }, [tensor('left')])).predictions).toEqual(before.predictions);
      }
      expect((await api.profiles()).profiles).toHaveLength(6);
    } finally {
      await own.close();
    }
  });

  test('predicts with the version that is stored now', async () => {
    const { profile } = await client.adapt({ examples });
    const labels = async () => (await client.predict({ profile }, [tensor('corner')])).predictions[0]?.label;
    expect(['left', 'top']).toContain(await labels());
    const others = examples.map(({ image }, i) => ({ label: `other ${i}`, image }));
    await client.adapt({ examples: others, profile });
    expect(await labels()).toMatch(/^other/);
  });

  test('changes nothing that has changed since', async () => {
    const { profile } = await client.adapt({ examples });
    const { bytes, etag } = await client.exportProfile(profile);
    await client.adapt({ examples, profile });
    await expect(client.deleteProfile(profile, { etag })).rejects.toEqual(refused(409, 'version', 2));
    await expect(client.importProfile(bytes, { id: profile, etag })).rejects.toEqual(refused(409, 'version', 2));
    await expect(client.deleteProfile(profile, { etag: 'x' })).rejects.toThrow(
      'expected the ETag of a profile, got "x"',
    );
    await expect(client.deleteProfile(profile, { etag: 'x' })).rejects.toEqual(refused(422, 'if-match'));
    const current = await fetch(`${server.url}/profiles/${profile}`);
    const tag = current.headers.get('etag') as string;
    // Without a word on caches, `fetch` asks for a fresh answer.
    const headers = { 'If-None-Match': tag, 'Cache-Control': 'max-age=0' };
    const same = await fetch(`${server.url}/profiles/${profile}`, { headers });
    expect(same.status).toBe(304);
    await client.deleteProfile(profile, { etag: tag });
  });

  test.each([
    ['nothing', new Uint8Array(), 400, 'body', "expected a profile's bytes, got none"],
    ['other bytes', Buffer.from('not a profile'), 409, 'profile', 'profile: '],
  ])('refuses to import %s', async (_what, bytes, status, field, detail) => {
    const before = await server.store.usage();
    await expect(client.importProfile(bytes)).rejects.toEqual(refused(status, field));
    await expect(client.importProfile(bytes)).rejects.toThrow(detail);
    await expect(client.importProfile(bytes, { model: 'gone' })).rejects.toEqual(refused(404, 'model'));
    expect(await server.store.usage()).toEqual(before);
  });

  test.each([
    ['a class with NUL', ['a\u0000', 'b'], [1, 1], 'classes[0]'],
    ['a class with a control character', ['a', '\u001b[31m'], [1, 1], 'classes[1]'],
    ['a class of 1,000 characters', ['a', 'x'.repeat(1000)], [1, 1], 'classes[1]'],
    ['a class with half a surrogate pair', ['a\ud800', 'b'], [1, 1], 'classes[0]'],
    ['a class of space', ['a', ' '], [1, 1], 'classes[1]'],
    ['two classes that look alike', ['caf\u00e9', 'cafe\u0301'], [1, 1], 'classes[1]'],
    ['two classes that one of no width tells apart', ['a', 'a\u200b'], [1, 1], 'classes[1]'],
    ['2^31 examples', ['a', 'b'], [1, 2 ** 31], 'examples[1]'],
  ])('refuses to import a profile with %s', async (_what, classes, counts, field) => {
    const { profile } = await client.adapt({ examples });
    const { bytes } = await client.exportProfile(profile);
    const { bundle, pattern, steps, values, storage } = readProfile(bytes);
    const odd = new Profile(bundle, pattern, classes, counts, steps, values, storage).toBytes();
    const before = await server.store.usage();
    await expect(client.importProfile(odd)).rejects.toEqual(refused(422, field));
    await expect(client.importProfile(odd, { id: profile })).rejects.toEqual(refused(422, field));
    expect(await server.store.usage()).toEqual(before);
    expect(await client.profile(profile)).toMatchObject({ version: 1 });
  });

  test('refuses to import more examples than anybody has', async () => {
    const { profile } = await client.adapt({ examples });
    const { bundle, pattern, classes, steps, values, storage } = readProfile(
      (await client.exportProfile(profile)).bytes,
    );
    const odd = new Profile(bundle, pattern, classes, [1, 2 ** 31], steps, values, storage).toBytes();
    await expect(client.importProfile(odd)).rejects.toThrow(/expected a count of at most \d+, got 2147483648$/);
  });

  test('refuses to continue with another model or pattern', async () => {
    const { profile, pattern } = await client.adapt({ examples });
    const next = (more: object) => client.adapt({ examples, profile, continue: true, ...more });
    await expect(next({ model: 'other' })).rejects.toThrow(
      'model: expected "tiny", that of the profile to continue, got "other"',
    );
    await expect(next({ pattern: pattern === 'full' ? 'head' : 'full' })).rejects.toThrow(
      `pattern: expected "${pattern}", that of the profile to continue, got `,
    );
  });

  test('refuses to replace what is not there, where it is to be', async () => {
    const { profile } = await client.adapt({ examples });
    const { bytes } = await client.exportProfile(profile);
    expect(await client.importProfile(bytes, { id: profile, etag: '*' })).toMatchObject({ version: 2 });
    const absent = () => client.importProfile(bytes, { id: randomUUID(), etag: '*' });
    await expect(absent()).rejects.toEqual(refused(409, 'version'));
    await expect(absent()).rejects.toThrow('version: expected a stored profile, got none');
    await expect(client.deleteProfile(randomUUID(), { etag: '*' })).rejects.toEqual(refused(404, 'profile'));
  });

  test.each(['limit=0', 'limit=1001', 'limit=x', 'limit=1.5', 'after=x', 'limt=1'])(
    'refuses to list with %s',
    async (query) => {
      const response = await fetch(`${server.url}/profiles?${query}`);
      expect([404, 422]).toContain(response.status);
    },
  );
});

test('raw tensors are predicted as the same tensors in JSON', async () => {
  const { profile } = await client.adapt({ examples });
  const images = [tensor('left'), tensor('corner')];
  const body = Buffer.concat(images.map(({ buffer }) => Buffer.from(buffer)));
  const headers = { 'Content-Type': 'application/octet-stream' };
  const send = (bytes: Uint8Array, id = profile) =>
    fetch(`${server.url}/predict?profile=${id}`, { method: 'POST', headers, body: bytes as Uint8Array<ArrayBuffer> });
  const answer = (await (await send(body)).json()) as { predictions: unknown };
  expect(answer.predictions).toEqual((await client.predict({ profile }, images)).predictions);
  expect(await (await send(body.subarray(1))).json()).toMatchObject({
    status: 422,
    detail: 'body: expected images of 576 bytes, little-endian float32 [1, 12, 12], got 1151 bytes',
  });
  expect((await send(new Uint8Array())).status).toBe(422);
  expect((await send(Buffer.alloc(576, 0xff))).status).toBe(422);
  expect((await send(body, randomUUID())).status).toBe(404);
});

test('the service tells figures for Prometheus, whether it is ready, and how long each answer took', async () => {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  for (const name of ['whet_request_seconds', 'whet_stage_seconds', 'whet_batch_requests']) {
    expect(text).toMatch(new RegExp(`^${name}_count.* [1-9]`, 'm'));
  }
  for (const stage of ['decode', 'queue', 'adapt', 'store', 'wait', 'predict'])
    expect(text).toContain(`stage="${stage}"`);
  expect(text).toMatch(/^whet_sessions [1-9]/m);
  expect(text).toMatch(/^whet_store_profiles [1-9]/m);
  expect(text).toMatch(/^whet_adaptations_waiting 0$/m);
  expect(text).toMatch(/route="\/profiles\/:id"/);
  for (const [path, status] of [
    ['live', 'live'],
    ['ready', 'ready'],
  ]) {
    const response = await fetch(`${server.url}/health/${path}`);
    expect(await response.json()).toEqual({ status });
    expect(response.headers.get('server-timing')).toMatch(/^total;dur=\d/);
  }
});

test('the document is valid OpenAPI 3.1, and its page needs nothing from elsewhere', async () => {
  const document = (await (await fetch(`${server.url}/openapi.json`)).json()) as { openapi: string };
  expect(await new Validator().validate(document)).toMatchObject({ valid: true });
  expect(document.openapi).toBe('3.1.0');
  const response = await fetch(`${server.url}/docs`);
  const page = await response.text();
  expect(page).toContain('POST /adapt');
  expect(page).not.toMatch(/<script|<link|https?:\/\//);
  expect(response.headers.get('content-security-policy')).toContain("script-src 'self'");
  expect(checkedAnswers()).toBeGreaterThan(50);
});

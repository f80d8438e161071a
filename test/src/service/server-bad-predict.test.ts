import { randomUUID } from 'node:crypto';
import type { ProfileDraft } from '@whet/server';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { formOf, post, SIZE, startTestServer, type TestServer } from './server-fixture.js';
import {
  type BadBody,
  type ExpectedRefusal,
  expectRefusal,
  file,
  image,
  imageCases,
  storeProfile,
  tensorCases,
} from './server-refusals.js';

const UNKNOWN = '00000000-0000-4000-8000-000000000000';

let profile: string;
let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
  profile = await storeProfile(server);
});
afterAll(() => server.close());

describe('POST /predict refuses', () => {
  const cases: BadBody[] = [
    [
      'no profile',
      () => ({ image }),
      {
        status: 400,
        field: 'profile',
        detail: /expected text, got nothing, and model "tiny" has no classes without a profile/,
      },
    ],
    ['an unknown profile', () => ({ profile: UNKNOWN, image }), { status: 404, field: 'profile', detail: /got "0000/ }],
    [
      'a profile of 60 kB',
      () => ({ profile: 'x'.repeat(6e4), image }),
      { status: 404, field: 'profile', detail: /got "x{60}\.\.\. \(60000 characters\)"$/ },
    ],
    [
      'a profile of 1 MB',
      () => ({ profile: 'x'.repeat(1e6), image }),
      { status: 422, field: 'profile', detail: /expected a text of at most 65536 bytes, got 1000000$/ },
    ],
    ['a profile that is no text', () => ({ profile: 1, image }), { status: 422, field: 'profile', detail: /got 1/ }],
    [
      'a profile and a model',
      () => ({ profile, model: 'tiny', image }),
      { status: 422, field: 'model', detail: /expected "profile" or "model", got both: a profile has its model/ },
    ],
    [
      'no image',
      () => ({ profile }),
      { status: 400, field: 'image', detail: /expected "image" or "tensor", got neither/ },
    ],
    [
      'an image and a list',
      () => ({ profile, image, images: [image] }),
      { status: 422, field: 'images', detail: /expected one of "image", "tensor" and "images", got several/ },
    ],
    [
      'an empty list',
      () => ({ profile, images: [] }),
      { status: 422, field: 'images', detail: /expected images, got none/ },
    ],
    [
      'too many images',
      () => ({ profile, images: new Array(1001).fill(image) }),
      { status: 413, field: 'images', detail: /expected at most 1000 images, got 1001/ },
    ],
    [
      'an image that is a number',
      () => ({ profile, images: [image, 5] }),
      { status: 422, field: 'images[1]', detail: /expected base64, or an object with "image" or "tensor", got 5/ },
    ],
    [
      'an unknown member',
      () => ({ profile, images: [{ image, label: 'left' }] }),
      { status: 422, field: 'images[0].label', detail: /only image, tensor/ },
    ],
    ...imageCases((value) => [{ profile, image: value() }, 'image']),
    ...imageCases((value) => [{ profile, images: [image, value()] }, 'images[1]']),
    ...imageCases((value) => [{ profile, images: [{ image: value() }] }, 'images[0].image']),
    ...tensorCases((value) => [{ profile, tensor: value }, 'tensor']),
    ...tensorCases((value) => [{ profile, images: [{ tensor: value }] }, 'images[0].tensor']),
    [
      'a form without files',
      () => formOf([['profile', profile]]),
      { status: 400, field: 'images', detail: /expected image files, got none/ },
    ],
    ['a form without a profile', () => formOf([['a', file]]), { status: 400, field: 'profile', detail: /got nothing/ }],
    [
      'a form with a broken file',
      () =>
        formOf([
          ['profile', profile],
          ['a', file],
          ['a', file.subarray(0, -1)],
        ]),
      { status: 422, field: 'images[1]', detail: /damaged or cut short/ },
    ],
    [
      'values no network computes with',
      () => ({ profile, tensor: new Array(SIZE * SIZE).fill(3e38) }),
      { status: 422, field: 'tensor', detail: /expected values the network can compute with, got NaN probabilities/ },
    ],
  ];
  test.each(cases)('%s', async (_what, body, refusal) => {
    await expectRefusal(server, () => post(`${server.url}/predict`, body()), refusal);
  });

  test('a profile of another bundle, and one whose bytes are damaged', async () => {
    const record = await server.store.get('local', profile);
    if (!record) throw new Error('no record');
    const text = Buffer.from(record.bytes).toString('latin1');
    const foreign = Buffer.from(text.replace(server.bundle.digest, '0'.repeat(64)), 'latin1');
    const put = async (draft: ProfileDraft) => {
      const id = randomUUID();
      await server.store.put('local', id, draft, undefined);
      return id;
    };
    const ids = {
      foreign: await put({ ...record, bytes: foreign }),
      damaged: await put({ ...record, bytes: record.bytes.subarray(0, 100) }),
      orphan: await put({ ...record, model: 'gone' }),
    };
    const refuse = async (id: string, refusal: ExpectedRefusal) =>
      expectRefusal(server, () => post(`${server.url}/predict`, { profile: id, image }), refusal);
    await refuse(ids.foreign, { status: 409, field: 'profile', detail: /another bundle/ });
    await refuse(ids.orphan, { status: 404, field: 'model', detail: /got "gone"/ });
    const damaged = await post(`${server.url}/predict`, { profile: ids.damaged, image });
    expect(damaged.status).toBe(409);
  });
});

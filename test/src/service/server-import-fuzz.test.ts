import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Profile, readProfile } from '@whet/runtime';
import { RequestError, WhetClient } from '@whet/runtime/client';
import { openStore, type ProfileStore } from '@whet/server';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { lacking } from '../needs.js';
import { findPostgres, startPostgres, type TestPostgres } from './postgres.js';
import { startTestServer, type TestServer, tensorOf } from './server-fixture.js';

const programs = findPostgres();
let folder: string;
let postgres: TestPostgres | undefined;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-imports-'));
  if (programs) postgres = await startPostgres(programs);
});
afterAll(async () => {
  await postgres?.close();
  await rm(folder, { recursive: true, force: true });
});

const unit = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...'abcé日\u{1f600}'.split('')) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)) },
);
const name = fc.oneof(
  fc.string({ unit, minLength: 1, maxLength: 12 }),
  fc.string({ unit: 'grapheme', minLength: 1 }),
  fc.constantFrom(
    '__proto__',
    'constructor',
    '\u2028',
    '\\',
    '"',
    '{}',
    'NULL',
    "'; --",
    '日'.repeat(85),
    '日'.repeat(86),
  ),
);
const count = fc.oneof(fc.nat(5), fc.constantFrom(1_000_000_000, 1_000_000_001, 2 ** 31, Number.MAX_SAFE_INTEGER));
const odd = fc.record({
  classes: fc.uniqueArray(name, { minLength: 2, maxLength: 2 }),
  examples: fc.tuple(count, count),
  steps: fc.oneof(fc.nat(9), fc.constant(Number.MAX_SAFE_INTEGER)),
});

describe.each([
  ['memory', async () => openStore('memory:')],
  ['lmdb', async () => openStore(join(folder, 'store'))],
  ['postgres', async () => openStore(await (postgres as TestPostgres).database('whet'))],
] as const)('a profile from elsewhere, into the %s store', (kind, open) => {
  let server: TestServer;
  let store: ProfileStore;
  const skipped = kind === 'postgres' && !programs;
  beforeAll(async () => {
    if (skipped) return;
    store = await open();
    server = await startTestServer({}, { store });
  });
  afterAll(async () => {
    await server?.close();
    await store?.close();
  });

  const lack = lacking({ postgresql: kind !== 'postgres' || programs });
  test.skipIf(skipped)(`is refused, or kept and told exactly as it was sent${lack}`, async () => {
    const client = new WhetClient(server.url);
    const examples = (['left', 'top'] as const).map((label) => ({ label, image: Float32Array.from(tensorOf(label)) }));
    const { profile } = await client.adapt({ examples });
    const { bundle, pattern, values, storage } = readProfile((await client.exportProfile(profile)).bytes);
    const seen = new Map<number, number>();
    const property = fc.asyncProperty(odd, async ({ classes, examples: counts, steps }) => {
      const bytes = new Profile(bundle, pattern, classes, counts, steps, values, storage).toBytes();
      const answer = await client.importProfile(bytes).catch((error: unknown) => {
        if (error instanceof RequestError) return error;
        throw error;
      });
      const status = answer instanceof RequestError ? answer.status : 201;
      seen.set(status, (seen.get(status) ?? 0) + 1);
      if (answer instanceof RequestError) {
        expect([answer.status, answer.problem.field]).toEqual([
          422,
          expect.stringMatching(/^(classes|examples)\[[01]\]$/),
        ]);
        return;
      }
      expect(answer.classes).toEqual(classes);
      expect(Object.entries(answer.examples).sort()).toEqual(classes.map((each, i) => [each, counts[i]]).sort());
      expect(await client.profile(answer.profile)).toEqual(answer);
      expect(Buffer.from((await client.exportProfile(answer.profile)).bytes).equals(bytes)).toBe(true);
    });
    await fc.assert(property, {
      numRuns: Number(process.env['WHET_FUZZ'] ?? 75),
      ...(process.env['WHET_FUZZ'] ? {} : { seed: 7 }),
    });
    expect(server.errors).toEqual([]);
    expect([...seen.keys()].sort()).toEqual([201, 422]);
  });
});

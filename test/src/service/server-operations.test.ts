import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type RequestError, WhetClient } from '@whet/runtime/client';
import { readConfig } from '@whet/server';
import { randomImages, tinyCheckpoint, writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runWhet } from '../command/whet-process.js';
import { lacking } from '../needs.js';
import { findPostgres, startPostgres, type TestPostgres } from './postgres.js';
import { type ServeProcess, startServe } from './whet-serve.js';

const run = promisify(execFile);

let folder: string;
let bundle: string;
let otherBundle: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-operations-'));
  bundle = await writeTinyBundle();
  otherBundle = await writeTinyBundle(tinyCheckpoint('shared'));
});
afterAll(async () => {
  for (const each of [folder, bundle, otherBundle]) await rm(each, { recursive: true, force: true });
});

const examples = randomImages('examples', 4).map((image, i) => ({ label: 'ab'[i % 2] as string, image }));
const [image] = randomImages('query', 1) as [Float32Array];
/** Runs `whet` to its end, and throws what it says where it fails. */
const whet = async (...args: string[]) => {
  const outcome = await runWhet(folder, args);
  if (outcome.code !== 0) throw new Error(outcome.err);
  return outcome;
};
const refusal = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error: unknown) => error as RequestError,
  );

test('keys, reload and the end of a running service', { timeout: 120_000 }, async () => {
  const store = join(folder, 'profiles');
  const directory = join(folder, 'bundle');
  await cp(bundle, directory, { recursive: true });
  const config = join(folder, 'whet.json');
  await writeFile(config, JSON.stringify({ store, auth: 'keys', threads: 1, port: 1 }));
  const service = await startServe([directory, '--config', config], { WHET_LOG_LEVEL: 'info' });
  try {
    expect(service.log.join('\n')).toContain('whet keys add');
    expect(await refusal(new WhetClient(service.url).models())).toMatchObject({ status: 401 });
    // Made while the service runs, which takes it at once.
    const { out } = await whet('keys', 'add', 'phone', '--config', config);
    const client = new WhetClient(service.url, { key: out.trim() });
    const { profile } = await client.adapt({ examples });
    const before = (await client.models()).models[0];

    let predicted = 0;
    let stop = false;
    const failures: unknown[] = [];
    const stream = async () => {
      while (!stop) {
        await client.predict({ profile }, [image]).then(
          () => predicted++,
          (error: RequestError) => error.status !== 409 && failures.push(error),
        );
      }
    };
    const streams = [stream(), stream(), stream()];
    await cp(otherBundle, directory, { recursive: true });
    service.kill('SIGHUP');
    for (let i = 0; i < 400; i++) {
      if ((await client.models()).models[0]?.['digest'] !== before?.['digest']) break;
      await pause(50);
    }
    stop = true;
    await Promise.all(streams);
    expect(failures).toEqual([]);
    expect(predicted).toBeGreaterThan(0);
    expect((await client.models()).models[0]?.['head']).toBe('shared');
    expect(await refusal(client.predict({ profile }, [image]))).toMatchObject({ status: 409 });
    // A bundle that is broken changes nothing.
    await writeFile(join(directory, 'manifest.json'), '{');
    service.kill('SIGHUP');
    for (let i = 0; i < 400 && !service.log.join('').includes('do not load'); i++) await pause(50);
    const answer = await client.adapt({ examples, profile });
    expect(answer.version).toBe(2);

    const list = await whet('keys', 'list', '--store', store);
    expect(list.out).toContain('phone');
    await whet('keys', 'revoke', 'phone', '--store', store);
    expect(await refusal(client.models())).toMatchObject({ status: 401 });
    await expect(whet('keys', 'revoke', 'phone', '--store', store)).rejects.toThrow('got "phone"');

    const { out: second } = await whet('keys', 'add', 'again', '--store', store);
    const last = new WhetClient(service.url, { key: second.trim() }).adapt({ examples, pattern: 'full', steps: 100 });
    await pause(100);
    service.kill('SIGTERM');
    expect(await last).toMatchObject({ version: 1 });
    expect(await service.ended).toBe(0);
    expect(service.log.join('\n')).not.toContain(out.trim().slice(5));
  } finally {
    service.kill('SIGKILL');
  }
});

test('keys are in the store of the service and in no other', async () => {
  const missing = join(folder, 'missing');
  for (const command of [['list'], ['revoke', 'phone']]) {
    await expect(whet('keys', ...command, '--store', missing)).rejects.toThrow(`got ${missing} with none`);
  }
  expect(existsSync(missing)).toBe(false);
  const { err } = await whet('keys', 'add', 'phone', '--store', missing);
  expect(err).toContain(`, in ${missing}; `);
  expect((await whet('keys', 'list', '--store', missing)).out).toContain('phone');
});

test('the unit and its settings say together where profiles are, for `whet keys` as for the service', async () => {
  const shipped = (name: string) => readFile(new URL(`../../../deploy/${name}`, import.meta.url), 'utf8');
  const [unit, text] = [await shipped('whet.service'), await shipped('whet.json')];
  // What the unit alone knew, a command at a shell would not.
  expect(unit).not.toMatch(/^Environment=.*WHET_/m);
  const state = /^StateDirectory=(.+)$/m.exec(unit)?.[1];
  expect(readConfig({ file: { path: 'whet.json', text } }).store).toBe(`/var/lib/${state}/profiles`);
  const page = await readFile(new URL('../../../docs/deployment.md', import.meta.url), 'utf8');
  const [, path] = /^ExecStart=\S+ (\S+) serve --config \/etc\/whet\/whet.json$/m.exec(unit) ?? [];
  expect(page).toContain(`node ${path} keys add phone --config /etc/whet/whet.json`);
});

test('settings are printed without passwords, and refused by name', async () => {
  const { out } = await whet(
    'serve',
    '--print-config',
    '--store',
    'postgres://whet:secret@db/whet',
    '--adapt-queue',
    '7',
  );
  expect(JSON.parse(out)).toMatchObject({ store: 'postgres://whet:***@db/whet', adaptQueue: 7, host: '127.0.0.1' });
  await expect(whet('serve', '--store', 'mysql://u:secret@db/whet')).rejects.toThrow('--store: expected a folder');
  await expect(whet('serve', '--batch-images', '0')).rejects.toThrow('--batch-images: expected a whole number from 1');
});

test('signals while it starts and while it ends are no trouble, and keys close the page', {
  timeout: 60_000,
}, async () => {
  const args = [bundle, '--store', join(folder, 'signals'), '--auth', 'keys', '--threads', '1'];
  const service = await startServe(args);
  for (const file of ['', 'bundles/index.json', 'bundles/tiny/manifest.json']) {
    expect((await fetch(`${service.url}/${file}`)).status).toBe(404);
  }
  // Whatever the reload has started is ended as well.
  service.kill('SIGHUP');
  service.kill('SIGTERM');
  expect(await service.ended).toBe(0);
  const open = await startServe([...args, '--page']);
  expect(await (await fetch(`${open.url}/bundles/index.json`)).json()).toEqual({ bundles: ['tiny'] });
  open.kill('SIGTERM');
  expect(await open.ended).toBe(0);
});

test('ends where two bundles have one name', { timeout: 60_000 }, async () => {
  await expect(
    whet('serve', bundle, bundle, '--port', '0', '--store', 'memory:', '--log-level', 'error'),
  ).rejects.toThrow('two bundles are called "tiny"');
});

const ready = async (url: string) => (await fetch(`${url}/health/ready`)).status;

const prlimit = existsSync('/usr/bin/prlimit');
test.skipIf(!prlimit)(
  `goes on without a loss where the disk is full${lacking({ prlimit })}`,
  { timeout: 60_000 },
  async () => {
    // No file of the service may become larger than this, in KiB; the signal that says so is not listened to.
    const limited = `trap '' XFSZ; ulimit -S -f 300; exec "$0" "$@"`;
    const store = join(folder, 'full');
    const service = await startServe([bundle, '--store', store, '--threads', '1', '--log-level', 'error'], {}, limited);
    try {
      const client = new WhetClient(service.url);
      const kept: string[] = [];
      const { profile: first } = await client.adapt({ examples, pattern: 'full' });
      const { bytes } = await client.exportProfile(first);
      // Pages of earlier versions are free some writes later, so that a small one may still be taken after one was refused.
      const adapted: string[] = [];
      const fill = async (write: () => Promise<{ profile: string }>, into: string[]) => {
        for (let i = 0; i < 200; i++) {
          try {
            into.push((await write()).profile);
          } catch (error) {
            return (error as RequestError).status;
          }
        }
        return `${into.length} were taken`;
      };
      expect(await fill(() => client.importProfile(bytes), kept)).toBe(503);
      expect(await fill(() => client.adapt({ examples, pattern: 'full' }), adapted)).toBe(503);
      expect(await ready(service.url)).toBe(503);
      expect((await fetch(`${service.url}/health/live`)).status).toBe(200);
      // Whoever is on a full disk can make room, however often.
      for (const id of kept.splice(0, 5)) await client.deleteProfile(id);
      expect((await client.predict({ profile: first }, [image])).predictions).toHaveLength(1);
      for (const id of kept) expect((await client.exportProfile(id)).bytes).toEqual(bytes);
      for (const id of adapted) expect((await client.exportProfile(id)).bytes).toHaveLength(bytes.length);
      // Room again.
      await run('prlimit', [`--pid=${service.pid}`, '--fsize=unlimited']);
      adapted.push((await client.adapt({ examples, pattern: 'full' })).profile);
      await client.deleteProfile(kept.pop() as string);
      for (let i = 0; i < 100 && (await ready(service.url)) !== 200; i++) await pause(50);
      expect(await ready(service.url)).toBe(200);
      expect((await client.profiles({ limit: 200 })).profiles).toHaveLength(kept.length + adapted.length + 1);
      service.kill('SIGTERM');
      expect(await service.ended).toBe(0);
    } finally {
      service.kill('SIGKILL');
    }
  },
);

const programs = findPostgres();
describe.skipIf(!programs)(`two processes on one PostgreSQL${lacking({ postgresql: programs })}`, () => {
  let postgres: TestPostgres;
  const services: ServeProcess[] = [];
  beforeAll(async () => {
    postgres = await startPostgres(programs as string);
    const url = await postgres.database('whet');
    const start = () => startServe([bundle, '--store', url, '--threads', '1', '--log-level', 'error']);
    services.push(...(await Promise.all([start(), start()])));
  });
  afterAll(async () => {
    for (const service of services) service.kill('SIGTERM');
    await Promise.all(services.map(({ ended }) => ended));
    await postgres?.close();
  });

  test("serve each other's profiles, in the newest version, and lose none while it is away for 5 s", {
    timeout: 120_000,
  }, async () => {
    const [one, other] = services.map(({ url }) => new WhetClient(url)) as [WhetClient, WhetClient];
    const { profile } = await one.adapt({ examples });
    const first = await one.predict({ profile }, [image]);
    expect((await other.predict({ profile }, [image])).predictions).toEqual(first.predictions);
    const changed = examples.map((each) => ({ ...each, label: `new ${each.label}` }));
    await other.adapt({ examples: changed, profile });
    expect((await one.predict({ profile }, [image])).predictions[0]?.label).toMatch(/^new/);

    // Writers on both while it is killed and comes back: every answer is 2xx or 503, or 409 after a write whose answer was lost.
    const versions = new Map<string, number>();
    const statuses = new Map<number, number>();
    let stop = false;
    const write = async (client: WhetClient, i: number) => {
      let id: string | undefined;
      while (!stop) {
        const target = id === undefined || i % 2 === 0 ? {} : { profile: id, continue: true };
        try {
          const answer = await client.adapt({ examples, ...target, steps: 1 });
          id = answer.profile;
          versions.set(id, answer.version);
          statuses.set(200, (statuses.get(200) ?? 0) + 1);
        } catch (error) {
          const { status } = error as RequestError;
          statuses.set(status, (statuses.get(status) ?? 0) + 1);
          await pause(50);
        }
      }
    };
    const writers = [0, 1, 2, 3].map((i) => write(i < 2 ? one : other, i));
    await pause(500);
    await postgres.kill();
    await pause(5000);
    await postgres.start();
    await pause(1500);
    stop = true;
    await Promise.all(writers);
    expect([...statuses.keys()].filter((status) => ![200, 409, 503].includes(status))).toEqual([]);
    expect(statuses.get(503)).toBeGreaterThan(0);
    expect(versions.size).toBeGreaterThan(0);
    for (const [id, version] of versions) {
      const stored = await one.profile(id);
      // One more where the answer to a write was lost with the server.
      expect([version, version + 1]).toContain(stored.version);
      expect((await other.exportProfile(id)).bytes.length).toBe(stored.bytes);
    }
    expect((await fetch(`${services[0]?.url}/health/ready`)).status).toBe(200);
  });
});

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { WhetClient } from '@whet/runtime/client';
import { addKey, openStore } from '@whet/server';
import { randomImages, writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { lacking } from '../needs.js';
import { findPostgres, freePort, startPostgres, type TestPostgres } from './postgres.js';
import { type ServeProcess, startServe } from './whet-serve.js';

// docs/deployment.md, "Several servers behind nginx, with PostgreSQL", as it is written there.

const NGINX = '/usr/sbin/nginx';
const programs = findPostgres();
const lack = lacking({
  'nginx-light': existsSync(NGINX),
  postgresql: programs,
  openssl: existsSync('/usr/bin/openssl'),
});

describe.skipIf(lack)(`behind nginx${lack}`, () => {
  let postgres: TestPostgres;
  let folder: string;
  let bundle: string;
  let nginx: ChildProcess;
  let url: string;
  /** An operator's: behind a proxy keys are asked for, whatever address a service listens on. */
  let key: string;
  const services: ServeProcess[] = [];
  const examples = randomImages('examples', 4).map((image, i) => ({ label: 'ab'[i % 2] as string, image }));
  const images = randomImages('query', 1);

  beforeAll(async () => {
    // Its certificate is one of this test.
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
    folder = await mkdtemp(join(tmpdir(), 'whet-nginx-'));
    bundle = await writeTinyBundle();
    postgres = await startPostgres(programs as string);
    const store = await postgres.database('whet');
    const opened = await openStore(store);
    key = (await addKey(opened.keys, { name: 'test', role: 'operator' })).key;
    await opened.close();
    const config = join(folder, 'whet.json');
    await writeFile(config, JSON.stringify({ store, proxies: 1, drainDelayMs: 500, threads: 1, logLevel: 'error' }));
    services.push(...(await Promise.all([1, 2].map(() => startServe([bundle, '--config', config])))));
    const port = await freePort();
    url = `https://127.0.0.1:${port}`;
    nginx = await startNginx(folder, port, services);
  }, 60_000);

  afterAll(async () => {
    nginx?.kill('SIGTERM');
    for (const service of services) service.kill('SIGTERM');
    await Promise.all(services.map(({ ended }) => ended));
    await postgres?.close();
    for (const each of [folder, bundle]) await rm(each, { recursive: true, force: true });
    vi.unstubAllEnvs();
  });

  test('keeps metrics inside, streams steps as they come, and goes on without a failure when a server ends', {
    timeout: 60_000,
  }, async () => {
    const client = new WhetClient(url, { key });
    await expect(new WhetClient(url).models()).rejects.toMatchObject({ status: 401 });
    expect((await fetch(`${url}/metrics`)).status).toBe(403);
    const at: number[] = [];
    const { profile } = await client.adapt(
      { examples, pattern: 'full', steps: 100 },
      { onStep: () => at.push(performance.now()) },
    );
    expect(at).toHaveLength(100);
    expect((at.at(-1) as number) - (at[0] as number)).toBeGreaterThan(5);
    // Both serve it, whichever made it.
    const first = (await client.predict({ profile }, images)).predictions;
    for (const service of services) {
      expect((await new WhetClient(service.url, { key }).predict({ profile }, images)).predictions).toEqual(first);
    }
    const before = await Promise.all(services.map((service) => predictions(service, key)));
    let stop = false;
    let answered = 0;
    const failures: unknown[] = [];
    const stream = async () => {
      while (!stop) {
        await client.predict({ profile }, images).then(
          () => answered++,
          (error) => failures.push(error),
        );
      }
    };
    const streams = Array.from({ length: 8 }, stream);
    await pause(500);
    const [ending, staying] = services as [ServeProcess, ServeProcess];
    for (const [i, service] of services.entries())
      expect(await predictions(service, key)).toBeGreaterThan(before[i] as number);
    ending.kill('SIGTERM');
    expect(await ending.ended).toBe(0);
    const sofar = answered;
    await pause(500);
    stop = true;
    await Promise.all(streams);
    expect(failures).toEqual([]);
    expect(answered).toBeGreaterThan(sofar);
    expect(await predictions(staying, key)).toBeGreaterThan(0);
  });
});

/** How many predictions a service has answered. */
async function predictions({ url }: ServeProcess, key: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`, { headers: { 'X-API-Key': key } })).text();
  return Number(/^whet_request_seconds_count\{.*route="\/predict",status="200"\} (\d+)/m.exec(text)?.[1] ?? 0);
}

/** nginx with the project's configuration, but for addresses, ports and the certificate. */
async function startNginx(folder: string, port: number, services: readonly ServeProcess[]): Promise<ChildProcess> {
  const [certificate, key] = [join(folder, 'whet.pem'), join(folder, 'whet.key')];
  const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-subj', '/CN=127.0.0.1'];
  await promisify(execFile)('openssl', [...request, '-keyout', key, '-out', certificate]);
  const shipped = await readFile(new URL('../../../deploy/nginx.conf', import.meta.url), 'utf8');
  const replaced = [
    ...services.map(({ url }, i) => [`10.0.0.1${i + 1}:8080`, new URL(url).host] as const),
    ['443 ssl', `127.0.0.1:${port} ssl`] as const,
    ['/etc/ssl/whet.pem', certificate] as const,
    ['/etc/ssl/whet.key', key] as const,
  ].reduce((text, [from, to]) => {
    expect(text).toContain(from);
    return text.replace(from, to);
  }, shipped);
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  const text = `pid ${folder}/pid; events {} http { access_log off; ${paths.join(' ')}\n${replaced}\n}`;
  await writeFile(join(folder, 'nginx.conf'), text);
  const args = ['-e', 'stderr', '-g', 'daemon off; error_log stderr warn;', '-c', join(folder, 'nginx.conf')];
  await promisify(execFile)(NGINX, [...args, '-t']);
  const child = spawn(NGINX, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  for (let i = 0; i < 100; i++) {
    const ready = await fetch(`https://127.0.0.1:${port}/health/ready`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (ready) return child;
    await pause(50);
  }
  child.kill('SIGTERM');
  throw new Error('nginx did not answer');
}

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { WhetClient } from '@whet/runtime/client';
import { generatorFor, median } from '@whet/trainer';
import autocannon from 'autocannon';

// Predictions per second and latencies of `whet serve`, with batching and without, while it adapts and while it does not:
// npm run bench:load -- --seconds 20 --rounds 3

const { values } = parseArgs({
  options: {
    bundle: { type: 'string', default: 'models/bundles/omniglot-conv4' },
    profiles: { type: 'string', default: '1000' },
    connections: { type: 'string', default: '64' },
    seconds: { type: 'string', default: '20' },
    rounds: { type: 'string', default: '3' },
    pattern: { type: 'string', default: 'head' },
    'adapt-pattern': { type: 'string', default: 'full' },
    soak: { type: 'string', default: '0' },
    json: { type: 'string' },
  },
});
const [profiles, connections, seconds, rounds, soak] = (
  ['profiles', 'connections', 'seconds', 'rounds', 'soak'] as const
).map((name) => Number(values[name])) as [number, number, number, number, number];

/** `whet serve` with batching and without, the same graphs behind a few lines of Express, and those lines with a constant in place of graphs. */
const SERVERS = ['batching', 'one by one', 'minimal', 'constant'] as const;
/** Those that adapt, too. */
const isWhet = (server: (typeof SERVERS)[number]): boolean => server === 'batching' || server === 'one by one';

interface Measured {
  readonly server: (typeof SERVERS)[number];
  readonly adapting: boolean;
  /** Predictions per second. */
  readonly rate: number;
  /** Milliseconds as clients see them. */
  readonly p50: number;
  readonly p99: number;
  readonly adaptations: number;
}

interface Service {
  readonly url: string;
  close(): Promise<void>;
}

const startWhet = (folder: string, args: readonly string[]): Promise<Service> =>
  start([
    fileURLToPath(import.meta.resolve('whet/main')),
    ...['serve', values.bundle, '--port', '0', '--store', folder, '--log-level', 'error', ...args],
  ]);

async function start(args: readonly string[]): Promise<Service> {
  const child: ChildProcess = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  if (!child.stdout) throw new Error('no output');
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /http:\/\/\S+/.exec(line)?.[0];
    if (!url) continue;
    const close = () =>
      new Promise<void>((resolve) => {
        child.once('exit', () => resolve());
        child.kill('SIGTERM');
      });
    return { url, close };
  }
  throw new Error('the service ended before it was listening');
}

const random = generatorFor(1, 'load', 0);

async function imageLength(client: WhetClient): Promise<number> {
  const [model] = (await client.models()).models;
  const { channels = 0, height = 0, width = 0 } = (model?.['preprocessing'] ?? {}) as Record<string, number>;
  return channels * height * width;
}

const images = (length: number, count: number) =>
  Array.from({ length: count }, () => Float32Array.from({ length }, () => random.uniform()));

/** 25 random images of 5 classes. */
const examplesOf = (length: number) => images(length, 25).map((image, i) => ({ label: `class ${i % 5}`, image }));

/** Makes profiles in the service, and in a folder those that all are copies of. */
async function fill(client: WhetClient, length: number, copies: string): Promise<string[]> {
  const ids: string[] = [];
  const made: Uint8Array[] = [];
  for (let i = 0; i < Math.min(10, profiles); i++) {
    const { profile } = await client.adapt({ examples: examplesOf(length), pattern: values.pattern, steps: 1 });
    const { bytes } = await client.exportProfile(profile);
    await writeFile(join(copies, `${i}.profile`), bytes);
    made.push(bytes);
    ids.push(profile);
  }
  while (ids.length < profiles) ids.push((await client.importProfile(made[ids.length % 10] as Uint8Array)).profile);
  return ids;
}

/** Requests of single images as raw tensors, each for another profile, from connections that are kept. */
async function load(url: string, ids: readonly string[], bodies: readonly Buffer[], duration: number) {
  const requestOf = (id: string, i: number) => ({
    method: 'POST' as const,
    path: `/predict?profile=${id}`,
    headers: { 'content-type': 'application/octet-stream' },
    body: bodies[i % bodies.length] as Buffer,
  });
  const result = await autocannon({
    url,
    connections,
    duration,
    timeout: 60,
    setupClient: (client) => client.setRequests(random.shuffle([...ids]).map(requestOf)),
  });
  const bad = result.non2xx + result.errors + result.timeouts;
  if (bad > 0) throw new Error(`expected answers of status 200, got ${bad} others`);
  return result;
}

/** Adapts without a pause until it is told to stop; how often it did. */
function adaptOn(client: WhetClient, length: number) {
  let stop = false;
  const examples = examplesOf(length);
  const work = (async () => {
    let count = 0;
    let id: string | undefined;
    while (!stop) {
      const target = id === undefined ? {} : { profile: id };
      id = (await client.adapt({ examples, pattern: values['adapt-pattern'], ...target })).profile;
      count++;
    }
    return count;
  })();
  return () => {
    stop = true;
    return work;
  };
}

const minimal = fileURLToPath(new URL('./minimal-server.js', import.meta.url));

async function measure(
  [folder, copies]: readonly [string, string],
  ids: string[],
  server: Measured['server'],
  adapting: boolean,
): Promise<Measured> {
  if (ids.length === 0) {
    const service = await startWhet(folder, []);
    const client = new WhetClient(service.url);
    ids.push(...(await fill(client, await imageLength(client), copies)));
    await service.close();
  }
  const service = isWhet(server)
    ? await startWhet(folder, server === 'batching' ? [] : ['--batch-images', '1'])
    : await start([minimal, values.bundle, values.pattern, copies, server]);
  try {
    const client = new WhetClient(service.url);
    const names = isWhet(server) ? ids : ids.map((_, i) => String(i));
    const { channels, height, width } = manifest.preprocessing;
    const length = channels * height * width;
    const bodies = images(length, 50).map(({ buffer }) => Buffer.from(buffer));
    await load(service.url, names, bodies, 3);
    const stop = adapting ? adaptOn(client, length) : undefined;
    const { requests, latency } = await load(service.url, names, bodies, seconds);
    const adaptations = stop ? await stop() : 0;
    return { server, adapting, rate: requests.average, p50: latency.p50, p99: latency.p99, adaptations };
  } finally {
    await service.close();
  }
}

/** Resident memory of a service under predictions and adaptations, in MiB, once a tenth of the time. */
async function soakFor(folder: string, ids: readonly string[], duration: number): Promise<number[]> {
  const service = await startWhet(folder, []);
  try {
    const client = new WhetClient(service.url);
    const length = await imageLength(client);
    const bodies = images(length, 50).map(({ buffer }) => Buffer.from(buffer));
    const stop = adaptOn(client, length);
    const sizes: number[] = [];
    for (let i = 0; i < 10; i++) {
      await load(service.url, ids, bodies, Math.max(1, Math.round(duration / 10)));
      const text = await (await fetch(`${service.url}/metrics`)).text();
      sizes.push(Number(/^process_resident_memory_bytes (\S+)/m.exec(text)?.[1]) / 2 ** 20);
    }
    await stop();
    return sizes;
  } finally {
    await service.close();
  }
}

const manifest = JSON.parse(await readFile(join(values.bundle, 'manifest.json'), 'utf8'));
const folder = await mkdtemp(join(tmpdir(), 'whet-load-'));
const copies = await mkdtemp(join(tmpdir(), 'whet-load-profiles-'));
/** What is measured while it adapts and while it does not; what only predicts, while it does not. */
const turns = [false, true].flatMap((adapting) =>
  SERVERS.filter((server) => !adapting || isWhet(server)).map((server) => ({ server, adapting })),
);
try {
  const ids: string[] = [];
  const results: Measured[] = [];
  // In turns, so that a slow moment of the machine meets all alike.
  for (let round = 0; round < rounds; round++) {
    for (const { server, adapting } of turns) {
      results.push(await measure([folder, copies], ids, server, adapting));
      process.stderr.write(`round ${round + 1}: ${JSON.stringify(results.at(-1))}\n`);
      await pause(500);
    }
  }
  const rows = turns.map(({ server, adapting }) => {
    const own = results.filter((each) => each.adapting === adapting && each.server === server);
    const of = (name: 'rate' | 'p50' | 'p99' | 'adaptations') => median(own.map((each) => each[name]));
    return { server, adapting, rate: of('rate'), p50: of('p50'), p99: of('p99'), adaptations: of('adaptations') };
  });
  const sizes = soak > 0 ? await soakFor(folder, ids, soak) : [];
  const machine = `${cpus().length} x ${cpus()[0]?.model}, Node.js ${process.version}`;
  const settings = { ...values, machine };
  if (values.json)
    await writeFile(values.json, `${JSON.stringify({ settings, rows, results, soak: sizes }, null, 2)}\n`);
  process.stdout.write(
    `${machine}; ${connections} connections, ${profiles} profiles (${values.pattern}), ${rounds} x ${seconds} s, medians\n\n` +
      '| server | while it adapts | predictions/s | p50 | p99 | adaptations |\n|---|---|--:|--:|--:|--:|\n' +
      rows
        .map(({ server, adapting, rate, p50, p99, adaptations }) => {
          const cells = [server, adapting ? 'yes' : 'no', rate.toFixed(0), `${p50} ms`, `${p99} ms`, adaptations];
          return `| ${cells.join(' | ')} |\n`;
        })
        .join('') +
      (sizes.length > 0 ? `\nResident MiB over ${soak} s: ${sizes.map((size) => size.toFixed(0)).join(', ')}\n` : ''),
  );
} finally {
  for (const each of [folder, copies]) await rm(each, { recursive: true, force: true });
}

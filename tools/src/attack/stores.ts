import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { WhetClient } from '@whet/runtime/client';
import { openStore, type PlacedProfile } from '@whet/server';

// A service that keeps many profiles for a time, and strangers who ask how it is.

const DAY_MS = 86_400_000;
const BATCH = 200;

export interface StoreAttack {
  /** Folder of the bundle. */
  readonly bundle: string;
  readonly profiles: number;
  /** Milliseconds of each measurement. */
  readonly milliseconds: number;
  /** Strangers who ask at the same time. */
  readonly clients: number;
}

export interface StoreFigures {
  readonly what: string;
  /** Milliseconds, the 99th percentile, of another client's predictions and of the strangers' questions. */
  readonly predictions: number;
  readonly questions: number;
  readonly asked: number;
  /** Answers other than 200. */
  readonly failed: number;
  /** What the service says that it keeps, at the end. */
  readonly kept: number;
}

/**
 * What another client sees of a service with so many profiles that live for a day: alone, while strangers ask `/health` and
 * `/health/ready` without pause, and while they do that and all those profiles have expired and are swept.
 */
export async function attackStores(options: StoreAttack): Promise<StoreFigures[]> {
  const folder = await mkdtemp(join(tmpdir(), 'whet-attack-'));
  try {
    await fill(join(folder, 'living'), options.profiles, 0);
    await fill(join(folder, 'expired'), options.profiles, 2 * DAY_MS);
    const living = await start(options.bundle, join(folder, 'living'));
    const figures: StoreFigures[] = [];
    try {
      await measure(living, 'warm', options, 0);
      figures.push(await measure(living, 'alone', options, 0));
      figures.push(await measure(living, 'asked', options, options.clients));
    } finally {
      await living.close();
    }
    const expired = await start(options.bundle, join(folder, 'expired'));
    try {
      figures.push(await measure(expired, 'swept and asked', options, options.clients));
    } finally {
      await expired.close();
    }
    return figures;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A store of profiles that changed so long ago. */
async function fill(folder: string, profiles: number, age: number): Promise<void> {
  const store = await openStore(folder);
  const at = new Date(Date.now() - age).toISOString();
  const bytes = new Uint8Array(2048);
  const state = { version: 1, created: at, updated: at, used: at, size: bytes.byteLength, bytes };
  const draft = { model: 'a', pattern: 'head', classes: ['a', 'b'], examples: [1, 1] };
  for (let done = 0; done < profiles; done += BATCH) {
    const batch = Array.from({ length: Math.min(BATCH, profiles - done) }, (): PlacedProfile => {
      return { ...draft, ...state, owner: 'local', id: randomUUID() };
    });
    await store.restore(batch);
  }
  await store.close();
}

interface Service {
  readonly url: string;
  close(): Promise<void>;
}

async function start(bundle: string, folder: string): Promise<Service> {
  const main = fileURLToPath(import.meta.resolve('whet/main'));
  const flags = ['--port', '0', '--store', folder, '--profile-days', '1', '--auth', 'off', '--log-level', 'error'];
  const child: ChildProcess = spawn(process.execPath, [main, 'serve', bundle, ...flags], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (!child.stdout) throw new Error('no output');
  const ended = new Promise((resolve) => child.once('exit', resolve));
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /http:\/\/\S+/.exec(line)?.[0];
    if (!url) continue;
    const close = async () => {
      child.kill('SIGTERM');
      await ended;
    };
    return { url, close };
  }
  throw new Error('the service ended before it was listening');
}

async function measure({ url }: Service, what: string, options: StoreAttack, clients: number): Promise<StoreFigures> {
  const client = new WhetClient(url);
  const { preprocessing } = (await client.models()).models[0] as unknown as {
    preprocessing: { channels: number; height: number; width: number };
  };
  const image = new Float32Array(preprocessing.channels * preprocessing.height * preprocessing.width);
  const examples = ['a', 'b'].map((label, i) => ({ label, image: image.map(() => i) }));
  const { profile } = await client.adapt({ examples });
  const [predictions, questions]: [number[], number[]] = [[], []];
  let failed = 0;
  const until = performance.now() + options.milliseconds;
  const repeat = async (times: number[], once: (count: number) => Promise<unknown>) => {
    for (let count = 0; performance.now() < until; count++) {
      const began = performance.now();
      await once(count).catch(() => failed++);
      times.push(performance.now() - began);
    }
  };
  const ask = async (count: number) => {
    const response = await fetch(`${url}/health${count % 2 === 0 ? '' : '/ready'}`);
    await response.arrayBuffer();
    if (response.status !== 200) throw new Error(`got ${response.status}`);
  };
  const strangers = Array.from({ length: clients }, () => repeat(questions, ask));
  await Promise.all([repeat(predictions, () => client.predict({ profile }, [image])), ...strangers]);
  const { profiles: kept = 0 } = (await (await fetch(`${url}/health`)).json()) as { profiles?: number };
  return { what, predictions: p99(predictions), questions: p99(questions), asked: questions.length, failed, kept };
}

const p99 = (times: readonly number[]) =>
  [...times].sort((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? Number.NaN;

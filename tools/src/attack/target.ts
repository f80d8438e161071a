import { type ChildProcess, spawn } from 'node:child_process';
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { WhetClient } from '@whet/runtime/client';
import { addKey, openStore } from '@whet/server';

/** A service to attack, and another client's profile in it. */
export interface AttackTarget {
  readonly url: string;
  /** The other client's key, where keys are asked for. */
  readonly key: string | undefined;
  /** The other client's profile. */
  readonly profile: string;
  /** Values of an image. */
  readonly imageLength: number;
  readonly pid: number | undefined;
  /** Folder of the bundle that it serves: its own, which an attack may change. */
  readonly bundle: string;
}

export interface RunningTarget extends AttackTarget {
  /** What it ended with; undefined while it runs. */
  exit(): number | string | undefined;
  /** The most memory that was resident at any time, in bytes; 0 where the system does not tell. */
  peakBytes(): Promise<number>;
  close(): Promise<void>;
}

export interface TargetOptions {
  readonly bundle: string;
  readonly auth: 'off' | 'keys';
  /** More of `whet serve`. */
  readonly args?: readonly string[];
}

/** Starts `whet serve` in a process of its own, with a store that goes with it. */
export async function startTarget({ bundle, auth, args = [] }: TargetOptions): Promise<RunningTarget> {
  const folder = await mkdtemp(join(tmpdir(), 'whet-attack-'));
  const key = auth === 'keys' ? await makeKey(join(folder, 'profiles')) : undefined;
  const main = fileURLToPath(import.meta.resolve('whet/main'));
  const own = join(folder, 'bundles', basename(bundle));
  await cp(bundle, own, { recursive: true });
  const flags = [
    'serve',
    own,
    '--port',
    '0',
    '--store',
    join(folder, 'profiles'),
    '--auth',
    auth,
    '--log-level',
    'error',
  ];
  const child = spawn(process.execPath, [main, ...flags, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  let exit: number | string | undefined;
  child.once('exit', (code, signal) => {
    exit = code ?? signal ?? 'unknown';
  });
  const url = await listening(child);
  const client = new WhetClient(url, key === undefined ? {} : { key });
  const [model] = (await client.models()).models;
  const { channels = 0, height = 0, width = 0 } = (model?.['preprocessing'] ?? {}) as Record<string, number>;
  const imageLength = channels * height * width;
  const examples = ['a', 'b'].map((label, i) => ({ label, image: new Float32Array(imageLength).fill(i) }));
  const { profile } = await client.adapt({ examples });
  return {
    url,
    key,
    profile,
    imageLength,
    pid: child.pid,
    bundle: own,
    exit: () => exit,
    peakBytes: () => peakBytes(child.pid),
    close: async () => {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      if (exit === undefined && child.kill('SIGTERM')) await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function makeKey(folder: string): Promise<string> {
  const store = await openStore(folder);
  const { key } = await addKey(store.keys, { name: 'other' });
  await store.close();
  return key;
}

async function listening(child: ChildProcess): Promise<string> {
  if (!child.stdout) throw new Error('no output');
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /http:\/\/\S+/.exec(line)?.[0];
    if (url) return url;
  }
  throw new Error('the service ended before it was listening');
}

async function peakBytes(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
}

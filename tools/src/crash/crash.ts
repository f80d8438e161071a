import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Bundle, Example } from '@whet/runtime';
import { readProfile } from '@whet/runtime';
import { WhetClient } from '@whet/runtime/client';
import { loadBundle } from '@whet/runtime/node';
import { generatorFor } from '@whet/trainer';
import { randomImages, writeTinyBundle } from '../bundles/tiny-bundle.js';

/** What was asked of a profile: to make it, or to continue it. Each has examples of its own, which `seed` draws. */
interface Request {
  readonly seed: string;
  /** State that it continues; undefined for a new profile. */
  readonly from: Acknowledged | undefined;
}

interface Acknowledged {
  readonly id: string;
  readonly version: number;
  /** How it came to be, so that its bytes can be computed again. */
  readonly request: Request;
}

export interface CrashReport {
  readonly rounds: number;
  /** Answers 200 and 201 that came before a kill. */
  readonly acknowledged: number;
  /** Writes that were on the disk though their answers never came. */
  readonly unacknowledged: number;
  /** Profiles that were compared, bit for bit, after the kills. */
  readonly compared: number;
}

const CLIENTS = 6;
/** The most answers, over two, before a kill, and the most milliseconds after them. */
const [ANSWERS, MOMENT_MS] = [16, 50];
const PATTERNS = ['head', 'full'] as const;

/**
 * Kills a real service `rounds` times at a random moment while clients adapt, and looks after each start whether every
 * profile that was acknowledged is there as it was computed, and nothing else but writes that were under way. Throws
 * where something is lost, half-written or different.
 */
export async function crash(rounds: number, seed: number, onRound: (round: number) => void): Promise<CrashReport> {
  const random = generatorFor(seed, 'crash', 0);
  const folder = await mkdtemp(join(tmpdir(), 'whet-crash-'));
  const directory = await writeTinyBundle();
  const bundle = await loadBundle(directory, { threads: 1 });
  const known = new Map<string, Acknowledged>();
  const totals = { acknowledged: 0, unacknowledged: 0, compared: 0 };
  try {
    let pending: Request[] = [];
    let touched = new Set<string>();
    for (let round = 0; ; round++) {
      const service = await start(directory, folder);
      const last = round === rounds;
      try {
        const found = await verify(bundle, service.client, known, pending, last ? new Set(known.keys()) : touched);
        totals.unacknowledged += found.unacknowledged;
        totals.compared += found.compared;
        if (last) return { rounds, ...totals };
        const load = { round, pending: new Set<Request>(), touched: new Set<string>() };
        // A number of answers, so that a slow machine is killed amid as many writes, and a moment more.
        let answers = 2 + Math.floor(random.uniform() * ANSWERS);
        let isEnough = () => {};
        const enough = new Promise<void>((resolve) => {
          isEnough = resolve;
        });
        const clients = Promise.all(
          Array.from({ length: CLIENTS }, (_, i) =>
            work(service, known, load, i, () => {
              totals.acknowledged++;
              answers--;
              if (answers === 0) isEnough();
            }),
          ),
        );
        await Promise.race([enough, clients]);
        await pause(random.uniform() * MOMENT_MS);
        service.kill();
        await clients;
        pending = [...load.pending];
        touched = load.touched;
        onRound(round + 1);
      } finally {
        service.kill();
        await service.ended;
      }
    }
  } finally {
    await bundle.release();
    await rm(folder, { recursive: true, force: true });
  }
}

interface Service {
  readonly client: WhetClient;
  readonly ended: Promise<unknown>;
  isKilled(): boolean;
  kill(): void;
}

async function start(directory: string, folder: string): Promise<Service> {
  const main = fileURLToPath(import.meta.resolve('whet/main'));
  const flags = ['--port', '0', '--store', folder, '--threads', '1', '--adapt-niceness', '0', '--log-level', 'error'];
  const child: ChildProcess = spawn(process.execPath, [main, 'serve', directory, ...flags], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  let killed = false;
  if (!child.stdout) throw new Error('no output');
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /http:\/\/\S+/.exec(line)?.[0];
    if (!url) continue;
    const kill = () => {
      killed = true;
      child.kill('SIGKILL');
    };
    return { client: new WhetClient(url), ended, kill, isKilled: () => killed };
  }
  throw new Error('the service ended before it was listening');
}

const examplesOf = ({ seed, from }: Request): Example[] =>
  randomImages(seed, from ? 1 : 4).map((image, i) => ({ label: from ? 'a' : (['a', 'b'][i % 2] as string), image }));

const patternOf = ({ seed }: Request) => PATTERNS[seed.length % 2] as string;

/** One client: makes profiles and continues its own, until the service is killed. */
async function work(
  service: Service,
  known: Map<string, Acknowledged>,
  load: { readonly round: number; readonly pending: Set<Request>; readonly touched: Set<string> },
  client: number,
  onAnswer: () => void,
): Promise<void> {
  let own: Acknowledged | undefined;
  for (let count = 0; ; count++) {
    // Two of three continue what this client has, the third is new.
    const request: Request = { seed: `${load.round}/${client}/${count}`, from: count % 3 === 0 ? undefined : own };
    load.pending.add(request);
    try {
      const options = request.from
        ? { profile: request.from.id, continue: true, version: request.from.version }
        : { pattern: patternOf(request) };
      const { profile: id, version } = await service.client.adapt({ examples: examplesOf(request), ...options });
      own = { id, version, request };
      known.set(id, own);
      load.touched.add(id);
      load.pending.delete(request);
      onAnswer();
    } catch (error) {
      if (service.isKilled()) return;
      throw error;
    }
  }
}

async function expectedBytes(bundle: Bundle, request: Request): Promise<Uint8Array> {
  const from = request.from && bundle.profileFromBytes(await expectedBytes(bundle, request.from.request));
  const options = from ? { from } : { pattern: patternOf(request) };
  return (await bundle.adapt(examplesOf(request), options)).profile.toBytes();
}

/** Compares the store with what was answered; takes over what was written without an answer. */
async function verify(
  bundle: Bundle,
  client: WhetClient,
  known: Map<string, Acknowledged>,
  pending: readonly Request[],
  compared: ReadonlySet<string>,
): Promise<{ unacknowledged: number; compared: number }> {
  let unacknowledged = 0;
  const stored = new Map<string, number>();
  let after: string | undefined;
  do {
    const page = await client.profiles({ limit: 1000, ...(after === undefined ? {} : { after }) });
    for (const { profile, version } of page.profiles) stored.set(profile, version);
    after = page.next;
  } while (after !== undefined);

  for (const [id, acknowledged] of known) {
    const version = stored.get(id);
    if (version === undefined) throw new Error(`profile ${id}: expected version ${acknowledged.version}, got none`);
    if (version === acknowledged.version) continue;
    const request = pending.find(({ from }) => from?.id === id && from.version + 1 === version);
    if (!request) throw new Error(`profile ${id}: expected version ${acknowledged.version}, got ${version}`);
    known.set(id, { id, version, request });
    unacknowledged++;
    await compare(bundle, client, id, request);
  }
  for (const id of compared) await compare(bundle, client, id, (known.get(id) as Acknowledged).request);
  for (const [id, version] of stored) {
    if (known.has(id)) continue;
    const { bytes } = await client.exportProfile(id);
    readProfile(bytes);
    const candidates = pending.filter(({ from }) => !from);
    const expected = await Promise.all(candidates.map((request) => expectedBytes(bundle, request)));
    const at = expected.findIndex((each) => Buffer.from(each).equals(bytes));
    const request = candidates[at];
    if (version !== 1 || !request) throw new Error(`profile ${id}: expected none, got version ${version}`);
    known.set(id, { id, version, request });
    unacknowledged++;
  }
  return { unacknowledged, compared: compared.size };
}

async function compare(bundle: Bundle, client: WhetClient, id: string, request: Request): Promise<void> {
  const { bytes } = await client.exportProfile(id);
  const expected = await expectedBytes(bundle, request);
  if (!Buffer.from(expected).equals(bytes)) throw new Error(`profile ${id}: other bytes than were computed`);
}

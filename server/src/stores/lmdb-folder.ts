import { spawn } from 'node:child_process';
import { chmod, mkdir, open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type StoreCounts, StoreDamagedError, StoreUnavailableError } from './contract.js';

export const DATA = 'data.mdb';
const LOCK = 'lock.mdb';
/** What LMDB makes, and file systems. */
const OWN_FILES = [DATA, LOCK, 'lost+found'];
/** Milliseconds without a word after which reading a file counts as stuck. */
const STUCK_MS = 60_000;

/**
 * Makes the folder, or sees to it that nobody else on the machine reads an existing one: profiles are personal. Rejects
 * with {@link StoreUnavailableError} where the folder is not the store's alone and open to others.
 */
export async function prepareFolder(folder: string): Promise<void> {
  const made = await mkdir(folder, { recursive: true, mode: 0o700 });
  // Windows has no such bits.
  if (made !== undefined || process.platform === 'win32') return;
  const mode = (await stat(folder)).mode & 0o777;
  if ((mode & 0o077) === 0) return;
  const other = (await readdir(folder)).find((name) => !OWN_FILES.includes(name));
  const got = `got mode ${mode.toString(8)}; take a folder inside it, or: chmod 700 ${folder}`;
  if (other !== undefined) {
    throw new StoreUnavailableError(
      `${folder}: expected a folder that only its owner opens or with nothing else in it (there is ${other}), ${got}`,
    );
  }
  await chmod(folder, 0o700).catch((cause: Error) => {
    throw new StoreUnavailableError(
      `${folder}: expected a folder that only its owner opens, ${got} (${cause.message})`,
      {
        cause,
      },
    );
  });
}

/**
 * Reads the whole of a folder's file in a process of its own, as LMDB takes the process down with it where the file is
 * damaged. What is in it; undefined where there is no file. Rejects with {@link StoreDamagedError}.
 */
export async function inspectFolder(folder: string): Promise<StoreCounts | undefined> {
  const file = join(folder, DATA);
  for (const path of [file, join(folder, LOCK)]) {
    const found = await stat(path).catch(() => undefined);
    if (found && !found.isFile()) throw new StoreUnavailableError(`${path}: expected a file, got a folder or a pipe`);
  }
  const size = await settledSize(file);
  if (size === undefined) return undefined;
  if (size === 0) throw damagedFile(file, 'it is empty');
  if (!(await hasBothHeads(file)))
    throw damagedFile(file, 'one of its two heads is damaged, so that it may be an older state');
  const child = spawn(process.execPath, [fileURLToPath(new URL('./lmdb-inspect.js', import.meta.url)), folder], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stuck = false;
  const timer = setTimeout(() => {
    stuck = true;
    child.kill('SIGKILL');
  }, STUCK_MS);
  const said: string[] = [];
  let last = '';
  createInterface({ input: child.stderr }).on('line', (line) => said.push(line.slice(0, 200)));
  createInterface({ input: child.stdout }).on('line', (line) => {
    timer.refresh();
    last = line;
  });
  const end = await new Promise<string | undefined>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (stuck) resolve('reading it does not end');
      else if (signal) resolve(`reading it ended with ${signal}`);
      else resolve(code === 0 ? undefined : said.slice(-3).join('; ') || `reading it ended with status ${code}`);
    });
  }).finally(() => clearTimeout(timer));
  if (end !== undefined) throw damagedFile(file, end);
  const found = JSON.parse(last) as { counts: StoreCounts } | { problem: string } | { refusal: string };
  if ('problem' in found) throw damagedFile(file, found.problem);
  if ('counts' in found) return found.counts;
  throw new StoreUnavailableError(`${file}: expected a file that can be read and written, got ${found.refusal}`);
}

/** What each of the two first pages has behind its header: LMDB takes the other where one is damaged, and with it what was before. */
const [MAGIC, MAGIC_AT, PAGE_SIZE_AT] = [0xbeefc0de, 24, 48];

async function hasBothHeads(path: string): Promise<boolean> {
  const file = await open(path);
  try {
    const numberAt = async (position: number) => {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, position);
      return bytesRead === 4 ? buffer.readUInt32LE() : 0;
    };
    const pageSize = await numberAt(PAGE_SIZE_AT);
    return (await numberAt(MAGIC_AT)) === MAGIC && (await numberAt(pageSize + MAGIC_AT)) === MAGIC;
  } finally {
    await file.close();
  }
}

/** Size of a file; undefined where there is none. Another process may be about to make it, which empties it first. */
async function settledSize(file: string): Promise<number | undefined> {
  for (let attempt = 0; ; attempt++) {
    const size = await stat(file).then(
      (found) => found.size,
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined;
        throw error;
      },
    );
    if (size !== 0 || attempt === 20) return size;
    await pause(50);
  }
}

export function damagedFile(file: string, problem: string): StoreDamagedError {
  return new StoreDamagedError(
    `${file}: expected profiles as they were written, got a damaged file: ${problem}. Leave it as it is, move its folder away ` +
      'and bring the last copy back: whet store copy COPY FOLDER (docs/deployment.md, "When a store is damaged")',
  );
}

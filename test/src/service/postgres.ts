import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';

const PACKAGED = '/usr/lib/postgresql';

/** Folder of PostgreSQL's programs: Debian's newest, or none. */
export function findPostgres(): string | undefined {
  if (!existsSync(PACKAGED)) return undefined;
  const newest = readdirSync(PACKAGED).sort((a, b) => Number(b) - Number(a))[0];
  const folder = newest && join(PACKAGED, newest, 'bin');
  return folder && existsSync(join(folder, 'initdb')) ? folder : undefined;
}

export interface TestPostgres {
  /** Address of a database, made anew with each name. */
  database(name: string): Promise<string>;
  /** Takes everything out of a database. */
  empty(url: string): Promise<void>;
  /** Kills the server at once, as a crash would. */
  kill(): Promise<void>;
  /** Starts it again, on the same port. */
  start(): Promise<void>;
  close(): Promise<void>;
}

/** A real server of its own in a temporary folder, which listens on this machine only. */
export async function startPostgres(programs: string): Promise<TestPostgres> {
  const folder = mkdtempSync(join(tmpdir(), 'whet-postgres-'));
  // PostgreSQL refuses to run as root.
  const owner = process.getuid?.() === 0 ? ownerOfPostgres() : undefined;
  if (owner) chownSync(folder, owner.uid, owner.gid);
  const data = join(folder, 'data');
  const run = promisify(execFile);
  const options = { ...owner, cwd: folder, env: { PATH: process.env['PATH'] ?? '', LC_ALL: 'C.UTF-8' } };
  await run(join(programs, 'initdb'), ['-D', data, '-U', 'whet', '-A', 'trust', '-E', 'UTF8', '--no-sync'], options);
  const port = await freePort();
  let child: ChildProcess | undefined;
  const start = async () => {
    const settings = [
      '-c',
      `unix_socket_directories=${folder}`,
      '-c',
      'listen_addresses=127.0.0.1',
      '-c',
      'shared_buffers=32MB',
    ];
    child = spawn(join(programs, 'postgres'), ['-D', data, '-p', `${port}`, ...settings], {
      ...options,
      stdio: 'ignore',
    });
    for (let attempt = 0; ; attempt++) {
      try {
        await run(
          join(programs, 'pg_isready'),
          ['-h', '127.0.0.1', '-p', `${port}`, '-U', 'whet', '-d', 'postgres'],
          options,
        );
        return;
      } catch (error) {
        if (attempt === 300) throw error;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  };
  const stop = async (signal: NodeJS.Signals) => {
    const running = child;
    if (!running || running.exitCode !== null || running.signalCode !== null) return;
    const ended = new Promise((resolve) => running.once('exit', resolve));
    running.kill(signal);
    await ended;
  };
  await start();
  return {
    start,
    kill: () => stop('SIGQUIT'),
    async database(name) {
      const login = ['-h', '127.0.0.1', '-p', `${port}`, '-U', 'whet'];
      await run(join(programs, 'dropdb'), [...login, '--if-exists', '--force', name], options);
      await run(join(programs, 'createdb'), [...login, name], options);
      return `postgres://whet@127.0.0.1:${port}/${name}`;
    },
    async empty(url) {
      const client = new pg.Client(url);
      await client.connect();
      await client.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public');
      await client.end();
    },
    async close() {
      await stop('SIGINT');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function ownerOfPostgres() {
  const idOf = (flag: string) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  return { uid: idOf('-u'), gid: idOf('-g') };
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

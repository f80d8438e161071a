import { type ExecFileOptions, execFile } from 'node:child_process';
import { join } from 'node:path';
import { runCommand } from 'whet';
import { whetMain } from '../programs.js';

/** The program that `whet` starts, in this process and in one of its own. */

export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

const environment = (folder: string) => ({ XDG_CACHE_HOME: join(folder, 'cache') });

/** Options of a process in a test's folder, with caches of its own. */
export const inFolder = (folder: string): ExecFileOptions => ({
  cwd: folder,
  env: { ...process.env, ...environment(folder) },
});

/** Runs `whet` in a process as a person would, in a folder. `node` are options of Node.js itself. */
export function startWhet(folder: string, args: readonly string[], node: readonly string[] = []): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(process.execPath, [...node, ...whetMain, ...args], inFolder(folder), (error, out, err) => {
      resolve({ code: error ? Number(error.code ?? 1) : 0, out: String(out), err: String(err) });
    });
  });
}

/** Keeps what is written to a stream, and lets nothing through; returns what ends that. */
function capture(stream: NodeJS.WriteStream, kept: string[]): () => void {
  const { write } = stream;
  stream.write = ((text: string | Uint8Array) => {
    kept.push(typeof text === 'string' ? text : Buffer.from(text).toString());
    return true;
  }) as typeof write;
  return () => {
    stream.write = write;
  };
}

let isRunning = false;

/** As {@link startWhet} in this process: the same without the seconds in which a process starts. One at a time. */
export async function runWhet(folder: string, args: readonly string[]): Promise<Outcome> {
  if (isRunning) throw new Error('expected one `whet` at a time in a process');
  isRunning = true;
  const { exitCode } = process;
  const { XDG_CACHE_HOME } = process.env;
  const cwd = process.cwd();
  const out: string[] = [];
  const err: string[] = [];
  const ends = [capture(process.stdout, out), capture(process.stderr, err)];
  process.chdir(folder);
  Object.assign(process.env, environment(folder));
  process.exitCode = undefined;
  try {
    await runCommand(args);
    return { code: Number(process.exitCode ?? 0), out: out.join(''), err: err.join('') };
  } finally {
    process.exitCode = exitCode;
    if (XDG_CACHE_HOME === undefined) delete process.env['XDG_CACHE_HOME'];
    else process.env['XDG_CACHE_HOME'] = XDG_CACHE_HOME;
    process.chdir(cwd);
    for (const end of ends) end();
    isRunning = false;
  }
}

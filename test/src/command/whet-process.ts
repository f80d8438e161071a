import { type ExecFileOptions, execFile } from 'node:child_process';
import { join } from 'node:path';
import { whetFromSource } from '../programs.js';

/** The program that `whet` starts. */

export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Options of a process in a test's folder, with caches of its own. */
export const inFolder = (folder: string): ExecFileOptions => ({
  cwd: folder,
  env: { ...process.env, XDG_CACHE_HOME: join(folder, 'cache') },
});

/** Runs `whet` as a person would, in a folder. `node` are options of Node.js itself. */
export function runWhet(folder: string, args: readonly string[], node: readonly string[] = []): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(process.execPath, [...node, ...whetFromSource, ...args], inFolder(folder), (error, out, err) => {
      resolve({ code: error ? Number(error.code ?? 1) : 0, out: String(out), err: String(err) });
    });
  });
}

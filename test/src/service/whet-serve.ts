import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { whetMain } from '../programs.js';
import { checkAnswersOf } from './check-answers.js';

export interface ServeProcess {
  readonly url: string;
  readonly pid: number | undefined;
  /** Exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals | null>;
  /** Lines of its log. */
  readonly log: readonly string[];
  kill(signal: NodeJS.Signals): void;
}

/** `whet serve` in a process of its own, on a free port; resolves when it listens. Its answers are compared with its OpenAPI document. */
export async function startServe(
  args: readonly string[],
  env: Record<string, string> = {},
  /** Commands of a shell that end in `exec "$0" "$@"`. */
  shell?: string,
): Promise<ServeProcess> {
  const command = [process.execPath, ...whetMain, 'serve', '--port', '0', '--adapt-niceness', '0', ...args];
  const [program, ...rest] = (shell === undefined ? command : ['bash', '-c', shell, ...command]) as [
    string,
    ...string[],
  ];
  const child = spawn(program, rest, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  const log: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => log.push(line));
  const ended = new Promise<number | NodeJS.Signals | null>((resolve) => {
    child.once('exit', (code, signal) => resolve(code ?? signal));
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /http:\/\/\S+/.exec(line)?.[0];
    if (!url) continue;
    const stopChecking = await checkAnswersOf(url);
    void ended.then(stopChecking);
    return { url, pid: child.pid, ended, log, kill: (signal) => child.kill(signal) };
  }
  throw new Error(`whet serve ended before it was listening: ${log.join('\n')}`);
}

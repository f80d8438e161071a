import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type PeerRecord, readPeer } from '@whet/trainer';

export interface TurnTaker {
  /** Adapts twice; the second is timed where that is asked for. */
  run(timed: boolean): Promise<void>;
}

export interface PeerEngine extends TurnTaker {
  /** Waits until it has opened the next task, a folder of this name. */
  open(folder: string): Promise<void>;
  /** Has done with the task. */
  next(): void;
  /** What it wrote when there was no further task. */
  record(): Promise<PeerRecord>;
}

/** `NAME=PYTHON`, each; throws where there is none, or one is none. */
export function readEngines(given: readonly string[]): [name: string, python: string][] {
  if (given.length === 0) throw new Error('expected --engine NAME=PYTHON, one or more');
  return given.map((text) => {
    const [, name, python] = /^([^=]+)=(.+)$/.exec(text) ?? [];
    if (!name || !python) throw new Error(`--engine ${text}: expected NAME=PYTHON, such as pytorch=VENV/bin/python`);
    return [name, python];
  });
}

/** Removes what a run before wrote into a folder, and nothing else of it. */
export async function clearRun(out: string, networks: readonly string[]): Promise<void> {
  for (const name of ['tasks', ...networks]) await rm(join(out, name), { recursive: true, force: true });
}

/** An engine in a process of its own, which adapts for each line that it is sent. `args` are those of `tools/peers/run.py`, and that. */
export function startEngine(name: string, python: string, args: readonly string[], file: string): PeerEngine {
  const child = spawn(python, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  // What is written to one that died: how it ended says more.
  child.stdin.on('error', () => undefined);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const expectLine = async (expected: string): Promise<void> => {
    const { value, done } = await lines.next();
    if (!done && value === expected) return;
    const [code, signal] = done ? await ended : [];
    const got = done ? `the end: ${python} ended with ${signal ?? `code ${code}`}` : `"${value}"`;
    throw new Error(`${name}: expected "${expected}", got ${got}`);
  };
  return {
    open: expectLine,
    async run(timed) {
      child.stdin.write(timed ? 'run\n' : 'warm\n');
      await expectLine('done');
    },
    next: () => void child.stdin.write('next\n'),
    async record() {
      const [code, signal] = await ended;
      if (code !== 0) throw new Error(`${name}: ${python} ended with ${signal ?? `code ${code}`}`);
      return readPeer(file);
    },
  };
}

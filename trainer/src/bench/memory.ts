import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { BenchBackendName } from './backends.js';

/** What the child process is asked. */
export interface MemoryRequest {
  readonly backend: BenchBackendName;
  /** The bundle's folder. */
  readonly directory: string;
  readonly pattern: string;
  readonly ways: number;
  readonly shots: number;
  readonly steps: number;
  readonly threads?: number | undefined;
}

/** Its answer: bytes, or what went wrong. */
export type MemoryAnswer = { readonly peakBytes: number } | { readonly problem: string };

const PROGRAM = fileURLToPath(new URL('./memory-process.js', import.meta.url));

/**
 * Peak bytes of resident memory while a pattern adapts, above what the process holds when the bundle is loaded. Measured in a
 * process of its own, since memory that another pattern has used is not given back. Throws what went wrong there, and the
 * signal's reason where it aborts.
 */
export async function measureMemory(request: MemoryRequest, signal?: AbortSignal): Promise<number> {
  signal?.throwIfAborted();
  const child = fork(PROGRAM, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], execArgv: [] });
  const stop = () => child.kill('SIGKILL');
  signal?.addEventListener('abort', stop);
  try {
    const answer = await new Promise<MemoryAnswer>((resolve) => {
      child.once('message', (message) => resolve(message as MemoryAnswer));
      child.once('error', (error) => resolve({ problem: error.message }));
      child.once('close', (code, name) => resolve({ problem: `its process ended with ${name ?? `code ${code}`}` }));
      child.send(request, () => undefined);
    });
    signal?.throwIfAborted();
    if ('problem' in answer) throw new Error(answer.problem);
    return answer.peakBytes;
  } finally {
    signal?.removeEventListener('abort', stop);
    stop();
  }
}

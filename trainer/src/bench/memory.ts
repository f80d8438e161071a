import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Manifest } from '@whet/runtime';
import type { BenchBackendName, BenchBackendOptions } from './backends.js';

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
  readonly memory?: BenchBackendOptions['memory'];
}

/** Bytes of resident memory above those of the process with the bundle loaded. */
export interface MemoryUse {
  /** The most while it adapts. */
  readonly peakBytes: number;
  /** What is left after the last adaptation. */
  readonly keptBytes: number;
}

/** Its answer: bytes, or what went wrong. */
export type MemoryAnswer = MemoryUse | { readonly problem: string };

const PROGRAM = fileURLToPath(new URL('./memory-process.js', import.meta.url));

/**
 * Memory while a pattern adapts, and afterwards. Measured in a
 * process of its own, since memory that another pattern has used is not given back. Throws what went wrong there, and the
 * signal's reason where it aborts.
 */
export async function measureMemory(request: MemoryRequest, signal?: AbortSignal): Promise<MemoryUse> {
  signal?.throwIfAborted();
  const child = fork(PROGRAM, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
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
    return answer;
  } finally {
    signal?.removeEventListener('abort', stop);
    stop();
  }
}

const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;

/**
 * What a step of a pattern on so many examples takes at the least, by the manifest, against what is free; `fits` is whether
 * that is less, also where the manifest does not say. A step takes up to twice as much, with weights and the runtime's own.
 */
export function memoryForStep(
  { patterns }: Pick<Manifest, 'patterns'>,
  pattern: string,
  examples: number,
  free = process.availableMemory(),
): { readonly fits: boolean; readonly text: string } {
  const known = Object.hasOwn(patterns, pattern) ? patterns[pattern]?.stepMemory : undefined;
  if (!known) return { fits: true, text: `expected the memory of a step, got ${megabytes(free)} free` };
  const needed = (known.peakActivationBytes * examples) / known.examples;
  const text = `expected at least ${megabytes(needed)} of memory for a step on ${examples} examples, got ${megabytes(free)} free`;
  return { fits: needed <= free, text };
}

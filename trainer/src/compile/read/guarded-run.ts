import { type ChildProcess, fork } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { countNodes } from '@whet/compiler';
import type * as ort from 'onnxruntime-node';
import { each, type GuardAnswer, type GuardRequest, received, sent } from './guard-messages.js';

/** What onnxruntime does not load or run, or takes too much for. */
export class ModelRunError extends Error {
  override readonly name = 'ModelRunError';

  constructor(
    message: string,
    /** `limit`: it was ended, since it took too much. */
    readonly stage: 'load' | 'run' | 'limit',
  ) {
    super(message);
  }
}

/** Whether something went wrong because a model takes too much to run: trying it otherwise takes as much again. */
export const isOverLimit = (error: unknown): boolean =>
  error instanceof Error && error.cause instanceof ModelRunError && error.cause.stage === 'limit';

export interface RunLimits {
  /** Of processor time. */
  readonly seconds: number;
  readonly bytes: number;
}

const MEGABYTE = 2 ** 20;

/** Tensors of a run by the names of the model's inputs; those that it has no input for are left out. */
export type Feeds = Readonly<Record<string, ort.Tensor>>;

/** What a model of `file` bytes may take: more for one that is larger, or is given larger images. The product of a few bytes is none. */
export function limitsFor(file: number, batches: readonly Feeds[]): RunLimits {
  const fed = batches.flatMap((feeds) => Object.values(feeds)).reduce((sum, { data }) => sum + 4 * data.length, 0);
  return {
    seconds: 5 + (file + fed) / MEGABYTE,
    bytes: 512 * MEGABYTE + 8 * file + Math.min(100 * fed, 2048 * MEGABYTE),
  };
}

/** From as many nodes on, onnxruntime's optimizations, whose time is their square, take longer than all else. */
const MANY_NODES = 5000;
const PROGRAM = fileURLToPath(new URL('./guard-process.js', import.meta.url));

/** A process that has nothing to do; it ends with this one. */
let idle: ChildProcess | undefined;

function startProcess(): ChildProcess {
  return fork(PROGRAM, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], serialization: 'advanced' });
}

const handles = ({ channel, stderr }: ChildProcess) => [channel, stderr as unknown as NodeJS.RefCounted | null];

function ask(child: ChildProcess, request: GuardRequest): Promise<GuardAnswer> {
  return new Promise((resolve, reject) => {
    let said = '';
    const listen = (text: string) => {
      said = `${said}${text}`.slice(-4000);
    };
    const settle = () => {
      child.removeAllListeners();
      child.stderr?.removeAllListeners('data');
    };
    child.stderr?.setEncoding('utf8').on('data', listen);
    child.once('message', (answer) => {
      settle();
      resolve(answer as GuardAnswer);
    });
    child.once('error', (error) => {
      settle();
      reject(new ModelRunError(`its process cannot be started: ${error.message}`, 'load'));
    });
    child.once('close', (code, signal) => {
      settle();
      const [, limit] = /limit: (time|memory)/.exec(said) ?? [];
      const most =
        limit === 'time'
          ? `${request.seconds.toFixed(1)} s of processor time`
          : `${Math.round(request.bytes / MEGABYTE)} MB of memory`;
      reject(
        limit
          ? new ModelRunError(`expected at most ${most}, it was stopped as it took more`, 'limit')
          : new ModelRunError(`it ends the process that runs it (${signal ?? `code ${code}`})`, 'run'),
      );
    });
    child.send(request, (error) => error && child.kill('SIGKILL'));
  });
}

/** What onnxruntime says, without the places of its own sources and of the file that was made for it. */
const withoutPlaces = (message: string): string =>
  message
    .replace(/\/onnxruntime_src\/\S+:\d+ .*?\)( const)? (?=\S)/g, '')
    .replace(/Load model from \S+ failed:\s*/, '')
    .trim();

/**
 * Runs a model once for each of `batches`, by the names of its inputs, in a process of its own, which is ended when it
 * takes more than `limits`. Throws {@link ModelRunError}.
 */
export async function runGuarded(
  model: Uint8Array,
  batches: readonly Feeds[],
  limits: RunLimits = limitsFor(model.length, batches),
): Promise<ort.InferenceSession.ReturnType[]> {
  const folder = await mkdtemp(join(tmpdir(), 'whet-run-'));
  const file = join(folder, 'model.onnx');
  let child: ChildProcess | undefined;
  try {
    await writeFile(file, model);
    // Taken or started in the turn in which it is asked: what it tells of its end before would be heard by nobody.
    child = idle?.connected ? idle : startProcess();
    idle = undefined;
    child.ref();
    for (const handle of handles(child)) handle?.ref();
    const answer = await ask(child, {
      file,
      batches: batches.map((feeds) => each(feeds, sent)),
      ...limits,
      optimize: countNodes(model) < MANY_NODES,
    });
    if ('error' in answer) throw new ModelRunError(withoutPlaces(answer.error), answer.stage);
    return answer.results.map((outputs) => each(outputs, received));
  } finally {
    if (child?.connected && !idle) {
      idle = child;
      child.unref();
      for (const handle of handles(child)) handle?.unref();
    } else child?.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  }
}

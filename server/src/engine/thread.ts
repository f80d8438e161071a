import assert from 'node:assert/strict';
import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { presetPatterns } from '@whet/runtime/format';
import { type Bundle, loadBundle, openBundleFiles } from '@whet/runtime/node';
import type { Answer } from './engine.js';
import { localEngine, sendError } from './local.js';
import type { FromThread, SentAnswer, SharedFiles, ThreadSettings, ToThread } from './messages.js';

// The body of a thread that adapts or predicts, so that the thread that answers requests never waits for a graph.

const port = parentPort;
assert(port);
const { directories, files: given, threads, preload, runs, niceness } = workerData as ThreadSettings;
// Of this thread alone on Linux, and handed on to the threads that onnxruntime starts from it.
if (niceness > 0 && process.platform === 'linux') setPriority(niceness);

const bundles: Bundle[] = [];
const all = preload === 'all';
const steps = runs === 'predict' ? 0 : 1;
const files: SharedFiles[] = [];
for (const [i, directory] of directories.entries()) {
  const source = given?.[i] ? readShared(given[i]) : shareRead(openBundleFiles(directory));
  const { read } = source;
  const bundle = await loadBundle(directory, { threads, spinning: false, preload: all && runs === 'adapt', read });
  files.push(source.files);
  if (all) await bundle.warmUp({ steps });
  else if (bundles.length === 0) await bundle.warmUp({ patterns: presetPatterns(bundle.manifest), steps });
  bundles.push(bundle);
}
const engine = localEngine(new Map(bundles.map((bundle) => [bundle.manifest.name, bundle])));
const running = new Map<number, AbortController>();
const send = (message: FromThread, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer);

port.on('message', (message: ToThread) => void handle(message));
send({
  type: 'ready',
  models: bundles.map(({ manifest, digest }) => ({ manifest, digest })),
  files,
  sessions: engine.sessions,
});

interface Source {
  readonly files: SharedFiles;
  read(path: string): Promise<Uint8Array>;
}

/** Puts what is read where all threads have it, once: they run the same bundle then, whatever becomes of its folder. */
function shareRead(readFile: Source['read']): Source {
  const kept = new Map<string, Uint8Array>();
  const read = async (path: string) => {
    const bytes = await readFile(path);
    const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
    shared.set(bytes);
    kept.set(path, shared);
    return shared;
  };
  return { files: kept, read };
}

function readShared(shared: SharedFiles): Source {
  const read = async (path: string) => {
    const bytes = shared.get(path);
    assert(bytes, path);
    return bytes;
  };
  return { files: shared, read };
}

async function handle(message: ToThread): Promise<void> {
  if (message.type === 'abort') {
    running.get(message.id)?.abort();
    return;
  }
  if (message.type === 'close') {
    for (const bundle of bundles) await bundle.release();
    port?.close();
    return;
  }
  const { id } = message;
  try {
    send({ type: 'done', id, value: await answer(message), sessions: engine.sessions });
  } catch (error) {
    // No file can be opened, that of a module: what `import` did not load once, it never does. A new thread will.
    if (['EMFILE', 'ENFILE'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    send({ type: 'failed', id, error: sendError(error), sessions: engine.sessions });
  } finally {
    running.delete(id);
  }
}

async function answer(message: Exclude<ToThread, { type: 'abort' | 'close' }>): Promise<unknown> {
  if (message.type === 'inspect') return engine.inspect(message.model, message.bytes);
  if (message.type === 'predict') return (await engine.predict(message.model, message.queries)).map(sendAnswer);
  const { id, job } = message;
  const controller = new AbortController();
  running.set(id, controller);
  return engine.adapt(job, {
    signal: controller.signal,
    onStep: (step, loss) => send({ type: 'step', id, step, loss }),
  });
}

function sendAnswer(answer: Answer): SentAnswer {
  return answer.kind === 'error' ? { kind: 'error', sent: sendError(answer.error) } : answer;
}

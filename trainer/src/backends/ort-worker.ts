import { parentPort } from 'node:worker_threads';
import * as ort from 'onnxruntime-node';

/** A tensor on its way between threads. */
export interface SentTensor {
  readonly name: string;
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: ArrayBufferView;
}

/** What `ortWorkers` asks of a thread, or `end` after the last; `session` numbers what is compiled. */
export type WorkerRequest = { readonly id: number; readonly session: number } & (
  | { readonly kind: 'compile'; readonly model: Uint8Array; readonly options: ort.InferenceSession.SessionOptions }
  | { readonly kind: 'run'; readonly feeds: readonly SentTensor[] }
  | { readonly kind: 'release' }
);

export type WorkerAnswer = { readonly id: number } & (
  | { readonly outputs: readonly SentTensor[] }
  | { readonly error: string }
);

const sessions = new Map<number, ort.InferenceSession>();

async function answer(request: WorkerRequest): Promise<readonly SentTensor[]> {
  if (request.kind === 'compile') {
    sessions.set(request.session, await ort.InferenceSession.create(request.model, request.options));
    return [];
  }
  const session = sessions.get(request.session);
  if (!session) throw new Error(`no session ${request.session} in this thread`);
  if (request.kind === 'release') {
    sessions.delete(request.session);
    await session.release();
    return [];
  }
  const feeds = request.feeds.map(({ name, type, dims, data }) => {
    return [name, new ort.Tensor(type as ort.Tensor.Type, data as never, dims)] as const;
  });
  const found = await session.run(Object.fromEntries(feeds));
  return Object.entries(found).map(([name, { type, dims, data }]) => ({
    name,
    type,
    dims,
    // A copy: what the runtime hands out may be its own memory, which no other thread can be given.
    data: (data as Float32Array).slice(),
  }));
}

/** One request after the other: onnxruntime would give a session back before the runs that were asked for earlier. */
let last: Promise<void> = Promise.resolve();

parentPort?.on('message', (request: WorkerRequest | 'end') => {
  last = last.then(() => (request === 'end' ? parentPort?.close() : handle(request)));
});

function handle(request: WorkerRequest): Promise<void> {
  return answer(request).then(
    (outputs) => {
      const buffers = outputs.map(({ data }) => data.buffer as ArrayBuffer);
      parentPort?.postMessage({ id: request.id, outputs } satisfies WorkerAnswer, buffers);
    },
    (error: Error) => parentPort?.postMessage({ id: request.id, error: error.message } satisfies WorkerAnswer),
  );
}

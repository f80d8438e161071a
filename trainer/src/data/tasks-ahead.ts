import { Worker } from 'node:worker_threads';
import type { Dataset, ImageClass, SplitName } from './dataset.js';
import type { EpisodeSamplerOptions } from './episodes.js';
import type { BatchRequest, TaskBatch, TaskSource } from './task-batches.js';
import type { TaskWorkerData } from './task-worker.js';

/** A copy of the pixels that the thread sees without a copy of its own. */
function shared({ name, count, pixels }: ImageClass): ImageClass {
  const copy = new Uint8Array(new SharedArrayBuffer(pixels.length));
  copy.set(pixels);
  return { name, count, pixels: copy };
}

/** Who asked, in the order of questions, which is that of answers. */
interface Waiting {
  readonly resolve: (batches: TaskBatch[]) => void;
  readonly reject: (error: Error) => void;
}

const key = ({ shape, first, count, tasks }: BatchRequest) => JSON.stringify([shape, first, count, tasks]);

/**
 * Draws tasks of the train split in a thread of its own, those of the next step while the device computes this one:
 * running a graph holds the thread that asks for it. The same tasks as {@link directTasks}.
 */
export function tasksAhead(dataset: Dataset, options: EpisodeSamplerOptions): TaskSource {
  const none: readonly ImageClass[] = [];
  const splits: Record<SplitName, readonly ImageClass[]> = {
    train: dataset.splits.train.map(shared),
    validation: none,
    test: none,
  };
  const workerData: TaskWorkerData = { dataset: { ...dataset, splits }, options };
  const worker = new Worker(new URL('./task-worker.js', import.meta.url), { workerData });
  // Not a race with one promise of failure: that would hold the tasks of every step for as long as it may still fail.
  const waiting: Waiting[] = [];
  let failure: Error | undefined;
  const fail = (error: Error) => {
    failure ??= error;
    for (const { reject } of waiting.splice(0)) reject(failure);
  };
  worker.on('message', (found: TaskBatch[]) => waiting.shift()?.resolve(found));
  worker.on('error', fail);
  worker.on('exit', () => fail(new Error('the thread that draws tasks has ended')));
  let ahead: { readonly key: string; readonly batches: Promise<TaskBatch[]> } | undefined;
  const ask = (request: BatchRequest) => {
    const batches = new Promise<TaskBatch[]>((resolve, reject) => {
      if (failure) reject(failure);
      else waiting.push({ resolve, reject });
    });
    batches.catch(() => {});
    worker.postMessage(request);
    return { key: key(request), batches };
  };
  return {
    batches: async (request, next) => {
      const stale = ahead && ahead.key !== key(request) ? ahead : undefined;
      // Answers come in the order of questions: what nobody wants any more is waited for and dropped.
      await stale?.batches;
      const current = ahead && !stale ? ahead : ask(request);
      const batches = await current.batches;
      ahead = next && ask(next);
      return batches;
    },
    release: async () => {
      await worker.terminate();
    },
  };
}

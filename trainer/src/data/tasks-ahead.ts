import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Dataset, ImageClass, SplitName } from './dataset.js';
import type { EpisodeSamplerOptions } from './episodes.js';
import type { BatchRequest, TaskBatch, TaskSource } from './task-batches.js';
import type { TaskWorkerData } from './task-worker.js';

/** Pixels both threads see, so that a data set is not held twice. */
function shared({ name, count, pixels }: ImageClass): ImageClass {
  const copy = new Uint8Array(new SharedArrayBuffer(pixels.length));
  copy.set(pixels);
  return { name, count, pixels: copy };
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
  // From src as from dist: tests run the one, users the other, and a thread loads JavaScript only.
  const worker = new Worker(new URL('../../dist/data/task-worker.js', import.meta.url), { workerData });
  const failed = new Promise<never>((_, reject) => worker.once('error', reject));
  failed.catch(() => {});
  let ahead: { readonly key: string; readonly batches: Promise<TaskBatch[]> } | undefined;
  const ask = (request: BatchRequest) => {
    worker.postMessage(request);
    const batches = Promise.race([once(worker, 'message'), failed]).then(([found]) => found as TaskBatch[]);
    batches.catch(() => {});
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

import { parentPort, workerData } from 'node:worker_threads';
import type { Dataset } from './dataset.js';
import { EpisodeSampler, type EpisodeSamplerOptions } from './episodes.js';
import { type BatchRequest, drawBatches } from './task-batches.js';

/** What {@link tasksAhead} starts this worker with. */
export interface TaskWorkerData {
  readonly dataset: Dataset;
  readonly options: EpisodeSamplerOptions;
}

const { dataset, options } = workerData as TaskWorkerData;
const sampler = new EpisodeSampler(dataset, 'train', options);

parentPort?.on('message', (request: BatchRequest) => {
  const batches = drawBatches(sampler, request);
  const buffers = batches.flatMap(({ support, supportLabels, query, queryLabels, queryClasses }) =>
    [support, supportLabels, query, queryLabels, queryClasses].map(({ buffer }) => buffer as ArrayBuffer),
  );
  parentPort?.postMessage(batches, buffers);
});

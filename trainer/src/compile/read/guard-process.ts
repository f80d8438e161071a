import { Worker } from 'node:worker_threads';
import * as ort from 'onnxruntime-node';
import { type CarriedTensor, each, type GuardAnswer, type GuardRequest, received, sent } from './guard-messages.js';

/* The process in which onnxruntime runs somebody else's nodes. A thread of it watches what they take, since neither a
 * session that is being made nor one that runs can be stopped. */

/** Processor time in microseconds and bytes of memory that the process may take in all, for its watching thread. */
const limits = new Float64Array(new SharedArrayBuffer(16)).fill(Number.POSITIVE_INFINITY);
const watch = new Worker(new URL('./guard-watch.js', import.meta.url), { workerData: limits });
watch.unref();

async function answer({ file, batches, seconds, bytes, optimize }: GuardRequest): Promise<GuardAnswer> {
  const used = process.cpuUsage();
  limits[0] = used.user + used.system + seconds * 1e6;
  limits[1] = process.memoryUsage.rss() + bytes;
  let stage: 'load' | 'run' = 'load';
  let session: ort.InferenceSession | undefined;
  try {
    session = await ort.InferenceSession.create(file, {
      logSeverityLevel: 4,
      intraOpNumThreads: 1,
      graphOptimizationLevel: optimize ? 'all' : 'disabled',
    });
    stage = 'run';
    const { inputNames } = session;
    const results: Readonly<Record<string, CarriedTensor>>[] = [];
    for (const feeds of batches) {
      const read = Object.fromEntries(Object.entries(feeds).filter(([name]) => inputNames.includes(name)));
      results.push(each(await session.run(each(read, received)), sent));
    }
    return { results };
  } catch (error) {
    return { stage, error: error instanceof Error ? error.message : String(error) };
  } finally {
    await session?.release();
    limits.fill(Number.POSITIVE_INFINITY);
  }
}

process.on('message', (request: GuardRequest) => {
  void answer(request).then((result) => process.send?.(result));
});
// Whoever asked is gone, and a session may be running without an end.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Bundle } from '@whet/runtime';
import { InferenceSession } from 'onnxruntime-node';

/** A bundle, and how many runs there were of graphs that take images. */
export interface CountedBundle {
  readonly bundle: Bundle;
  runs: number;
}

/** Opens the bundle of a folder on one thread, counting the runs of its frozen parts. */
export async function openCounted(directory: string): Promise<CountedBundle> {
  const counted = { runs: 0 };
  const bundle = await Bundle.open({
    location: directory,
    read: (path) => readFile(join(directory, path)),
    createSession: async (model, weights = new Map()) => {
      const session = await InferenceSession.create(model, {
        intraOpNumThreads: 1,
        externalData: Array.from(weights, ([path, data]) => ({ path, data })),
      });
      const { run } = session;
      session.run = (feeds: object, ...rest: unknown[]) => {
        if ('images' in feeds) counted.runs++;
        return Reflect.apply(run, session, [feeds, ...rest]);
      };
      return session;
    },
  });
  return Object.assign(counted, { bundle });
}

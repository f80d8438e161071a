import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

interface PeerTasks {
  readonly ways: number;
  readonly shots?: readonly number[];
  readonly steps?: number;
}

/** Throws where there is something, which an engine would take for tasks of these bundles. */
async function checkEmpty(folder: string): Promise<void> {
  const [found] = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw new Error(`--peer-task ${folder}: expected an empty folder, or none: ${error.message}`, { cause: error });
  });
  if (found !== undefined) throw new Error(`--peer-task ${folder}: expected an empty folder, or none, got "${found}"`);
}

/** Writes a folder for each task of the bundles that other engines can take. Throws where there is none. */
export async function writePeerTasks(
  bundles: readonly string[],
  folder: string,
  { ways, shots = [1, 5], steps }: PeerTasks,
): Promise<void> {
  if (ways < 2) throw new Error(`--ways ${ways}: expected 2 or more`);
  await checkEmpty(folder);
  const { BenchError, writePeerTask } = await import('@whet/trainer');
  const { loadBundle } = await import('@whet/runtime/node');
  let written = 0;
  for (const place of bundles) {
    const bundle = await loadBundle(place, { preload: false });
    try {
      const { name, patterns, limits } = bundle.manifest;
      if (ways > limits.maxClasses) {
        throw new Error(`--ways ${ways}: expected at most ${limits.maxClasses}, as many classes as ${name} takes`);
      }
      for (const [pattern, { steps: own }] of Object.entries(patterns)) {
        for (const count of new Set(shots)) {
          const task = { pattern, ways, shots: count, steps: steps ?? own };
          const path = join(folder, `${name}-${pattern}-${ways}w${count}s-${task.steps}`);
          try {
            await writePeerTask(path, { bundle, place, ...task });
            process.stdout.write(`${path}\n`);
            written++;
          } catch (error) {
            if (!(error instanceof BenchError)) throw error;
            process.stderr.write(`whet: not written: ${error.message}\n`);
          }
        }
      }
    } finally {
      await bundle.release();
    }
  }
  if (written === 0) throw new Error(`${folder}: expected a task that other engines can take, got none`);
}

import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { DeviceBackend, DeviceError } from '@whet/trainer';

/** Where a run computes. */
export interface TrainingDeviceOptions {
  readonly backend: string;
  readonly device?: string;
  readonly threads?: number;
  readonly workers?: number;
}

/**
 * No more workers than an outer step has runs for; says so where that is fewer than asked for. A CPU takes as many as it has
 * cores where nothing is said of threads either (docs/bench/training.md).
 */
export function usefulWorkers<T extends TrainingDeviceOptions>(
  options: T,
  { tasksPerStep, taskBatch = 1 }: { readonly tasksPerStep: number; readonly taskBatch?: number | undefined },
): T {
  const runs = tasksPerStep / taskBatch;
  if (!options.workers) {
    const onCpu = options.backend === 'auto' || options.backend === 'ort-cpu';
    const workers = onCpu && !options.threads ? Math.min(runs, availableParallelism()) : 1;
    return workers > 1 ? { ...options, workers } : options;
  }
  if (options.workers <= runs) return options;
  process.stderr.write(
    `note: --workers ${options.workers}: an outer step has ${runs} to compute, so ${runs} will do\n`,
  );
  return { ...options, workers: runs };
}

/** The backend that was asked for; for `auto` the fastest kind there is, saying why not another. */
export async function openTrainingBackend({
  backend: name,
  device,
  threads,
  workers,
}: TrainingDeviceOptions): Promise<DeviceBackend> {
  const { backendNames, chooseBackend, openBackend, openTfjsBackend } = await import('@whet/trainer');
  const options = { ...(device ? { device } : {}), ...(threads ? { threads } : {}), ...(workers ? { workers } : {}) };
  if (name === 'auto') {
    const { backend, passedOver } = await chooseBackend(options);
    if (!backend.accelerated) {
      const names = passedOver.map((each) => each.name).join(', ');
      process.stderr.write(`no GPU can be used (${names}); \`whet doctor\` says why\n`);
    }
    return backend;
  }
  if (name === 'tfjs') return openTfjsBackend(name, options);
  const known = backendNames.find((each) => each === name);
  if (!known) throw new Error(`--backend: expected auto, tfjs or one of ${backendNames.join(', ')}, got "${name}"`);
  return openBackend(known, options);
}

/** How a run goes on that its device stopped. */
function wayOn({ backend, failure }: DeviceError, run: string, last: string): string {
  const less = failure === 'memory' ? 'with fewer tasks at a time (--task-batch)' : undefined;
  if (!existsSync(last)) return less ? `; start again ${less}` : '';
  const resume = `--resume --run ${run}`;
  const elsewhere = backend === 'ort-cpu' ? undefined : `${resume} --backend ort-cpu`;
  const ways = [elsewhere, less && `${resume} ${less}`].filter((way) => way !== undefined);
  return `; ${last} is intact, go on with ${ways.join(' or ') || resume}`;
}

/** What a run says that its device stopped after a step, and how it goes on. */
export const stoppedAt = (step: number, error: DeviceError, run: string, last: string): Error =>
  new Error(`${error.message}, after step ${step}${wayOn(error, run, last)}`, { cause: error });

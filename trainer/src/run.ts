import { type Checkpoint, CheckpointError, loadCheckpoint, startFrom } from './checkpoint.js';
import { runConfigSchema } from './config.js';
import { DataError } from './data/dataset.js';
import { initialState } from './state.js';

/**
 * A new run from settings as they come from a file or a command line; `from` names a checkpoint to take weights of.
 * Throws an Error naming the first setting that does not fit.
 */
export async function newRun(settings: unknown, from?: string): Promise<Checkpoint> {
  const parsed = runConfigSchema.safeParse(settings);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new DataError(`settings: ${issue?.path.join('.')}: ${issue?.message}`, { cause: parsed.error });
  }
  const config = parsed.data;
  const state = from ? startFrom(config, await loadCheckpoint(from)) : initialState(config);
  return { config, state };
}

/** A run as its last checkpoint left it; `outerSteps` may move its end. */
export async function resumeFrom(path: string, outerSteps?: number): Promise<Checkpoint> {
  const { config, state } = await loadCheckpoint(path);
  if (outerSteps !== undefined && outerSteps < state.step) {
    throw new CheckpointError(`checkpoint "${path}" stands at step ${state.step}, past the ${outerSteps} asked for`);
  }
  return { config: outerSteps === undefined ? config : { ...config, outerSteps }, state };
}

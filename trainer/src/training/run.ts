import { existsSync } from 'node:fs';
import type { Backbone } from '@whet/models';
import { DataError } from '../data/dataset.js';
import { type Checkpoint, CheckpointError, loadCheckpoint } from './checkpoint.js';
import { type RunConfig, runConfigSchema, withoutSchema } from './config.js';
import { loadStart, startFrom } from './start-from.js';
import { initialState } from './state.js';

function parseConfig(settings: unknown): RunConfig {
  const parsed = runConfigSchema.safeParse(withoutSchema(settings));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new DataError(`settings: ${issue?.path.join('.')}: ${issue?.message}`, { cause: parsed.error });
}

/**
 * A new run from settings as they come from a file or a command line; `from` names a checkpoint or bundle to take weights
 * of, all or those of some layers; `backbone` is the network where it was read from a file. Throws an Error naming the first setting that does not fit.
 */
export async function newRun(
  settings: unknown,
  from?: string,
  layers?: readonly string[],
  backbone?: Backbone,
): Promise<Checkpoint> {
  const config = parseConfig(settings);
  if (layers && !from) throw new Error('layers to start with: expected a checkpoint or bundle to take them from');
  const state = from
    ? startFrom(config, await loadStart(from, backbone), layers, backbone)
    : initialState(config, backbone);
  return { config, state, ...(backbone ? { backbone } : {}) };
}

export interface ResumeOptions {
  /** Moves the end of the run. */
  readonly outerSteps?: number | undefined;
  /** Tasks in one run of the graph: another device may have room for more or fewer. */
  readonly taskBatch?: number | undefined;
  /** The checkpoint that the run goes back to where steps diverge, beside the last; none when absent, or not there. */
  readonly good?: string | undefined;
  /** The network, where it was read from a file. */
  readonly backbone?: Backbone | undefined;
}

/**
 * A run as its last checkpoint left it. Throws {@link CheckpointError} where it stands past its new end, or an Error
 * where `taskBatch` does not divide its tasks per step.
 */
export async function resumeFrom(path: string, options: ResumeOptions = {}): Promise<Checkpoint> {
  const { outerSteps, taskBatch } = options;
  const { config, ...rest } = await loadCheckpoint(path, options.backbone);
  const { state } = rest;
  if (outerSteps !== undefined && outerSteps < state.step) {
    throw new CheckpointError(`checkpoint "${path}" stands at step ${state.step}, past the ${outerSteps} asked for`);
  }
  const changes = { ...(outerSteps ? { outerSteps } : {}), ...(taskBatch ? { taskBatch } : {}) };
  const good = options.good === undefined ? undefined : await goodOf(options.good, options.backbone);
  return { config: parseConfig({ ...config, ...changes }), ...rest, ...(good ? { good } : {}) };
}

const goodOf = async (path: string, backbone: Backbone | undefined) =>
  existsSync(path) ? (await loadCheckpoint(path, backbone)).state : undefined;

import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { ExternalReader } from '@whet/compiler';
import type { Preprocessing } from '@whet/runtime';
import { fewerLevels, levelsFor, preprocessingOf } from '../compile/compile-checks.js';
import type { ImageOptions } from '../compile/compile-options.js';
import { CompileError } from '../compile/read/compile-error.js';
import { type ReadModelOptions, readModel, type SourceModel } from '../compile/read/read-model.js';
import { CheckpointError } from '../training/checkpoint.js';
import { deepestWithin, memoryBudget, type TimeCandidates, timeBudget } from './budget.js';
import { type Candidates, chooseCandidates } from './candidates.js';
import { initialModelState, loadModelCheckpoint, type ModelCheckpoint, modelRunConfigOf } from './checkpoint.js';
import { type ModelRunConfig, parseModelConfig } from './config.js';

/** An ONNX file. */
export interface ModelFile {
  readonly bytes: Uint8Array;
  readonly fileName: string;
  /** What tells it from others of the same graph, where its values stand in other files. */
  readonly identity?: string;
  /** Reads values that it keeps in files beside it. */
  readonly external?: ExternalReader;
}

/** A run that learns where a model learns, with the model. */
export interface ModelRun extends ModelCheckpoint {
  readonly model: SourceModel;
  readonly candidates: Candidates;
}

export interface NewModelRunOptions
  extends ImageOptions,
    Pick<ReadModelOptions, 'features' | 'imageSize' | 'layout' | 'levels'> {
  /** How images are made for it, where that is known already, in place of the options of images. */
  readonly preprocessing?: Preprocessing;
  /** What a device may take for encoding 25 images and all inner steps, and what a step on them may hold; no deeper block than they leave may move. */
  readonly budget?: {
    readonly time?: { readonly milliseconds: number; readonly of: (model: SourceModel) => TimeCandidates };
    readonly megabytes?: number;
  };
}

const digestOf = ({ bytes, identity = '' }: ModelFile): string =>
  createHash('sha256').update(bytes).update(identity).digest('hex');

const read = ({ bytes, external }: ModelFile, { features, imageSize, layout, levels }: ModelRunConfig['model']) =>
  readModel(bytes, {
    levels,
    ...(external ? { external } : {}),
    ...(features === undefined ? {} : { features }),
    ...(imageSize ? { imageSize } : {}),
    ...(layout ? { layout } : {}),
  });

const candidatesOf = (model: SourceModel, config: ModelRunConfig): Candidates =>
  chooseCandidates(model, { ...config, granularity: config.maskGranularity });

/**
 * A new run from settings as they come from a file or a command line, without those of the model and of images. Throws {@link CompileError}
 * for a model, candidates or a budget that do not fit, `DataError` for other settings.
 */
export async function newModelRun(file: ModelFile, settings: object, options: NewModelRunOptions): Promise<ModelRun> {
  const { features, imageSize, layout, budget: { time, megabytes } = {} } = options;
  const source = {
    fileName: file.fileName,
    sha256: digestOf(file),
    ...(features === undefined ? {} : { features }),
    ...(imageSize ? { imageSize: [...imageSize] as [number, number] } : {}),
    ...(layout ? { layout } : {}),
    levels: levelsFor({ levels: options.levels }),
  };
  const model = await read(file, source);
  // As of `whet compile`: a network with fewer blocks has fewer.
  if (options.levels !== undefined && model.levels.length < options.levels) throw fewerLevels(model, options.levels);
  source.levels = model.levels.length;
  const [channels] = model.input.shape;
  if (channels !== 1 && channels !== 3) {
    throw new CompileError(`images: expected a model of 1 or 3 channels, as pictures have, got ${channels}`);
  }
  if (model.opaque && 'learnWeights' in settings) {
    throw new CompileError('weights to learn: expected a model of which all is read and nothing is quantized');
  }
  const preprocessing = options.preprocessing ?? preprocessingOf(options, model);
  const config = parseModelConfig({ ...settings, model: source, preprocessing });
  const budgets = [
    ...(megabytes === undefined ? [] : [memoryBudget(megabytes, model)]),
    ...(time ? [timeBudget(time.milliseconds, config.innerSteps[1], time.of(model))] : []),
  ];
  if (budgets.length > 0) {
    config.deepest = await deepestWithin(model, { ...config, granularity: config.maskGranularity }, budgets);
  }
  const candidates = candidatesOf(model, config);
  return { config, state: initialModelState(candidates, config), model, candidates };
}

export interface OpenModelRunOptions {
  /** Moves the end of the run. */
  readonly outerSteps?: number | undefined;
  /** The checkpoint that the run goes back to where steps diverge, beside the last; none when absent, or not there. */
  readonly good?: string | undefined;
}

/**
 * A run as a checkpoint left it. Throws {@link CheckpointError} where that is not one of such a run, is of another
 * model, or stands past its new end.
 */
export async function openModelRun(
  file: ModelFile,
  path: string,
  { outerSteps, good: goodPath }: OpenModelRunOptions = {},
): Promise<ModelRun> {
  const saved = await modelRunConfigOf(path);
  if (!saved) throw new CheckpointError(`checkpoint "${path}": expected one of \`whet train --model\``);
  const sha256 = digestOf(file);
  if (sha256 !== saved.model.sha256) {
    throw new CheckpointError(
      `checkpoint "${path}": expected the model ${saved.model.fileName} (SHA-256 ${saved.model.sha256}), got ${file.fileName} (${sha256})`,
    );
  }
  const model = await read(file, saved.model);
  const candidates = candidatesOf(model, saved);
  const { config, state } = await loadModelCheckpoint(path, candidates);
  if (outerSteps !== undefined && outerSteps < state.step) {
    throw new CheckpointError(`checkpoint "${path}" stands at step ${state.step}, past the ${outerSteps} asked for`);
  }
  const isThere = goodPath !== undefined && existsSync(goodPath);
  const good = isThere ? (await loadModelCheckpoint(goodPath, candidates)).state : undefined;
  return { config: outerSteps ? { ...config, outerSteps } : config, state, good, model, candidates };
}

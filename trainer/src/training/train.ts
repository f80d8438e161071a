import { rm } from 'node:fs/promises';
import type { Backend, Graph } from '@whet/compiler';
import type { Dataset } from '../data/dataset.js';
import { EpisodeSampler } from '../data/episodes.js';
import { type BatchRequest, directTasks, drawBatches, type TaskSource } from '../data/task-batches.js';
import { tasksAhead } from '../data/tasks-ahead.js';
import type { Interval } from '../statistics.js';
import { STEP_WEIGHTS } from '../task/task-graph.js';
import { type Arrays, runAll, type TaskRunner, taskRunner } from '../task/task-runner.js';
import { evaluationGraph, taskBatchGraph } from '../task/training-graphs.js';
import { adamStep } from './adam.js';
import { checkImages } from './check-images.js';
import { checkTasks } from './check-tasks.js';
import { type Checkpoint, saveCheckpoint } from './checkpoint.js';
import { type RunConfig, taskSettings, trainsOnValidation } from './config.js';
import { accuracyOf, accuracyOver, stateFeeds, taskFeeds } from './evaluate-tasks.js';
import { areMomentsFresh, initializeMoments } from './initial-moments.js';
import { DivergedError, divergedOnly, LastGood, type WentBack } from './last-good.js';
import { type MaskPenalty, maskPenalty } from './mask-cost.js';
import { frozenShare } from './masks.js';
import type { MetricsFile } from './metrics.js';
import { mixMoments, type TrainingState } from './state.js';
import { type StagedShape, trainingShapes, validationShape } from './task-shapes.js';

/** What tells the graphs of a run's shapes apart. */
const graphOf = ({ shots, stages }: StagedShape): string => `${shots} shots in ${stages}`;
/** Support images, about, that fresh population moments are taken from. */
const IMAGES_OBSERVED_FIRST = 128;

export interface TrainingProgress {
  /** Outer steps done, and how many there will be. */
  readonly step: number;
  readonly outerSteps: number;
  /** Means over the tasks since the last validation. */
  readonly loss: number;
  readonly accuracy: number;
  /** Outer steps per second since the last report. */
  readonly rate: number;
  /** Frozen share of each layer's weights, 0..1, for rules that learn masks. */
  readonly frozen: Readonly<Record<string, number>>;
  readonly validation?: Interval & { readonly protocol: RunConfig['normalization'] };
}

export interface CheckpointPaths {
  readonly last: string;
  readonly best: string;
  /** Without it a run that is resumed between validations goes back no further than to there. */
  readonly good?: string;
}

export interface TrainOptions extends Checkpoint {
  readonly dataset: Dataset;
  readonly backend: Backend;
  /**
   * Tasks in one run of the graph where the config says nothing: what suits the device, and so no setting of the run that
   * its checkpoints would take to another. Has to divide the tasks per step; 1 when absent.
   */
  readonly taskBatch?: number;
  readonly metrics?: MetricsFile;
  /** Where checkpoints go: `last`, `best` by validation accuracy, and `good`, to go back to where steps diverge. */
  readonly checkpoints?: CheckpointPaths;
  /** Draws the next step's tasks in a thread of its own while the device computes. */
  readonly prefetch?: boolean;
  readonly onProgress?: (progress: TrainingProgress) => void;
  /** Called where steps diverged, and the run goes on from an earlier one. */
  readonly onWentBack?: (where: WentBack) => void;
  readonly signal?: AbortSignal;
}

/** The data set whose train split is what the run trains on. */
function trainingClasses(config: RunConfig, dataset: Dataset): Dataset {
  if (!trainsOnValidation(config)) return dataset;
  const { train, validation } = dataset.splits;
  return { ...dataset, splits: { ...dataset.splits, train: [...train, ...validation] } };
}

function outerRate({ outerRate: rate, schedule, outerSteps }: RunConfig, step: number): number {
  return schedule === 'constant' ? rate : rate * 0.5 * (1 + Math.cos((Math.PI * step) / outerSteps));
}

/**
 * Meta-trains in place, from `state.step` to `config.outerSteps`: each outer step averages the meta-gradients of
 * `tasksPerStep` tasks and takes one step of Adam. Fresh population moments become those of support images
 * of the first tasks. Episode streams depend on (seed, step) alone, so a resumed run sees
 * exactly the tasks that an uninterrupted one would. Where a loss or gradient is not finite, the run goes on from the last validation
 * whose state is good, at half the outer rates. Throws {@link DivergedError} where there is none, or these were halved eight times.
 */
export async function train(options: TrainOptions): Promise<void> {
  const { config, state, dataset, backend, signal } = options;
  const { seed, rotations, augment, classAugment } = config;
  checkImages(config, dataset);
  checkTasks(config, dataset);
  const drawing = { seed, rotations, ...(augment ? { augment } : {}), ...(classAugment ? { classAugment } : {}) };
  const trained = trainingClasses(config, dataset);
  const sampler = new EpisodeSampler(trained, 'train', drawing);
  const validationSampler = new EpisodeSampler(dataset, 'validation', { seed: 0, rotations: false });
  const { backbone, normalization, rule } = taskSettings(config, 1, options.backbone);
  const { mask } = rule;
  const penalty = mask && maskPenalty(config, mask, options.backbone);
  const runners = new Map<string, TaskRunner>();
  const opened: TaskRunner[] = [];
  const asked = validationShape(config);
  const source = (options.prefetch ? tasksAhead : directTasks)(trained, drawing);
  const window = { loss: 0, accuracy: 0, tasks: 0 };
  let pace = { steps: 0, since: performance.now() };
  let hasReported = false;
  try {
    if (normalization.takesPopulation && areMomentsFresh(state)) {
      const request = tasksOf(options, 0);
      const tasks = Math.ceil(IMAGES_OBSERVED_FIRST / (request.shape.ways * request.shape.shots));
      for (const { support } of drawBatches(sampler, { ...request, count: 1, tasks })) {
        await initializeMoments(state, backbone, support, backend);
      }
    }
    const compile = async (graph: Graph): Promise<TaskRunner> => {
      const runner = await taskRunner(backend, graph);
      opened.push(runner);
      return runner;
    };
    for (const shape of trainingShapes(config)) {
      if (runners.has(graphOf(shape))) continue;
      const settings = taskSettings(config, shape.shots, options.backbone, shape.stages);
      runners.set(graphOf(shape), await compile(taskBatchGraph(settings, batchSize(options))));
    }
    const steps = config.validation.innerSteps ?? config.innerSteps;
    const settings = { ...taskSettings(config, asked.shots, options.backbone), ...asked, steps };
    const evaluation = await compile(evaluationGraph(settings));
    pace.since = performance.now();
    const lastGood = new LastGood(state, options.good, state.step % config.validation.every === 0);
    const save = async () => {
      if (!options.checkpoints) return;
      const { last, good } = options.checkpoints;
      await saveCheckpoint(last, options);
      if (lastGood.good && good) await saveCheckpoint(good, { ...options, state: lastGood.good });
      else if (good) await rm(good, { force: true });
    };
    const patience = config.validation.patience ?? Number.POSITIVE_INFINITY;
    while (state.step < config.outerSteps && state.validationsSinceBest < patience && !signal?.aborted) {
      const taken = await outerStep(options, runners, source, penalty).catch(divergedOnly);
      if (taken instanceof DivergedError) {
        const where = lastGood.goBack(taken);
        await options.metrics?.goBack(where.step);
        options.onWentBack?.(where);
        Object.assign(window, { loss: 0, accuracy: 0, tasks: 0 });
        continue;
      }
      lastGood.confirm();
      window.loss += taken.loss;
      window.accuracy += taken.accuracy;
      window.tasks += config.tasksPerStep;
      pace.steps++;
      const validating = state.step % config.validation.every === 0 || state.step === config.outerSteps;
      if (!validating && hasReported && performance.now() - pace.since < 1000) continue;
      hasReported = true;
      const seconds = (performance.now() - pace.since) / 1000;
      const validation = validating
        ? await accuracyOver(evaluation, state, validationSampler, asked, config.validation.tasks)
        : undefined;
      const progress: TrainingProgress = {
        step: state.step,
        outerSteps: config.outerSteps,
        loss: window.loss / window.tasks,
        accuracy: window.accuracy / window.tasks,
        rate: pace.steps / seconds,
        frozen: frozenShare(config, state, options.backbone),
        ...(validation ? { validation: { ...validation, protocol: config.normalization } } : {}),
      };
      if (validation) {
        await options.metrics?.append({ ...progress, time: new Date().toISOString() });
        const improved = trained === dataset && validation.mean > (state.bestValidation ?? Number.NEGATIVE_INFINITY);
        if (improved) state.bestValidation = validation.mean;
        state.validationsSinceBest = improved ? 0 : state.validationsSinceBest + 1;
        if (improved && options.checkpoints) await saveCheckpoint(options.checkpoints.best, options);
        await save();
        lastGood.mark();
      }
      options.onProgress?.(progress);
      if (validating) Object.assign(window, { loss: 0, accuracy: 0, tasks: 0 });
      pace = { steps: 0, since: performance.now() };
    }
    await save();
  } finally {
    await source.release();
    for (const runner of opened) await runner.release();
  }
}

/** All inner steps alike at first, only the last from outer step `until` on, and linearly from one to the other between. */
function stepWeights({ innerSteps }: RunConfig, until: number, step: number): Float32Array {
  const each = Math.max(0, 1 - step / until) / innerSteps;
  return Float32Array.from({ length: innerSteps }, (_, i) => (i < innerSteps - 1 ? each : 1 - (innerSteps - 1) * each));
}

const batchSize = ({ config, taskBatch }: TrainOptions): number => config.taskBatch ?? taskBatch ?? 1;

/** The tasks of an outer step, counted from 0. */
function tasksOf(options: TrainOptions, step: number): BatchRequest & { readonly shape: StagedShape } {
  const { tasksPerStep } = options.config;
  const tasks = batchSize(options);
  const shapes = trainingShapes(options.config);
  const shape = shapes[step % shapes.length] as StagedShape;
  return { shape, first: step * tasksPerStep, count: tasksPerStep / tasks, tasks };
}

function mixObserved({ moments }: TrainingState, tasks: number, outputs: Arrays, rate: number): void {
  for (const [name, known] of moments) {
    const mean = outputs.get(`${name}.mean@support`);
    const variance = outputs.get(`${name}.variance@support`);
    const channels = known.mean.length;
    for (let task = 0; mean && variance && task < tasks; task++) {
      const [from, to] = [task * channels, (task + 1) * channels];
      mixMoments(known, mean.subarray(from, to), variance.subarray(from, to), rate);
    }
  }
}

async function outerStep(
  options: TrainOptions,
  runners: ReadonlyMap<string, TaskRunner>,
  source: TaskSource,
  penalty: MaskPenalty | undefined,
): Promise<{ loss: number; accuracy: number }> {
  const { config, state } = options;
  const { tasksPerStep } = config;
  const request = tasksOf(options, state.step);
  const { ways } = request.shape;
  const runner = runners.get(graphOf(request.shape)) as TaskRunner;
  const more = state.step + 1 < config.outerSteps;
  const batches = await source.batches(request, more ? tasksOf(options, state.step + 1) : undefined);
  const feeds = stateFeeds(state);
  if (config.stepLosses) feeds.set(STEP_WEIGHTS, stepWeights(config, config.stepLosses.until, state.step));
  const sums = new Map([...state.parameters].map(([name, { value }]) => [name, new Float32Array(value.length)]));
  const observed: { tasks: number; outputs: Arrays }[] = [];
  const taken = { loss: 0, accuracy: 0 };
  let diverged: DivergedError | undefined;
  const runs = runAll(
    runner,
    batches.map((batch) => new Map([...feeds, ...taskFeeds(batch)])),
  );
  for (const [index, batch] of batches.entries()) {
    const outputs = (await runs.next()).value as Arrays;
    const losses = outputs.get('loss') ?? [];
    for (let task = 0; task < batch.tasks; task++) {
      const loss = losses[task] ?? Number.NaN;
      if (Number.isFinite(loss)) {
        taken.loss += loss;
        continue;
      }
      const place = index * batch.tasks + task;
      // Thrown when all runs have ended: weights are changed in place.
      diverged ??= new DivergedError(`outer step ${state.step + 1}: the loss of task ${place} is ${loss}`);
    }
    taken.accuracy += batch.tasks * accuracyOf(outputs.get('logits') as Float32Array, batch.queryClasses, ways);
    for (const [name, sum] of sums) {
      const gradient = outputs.get(`grad/${name}`);
      if (gradient) for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + (gradient[i] as number);
    }
    observed.push({ tasks: batch.tasks, outputs });
  }
  if (diverged) throw diverged;
  for (const [name, sum] of sums) {
    const bad = sum.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) throw new DivergedError(`outer step ${state.step + 1}: the gradient of "${name}" is ${sum[bad]}`);
  }
  // After the last task, so that all tasks of a step are normalized with the same moments.
  for (const { tasks, outputs } of observed) mixObserved(state, tasks, outputs, config.momentRate);
  const rate = outerRate(config, state.step) * 0.5 ** state.halved;
  state.step++;
  for (const sum of sums.values()) {
    for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) / tasksPerStep;
  }
  penalty?.(state, sums);
  for (const [name, sum] of sums) {
    const parameter = state.parameters.get(name);
    if (!parameter) continue;
    const share = name.startsWith('mask/') ? config.maskRate / config.outerRate : 1;
    adamStep(parameter, sum, rate * share, state.step);
  }
  return taken;
}

import { rm } from 'node:fs/promises';
import type { Backend, Executable, Graph } from '@whet/compiler';
import type { SourceModel } from '../compile/read/read-model.js';
import { DomainSampler } from '../data/domains.js';
import { drawTask } from '../data/draw.js';
import { generatorFor } from '../data/random.js';
import { type Interval, meanInterval } from '../statistics.js';
import { adamStep } from '../training/adam.js';
import { DivergedError, divergedOnly, LastGood, type WentBack } from '../training/last-good.js';
import type { MaskPenalty } from '../training/mask-cost.js';
import type { MetricsFile } from '../training/metrics.js';
import type { CheckpointPaths } from '../training/train.js';
import type { Candidates } from './candidates.js';
import { type ModelCheckpoint, saveModelCheckpoint } from './checkpoint.js';
import type { ModelRunConfig } from './config.js';
import type { EncodedDomain } from './domain.js';
import { type InnerLoop, type WalkedTask, walkTask } from './in-turns.js';
import { type LearnedSpec, learnedSpecs } from './learned.js';
import { pricesOf } from './prices.js';
import { closedShare, type OpenBlock, type OpenTensor, openBlocks, openTensors } from './report.js';

/** How a domain's tasks are answered before the first inner step and after the last. */
export interface DomainAccuracy {
  readonly before: Interval;
  readonly after: Interval;
  /** After less before, task by task. */
  readonly gain: Interval;
}

export interface ModelTrainingProgress {
  /** Outer steps done, and how many there will be. */
  readonly step: number;
  readonly outerSteps: number;
  /** Of the query images after the last inner step: means over the tasks since the last validation, by domain. */
  readonly trained: Readonly<
    Record<string, { readonly loss: number; readonly accuracy: number; readonly tasks: number }>
  >;
  /** Outer steps a second since the last report. */
  readonly rate: number;
  /** Share of the candidates that masks close. */
  readonly closed: number;
  readonly blocks: readonly OpenBlock[];
  readonly tensors: readonly OpenTensor[];
  readonly validation?: Readonly<Record<string, DomainAccuracy>>;
}

export interface TrainModelOptions extends ModelCheckpoint {
  readonly model: SourceModel;
  readonly candidates: Candidates;
  /** As `modelGraphs` gives it. */
  readonly gradient: Graph;
  readonly backend: Backend;
  /** In the order of the settings' `data`. */
  readonly domains: readonly EncodedDomain[];
  /** Whose tasks say how good it is, none of whose classes are trained on. */
  readonly validation: readonly EncodedDomain[];
  readonly metrics?: MetricsFile;
  /** Where checkpoints go: `last`, `best` by the mean accuracy over the validation's domains, and `good`, to go back to where steps diverge. */
  readonly checkpoints?: CheckpointPaths;
  readonly onProgress?: (progress: ModelTrainingProgress) => void;
  /** Called where steps diverged, and the run goes on from an earlier one. */
  readonly onWentBack?: (where: WentBack) => void;
  readonly signal?: AbortSignal;
}

/** Draws the tasks of a run. Throws {@link DataError} naming a domain that does not fit. */
function samplerOf({ config, domains }: TrainModelOptions): DomainSampler {
  const { ways, shots, queries, data, seed } = config;
  const weighted = domains.map(({ files }, i) => ({ files, weight: data[i]?.weight ?? 1 }));
  return new DomainSampler(weighted, { ways, shots, queries: [queries, queries] }, seed);
}

/** Results of `count` jobs in their order, as many under way at once as `parallel`. */
async function inOrder<T>(count: number, parallel: number, job: (i: number) => Promise<T>): Promise<T[]> {
  const results = new Array<T>(count);
  let next = 0;
  const work = async () => {
    for (let i = next++; i < count; i = next++) results[i] = await job(i);
  };
  await Promise.all(Array.from({ length: Math.min(parallel, count) }, work));
  return results;
}

/** The inner steps of a task, a pure function of (seed, index). */
function innerStepsOf({ innerSteps: [least, most], seed }: ModelRunConfig, index: number): number {
  return least + generatorFor(seed, 'inner-steps', index).integer(most - least + 1);
}

/** The inner loop of a run, and the same of which nothing is asked but answers. */
interface Loops {
  readonly training: InnerLoop;
  readonly parallel: number;
}

async function openLoops({
  backend,
  gradient,
  candidates,
  config,
  state,
}: TrainModelOptions): Promise<Loops & { readonly release: () => Promise<void> }> {
  const graph = await backend.compile(gradient);
  let answers: Executable;
  try {
    const outputs = new Map([...gradient.outputs].filter(([name]) => name === 'loss' || name === 'logits'));
    answers = await backend.compile({ ...gradient, outputs });
  } catch (cause) {
    await graph.release();
    throw cause;
  }
  return {
    training: { graph, answers, candidates, learned: state.learned, smoothing: config.smoothing },
    parallel: backend.parallel ?? 1,
    release: async () => {
      await graph.release();
      await answers.release();
    },
  };
}

/** Undefined where it was stopped, as a validation may take longer than anybody waits for a command to end. */
async function validate(
  { config, validation, signal }: TrainModelOptions,
  { training, parallel }: Loops,
): Promise<Record<string, DomainAccuracy> | undefined> {
  const { tasks, ways, shots, queries } = config.validation;
  const found: Record<string, DomainAccuracy> = {};
  for (const { files, encoded } of validation) {
    const pairs = await inOrder(tasks, parallel, async (index) => {
      if (signal?.aborted) return { before: 0, after: 0 };
      // Every validation asks about the same tasks.
      const task = await encoded(drawTask(files, { ways, shots, queries }, 0, index));
      const before = await walkTask(training, task, 0, 'answers');
      const after = await walkTask(training, task, config.innerSteps[1], 'answers');
      return { before: before.accuracy, after: after.accuracy };
    });
    if (signal?.aborted) return undefined;
    found[files.name] = {
      before: meanInterval(pairs.map(({ before }) => before)),
      after: meanInterval(pairs.map(({ after }) => after)),
      gain: meanInterval(pairs.map(({ before, after }) => after - before)),
    };
  }
  return found;
}

function outerShare({ schedule, outerSteps }: ModelRunConfig, step: number): number {
  return schedule === 'constant' ? 1 : 0.5 * (1 + Math.cos((Math.PI * step) / outerSteps));
}

const rateOf = ({ kind }: LearnedSpec, { outerRate, maskRate, rateRate }: ModelRunConfig): number =>
  ({ start: outerRate, mask: maskRate, rate: rateRate, scale: rateRate })[kind];

/** One outer step: the mean gradients of its tasks, the prices of moving, and a step of Adam. */
async function outerStep(
  { config, state, domains }: TrainModelOptions,
  sampler: DomainSampler,
  { training, parallel }: Loops,
  specs: readonly LearnedSpec[],
  prices: readonly MaskPenalty[],
): Promise<{ readonly of: string; readonly outcome: WalkedTask }[]> {
  const { tasksPerStep } = config;
  const taken = await inOrder(tasksPerStep, parallel, async (i) => {
    const index = state.step * tasksPerStep + i;
    const drawn = sampler.task(index);
    const { files, encoded } = domains[drawn.domain] as EncodedDomain;
    return { of: files.name, outcome: await walkTask(training, await encoded(drawn), innerStepsOf(config, index)) };
  });
  for (const { outcome } of taken) {
    if (!Number.isFinite(outcome.loss))
      throw new DivergedError(`outer step ${state.step + 1}: the loss is ${outcome.loss}`);
  }
  const sums = new Map<string, Float32Array>();
  for (const { name } of specs) {
    const [first, ...others] = taken.map(({ outcome }) => outcome.gradients.get(name) as Float32Array) as [
      Float32Array,
      ...Float32Array[],
    ];
    const sum = first.map(
      (value, i) => others.reduce((total, each) => total + (each[i] as number), value) / tasksPerStep,
    );
    const bad = sum.find((value) => !Number.isFinite(value));
    if (bad !== undefined) throw new DivergedError(`outer step ${state.step + 1}: the gradient of "${name}" is ${bad}`);
    sums.set(name, sum);
  }
  for (const price of prices) price({ parameters: state.learned }, sums);
  const share = outerShare(config, state.step) * 0.5 ** state.halved;
  state.step++;
  for (const spec of specs) {
    const learned = state.learned.get(spec.name);
    if (learned) adamStep(learned, sums.get(spec.name) as Float32Array, share * rateOf(spec, config), state.step);
  }
  return taken;
}

/** Means by domain. */
function meansOf(
  window: readonly { readonly of: string; readonly outcome: WalkedTask }[],
): ModelTrainingProgress['trained'] {
  const found: Record<string, { loss: number; accuracy: number; tasks: number }> = {};
  for (const { of, outcome } of window) {
    const sum = found[of] ?? { loss: 0, accuracy: 0, tasks: 0 };
    found[of] = sum;
    sum.tasks++;
    sum.loss += (outcome.loss - sum.loss) / sum.tasks;
    sum.accuracy += (outcome.accuracy - sum.accuracy) / sum.tasks;
  }
  return found;
}

/**
 * Learns where a model learns, in place, from `state.step` to the settings' `outerSteps`: masks and rates of the candidates, the head's
 * scale, chosen start weights, by first-order gradients in turns. Tasks depend on (seed, step) alone, so that a run which is gone on
 * with sees those that an uninterrupted one would. Where a loss or gradient is not finite, it goes back as `train` does. Throws {@link DivergedError}
 * where it cannot.
 */
export async function trainModel(options: TrainModelOptions): Promise<void> {
  const { config, state, candidates, signal } = options;
  const sampler = samplerOf(options);
  const specs = learnedSpecs(candidates);
  const prices = pricesOf(options.model, candidates, config);
  const loops = await openLoops(options);
  let window: { readonly of: string; readonly outcome: WalkedTask }[] = [];
  let pace = { steps: 0, since: performance.now() };
  let hasReported = false;
  const lastGood = new LastGood(state, options.good, state.step % config.validation.every === 0);
  const save = async () => {
    if (!options.checkpoints) return;
    const { last, good } = options.checkpoints;
    await saveModelCheckpoint(last, options, candidates);
    if (lastGood.good && good) await saveModelCheckpoint(good, { ...options, state: lastGood.good }, candidates);
    else if (good) await rm(good, { force: true });
  };
  try {
    while (state.step < config.outerSteps && !signal?.aborted) {
      const taken = await outerStep(options, sampler, loops, specs, prices).catch(divergedOnly);
      if (taken instanceof DivergedError) {
        const where = lastGood.goBack(taken);
        await options.metrics?.goBack(where.step);
        options.onWentBack?.(where);
        window = [];
        continue;
      }
      lastGood.confirm();
      window.push(
        ...taken.map(({ of, outcome: { loss, times, accuracy } }) => ({
          of,
          outcome: { loss, times, accuracy, gradients: new Map() },
        })),
      );
      pace.steps++;
      const validating = state.step % config.validation.every === 0 || state.step === config.outerSteps;
      if (!validating && hasReported && performance.now() - pace.since < 1000) continue;
      hasReported = true;
      const rate = (1000 * pace.steps) / (performance.now() - pace.since);
      const validation = validating && options.validation.length > 0 ? await validate(options, loops) : undefined;
      const tensors = openTensors(candidates, state.learned);
      const progress: ModelTrainingProgress = {
        step: state.step,
        outerSteps: config.outerSteps,
        trained: meansOf(window),
        rate,
        closed: closedShare(tensors),
        blocks: openBlocks(tensors),
        tensors,
        ...(validation ? { validation } : {}),
      };
      if (validating) {
        await options.metrics?.append({ ...progress, time: new Date().toISOString() });
        await keepBest(options, validation);
        await save();
        lastGood.mark();
        window = [];
      }
      options.onProgress?.(progress);
      pace = { steps: 0, since: performance.now() };
    }
    await save();
  } finally {
    await loops.release();
  }
}

/** Writes the best checkpoint, where a validation says that it is. */
async function keepBest(
  options: TrainModelOptions,
  validation: Record<string, DomainAccuracy> | undefined,
): Promise<void> {
  const { state, candidates, checkpoints } = options;
  const accuracies = Object.values(validation ?? {}).map(({ after }) => after.mean);
  const mean = accuracies.reduce((sum, each) => sum + each, 0) / accuracies.length;
  const improved = accuracies.length > 0 && mean > (state.bestValidation ?? Number.NEGATIVE_INFINITY);
  if (improved) state.bestValidation = mean;
  if (improved && checkpoints) await saveModelCheckpoint(checkpoints.best, options, candidates);
}

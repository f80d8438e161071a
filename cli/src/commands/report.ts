import { basename, join, resolve } from 'node:path';
import type { Interval, NormalizationMode, SavedModelRun } from '@whet/trainer';
import { Command, Option } from 'commander';
import writeFileAtomic from 'write-file-atomic';
import { count, wholeNumber } from '../arguments.js';
import { dataHelp, loadData, recogniseData, skipCorruptHelp } from '../data.js';
import type { AccuracyRow } from '../pages/report-page.js';
import { startProgress } from '../progress.js';

interface ReportOptions {
  readonly data?: string;
  readonly skipCorrupt?: boolean;
  readonly split: 'validation' | 'test';
  readonly tasks: number;
  readonly queries: number;
  readonly out?: string;
  readonly seed: number;
  readonly threads?: number;
}

/** Tasks that the report has a row for, and examples to show of the first. */
const SHAPES = [
  { ways: 5, shots: 1 },
  { ways: 5, shots: 5 },
  { ways: 20, shots: 1 },
  { ways: 20, shots: 5 },
] as const;
/** Tasks that inner steps are followed on, at most: each is run with every number of them. */
const TRACED = 50;
const WRONG = 9;
const RIGHT = 6;

export function reportCommand(): Command {
  return new Command('report')
    .description('Write a page about a training run: curves, accuracies, which weights move, examples.')
    .argument('<run>', 'folder of a run of `whet train`, also of one in progress')
    .option('--data <place>', `${dataHelp}; needed but for runs of --model`)
    .option('--skip-corrupt', skipCorruptHelp)
    .addOption(
      new Option('--split <name>', 'classes to draw from').choices(['validation', 'test']).default('validation'),
    )
    .option('--tasks <n>', 'tasks of each kind', count, 100)
    .option('--queries <n>', 'query images per class', count, 15)
    .option('--out <file>', 'the page; <run>/report.html when absent')
    .option('--seed <n>', 'seed of the tasks', wholeNumber, 0)
    .option('--threads <n>', 'threads of onnxruntime', count)
    .action(runReport);
}

/** The page of a run of `whet train --model`, which says all that it measured itself. */
async function reportModelRun(run: string, saved: SavedModelRun, out: string): Promise<void> {
  const { modelReportPage } = await import('../pages/model-report-page.js');
  await writeFileAtomic(out, await modelReportPage(basename(resolve(run)), saved));
  process.stdout.write(`${out}\n`);
}

async function runReport(run: string, options: ReportOptions): Promise<void> {
  const trainer = await import('@whet/trainer');
  const out = options.out ?? join(run, 'report.html');
  const saved = await trainer.readModelRun(run);
  if (saved) return reportModelRun(run, saved, out);
  if (options.data === undefined) throw new Error('--data: expected the folder of the images that the run is of');
  const { checkpoint, metrics } = await trainer.readRun(run);
  const { config, state } = checkpoint;
  const dataset = await loadData(await recogniseData(options.data), {
    size: config.model.imageSize,
    channels: config.model.imageChannels,
    preprocessing: config.preprocessing,
    skipCorrupt: options.skipCorrupt,
    splitSeed: config.splitSeed,
  });
  trainer.checkImages(config, dataset);
  const { split, tasks, queries, seed, threads } = options;
  const backend = trainer.ortBackend(threads ? { threads } : {});
  const common = { config, state, dataset, backend, split, tasks, seed };
  const progress = startProgress('report', (2 * SHAPES.length + 2) * tasks);
  let done = 0;
  /** An accuracy, or why there is none: too few classes or images say nothing about the rest of the report. */
  const attempt = async <T>(text: string, compute: (onTask: (task: number) => void) => Promise<T>) => {
    try {
      return await compute((task) => progress.update(done + task, text));
    } catch (error) {
      if (!(error instanceof trainer.DataError)) throw error;
      return error.message;
    } finally {
      done += tasks;
    }
  };
  const { normalizations } = trainer;
  const { alone, together } = normalizations[config.normalization];
  const accuracy = async (shape: (typeof SHAPES)[number], normalization: NormalizationMode) => {
    if (config.head === 'fixed' && config.ways !== shape.ways) return `the head is fixed to ${config.ways} ways`;
    const text = `${shape.ways}-way ${shape.shots}-shot${normalization.name === alone ? '' : `, ${normalization.name}`}`;
    return attempt<Interval>(text, (onTask) =>
      trainer.evaluateTasks({ ...common, normalization, shape: { ...shape, queries }, onTask }),
    );
  };
  try {
    const accuracies: AccuracyRow[] = [];
    for (const shape of SHAPES) {
      const own = await accuracy(shape, normalizations[alone]);
      // Every image is normalized by itself in either protocol.
      const transductive = together === alone ? 'the same' : await accuracy(shape, normalizations[together]);
      accuracies.push({ ...shape, oneImage: own, transductive });
    }
    const shape = { ...SHAPES[0], ...(config.head === 'fixed' ? { ways: config.ways } : {}), queries };
    const wanted = { right: RIGHT, wrong: WRONG, normalization: normalizations[alone] };
    const examples = await attempt('examples', (onTask) =>
      trainer.predictExamples({ ...common, ...wanted, shape, onTask }),
    );
    progress.update((2 * SHAPES.length + 2) * tasks, 'page');
    const traced = { ...SHAPES[1], ...(config.head === 'fixed' ? { ways: config.ways } : {}), queries };
    const trace = await attempt('inner steps', () =>
      trainer.traceAdaptation({
        ...common,
        tasks: Math.min(tasks, TRACED),
        normalization: normalizations[alone],
        shape: traced,
      }),
    );
    const { reportPage } = await import('../pages/report-page.js');
    const text = await reportPage({
      name: basename(resolve(run)),
      trainsOnValidation: trainer.trainsOnValidation(config),
      ...{ config, step: state.step, bestValidation: state.bestValidation, metrics, split, tasks, queries },
      ...{ dataset: dataset.name, preprocessing: dataset.preprocessing, accuracies, examples, trace },
      masks: trainer.masksOf(config, state),
    });
    await writeFileAtomic(out, text);
    progress.stop();
    process.stdout.write(`${out}\n`);
  } finally {
    progress.stop();
  }
}

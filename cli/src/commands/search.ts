import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { SearchOutcome, SearchSettings } from '@whet/trainer';
import { Command, Option } from 'commander';
import writeFileAtomic from 'write-file-atomic';
import { collectPositive, count, nonNegative, wholeNumber } from '../arguments.js';
import { dataHelp, loadData, recogniseData, skipCorruptHelp } from '../data.js';
import { formatTable, milliseconds, percent } from '../format.js';
import { interruptible } from '../interrupt.js';
import { readNamedFile } from '../named-file.js';
import { openCharts } from '../open-charts.js';
import { startProgress } from '../progress.js';

interface SearchOptions {
  readonly data: string;
  readonly skipCorrupt?: boolean;
  readonly out: string;
  readonly ways: number;
  readonly shots: number;
  readonly queries: number;
  readonly tasks: number;
  readonly limit?: number;
  readonly steps?: number;
  readonly rate?: number[];
  readonly oneStep?: boolean;
  readonly budget: number;
  readonly reference: 'dense' | 'best';
  readonly seed: number;
  readonly threads?: number;
  readonly json?: boolean;
}

export function searchCommand(): Command {
  return new Command('search')
    .description('Try every choice of layers to move on validation tasks; keep the fastest within an accuracy budget.')
    .argument('<checkpoint>', 'a checkpoint of `whet train`')
    .requiredOption('--data <place>', dataHelp)
    .requiredOption('--out <dir>', 'folder for search.json and search.html; a search that is there already goes on')
    .option('--skip-corrupt', skipCorruptHelp)
    .option('--ways <n>', 'classes per task', count, 5)
    .option('--shots <n>', 'examples per class', count, 1)
    .option('--queries <n>', 'query images per class', count, 15)
    .option('--tasks <n>', 'tasks that every pattern is measured on', count, 100)
    .option('--limit <n>', 'try no more choices of layers than so many: all, then those of which most is cached', count)
    .option('--steps <n>', 'inner steps; those of training when absent', count)
    .option('--rate <x...>', 'inner learning rates; of several, each pattern takes its best', collectPositive)
    .option('--one-step', 'measure each also after a single step, at the rate of --rate that is best for it')
    .option('--budget <points>', 'percentage points of accuracy that speed may cost', nonNegative, 1)
    .addOption(
      new Option('--reference <pattern>', 'what the budget counts from')
        .choices(['dense', 'best'])
        .default('dense', 'dense: everything moves'),
    )
    .option('--seed <n>', 'seed of the tasks', wholeNumber, 0)
    .option('--threads <n>', 'threads of onnxruntime', count)
    .option('--json', 'print the outcome as JSON')
    .action(runSearch);
}

async function runSearch(path: string, options: SearchOptions): Promise<void> {
  await openCharts();
  const trainer = await import('@whet/trainer');
  const checkpoint = await trainer.loadCheckpoint(path);
  const { config } = checkpoint;
  const obstacles = trainer.exportObstacles(config);
  if (obstacles.length > 0) throw new Error(`${path}: ${obstacles.join('; ')}`);
  const steps = options.steps ?? config.innerSteps;
  if (steps === 0) throw new Error(`${path}: was trained with 0 inner steps; say with --steps how many to search with`);
  if (options.oneStep && steps === 1) {
    if (options.steps) throw new Error('--one-step: expected more steps than 1, got --steps 1');
    throw new Error(`${path}: was trained with 1 inner step; say with --steps what one step is to be set beside`);
  }
  if (trainer.trainsOnValidation(config)) {
    throw new Error(
      `${path}: was trained on the validation classes, so their accuracy cannot choose a pattern; search with the run it started from`,
    );
  }
  const dataset = await loadData(await recogniseData(options.data), {
    size: config.model.imageSize,
    channels: config.model.imageChannels,
    ...(config.preprocessing ? { preprocessing: config.preprocessing } : {}),
    skipCorrupt: options.skipCorrupt,
    splitSeed: config.splitSeed,
  });
  const { ways, shots, queries, tasks, limit, seed, budget, reference, threads } = options;
  const settings: SearchSettings = {
    checkpoint: createHash('sha256')
      .update(await readNamedFile(path, 'a checkpoint'))
      .digest('hex'),
    dataset: dataset.name,
    split: 'validation',
    ...{ ways, shots, queries, steps, seed },
    rates: [...new Set(options.rate ?? [config.innerRate])],
    ...(options.oneStep ? { oneStep: true as const } : {}),
    ...(threads ? { threads } : {}),
  };
  const file = join(options.out, 'search.json');
  const measured = trainer.measuredSoFar(file, await trainer.readSearch(file), settings);
  const all = trainer.layerSubsets(checkpoint).map(({ name }) => name);
  const names = all.slice(0, limit);
  const outcome = () => trainer.chooseLayerPattern(measured, names, { budget, reference, of: all.length });
  await mkdir(options.out, { recursive: true });
  const save = async () => {
    const record = { schema: trainer.SEARCH_SCHEMA, settings, measured: Object.fromEntries(measured) } as const;
    await trainer.writeSearch(file, { ...record, outcome: outcome() ?? null });
  };

  const { signal, stop } = interruptible();
  const progress = startProgress('search', names.length * tasks);
  const onTask = (done: number, _: number, pattern: string) => progress.update(done, pattern);
  try {
    await trainer.measurePatterns({
      ...{ checkpoint, dataset, settings, tasks, limit, measured, onTask, signal },
      onMeasured: save,
    });
  } finally {
    progress.stop();
    stop();
    if (measured.size > 0) await save();
  }
  const found = outcome();
  if (!found) {
    process.stdout.write('stopped before the dense pattern was measured; the same command goes on\n');
    return;
  }
  const { searchPage } = await import('../pages/search-page.js');
  const page = join(options.out, 'search.html');
  await writeFileAtomic(page, await searchPage(nameOf(path), settings, found, tasks));
  if (options.json) process.stdout.write(`${JSON.stringify(found, null, 2)}\n`);
  else describe(found, settings, signal.aborted);
  if (!options.json) process.stdout.write(`${file}, ${page}\n`);
}

/** What a run is called: its folder, without the folders above. */
const nameOf = (path: string): string => basename(dirname(resolve(path)));

function describe({ results, ...outcome }: SearchOutcome, settings: SearchSettings, stopped: boolean): void {
  const dense = results.find(({ name }) => name === outcome.dense);
  const rows = results
    .filter(({ name, pareto }) => pareto || name === outcome.chosen || name === outcome.dense)
    .map((each) => [
      each.name === outcome.chosen ? `${each.name} (chosen)` : each.name,
      `${percent(each.accuracy.mean, 2)} ± ${percent(each.accuracy.halfWidth, 2)}`,
      `${(100 * each.difference.mean).toFixed(2)} ± ${(100 * each.difference.halfWidth).toFixed(2)}`,
      milliseconds(each.milliseconds.adapt),
      milliseconds(each.saved.masking),
      milliseconds(each.saved.caching),
      `${((dense?.milliseconds.adapt ?? Number.NaN) / each.milliseconds.adapt).toFixed(1)}x`,
      String(each.rate),
      ...(each.oneStep ? [percent(each.oneStep.accuracy.mean, 2), milliseconds(each.oneStep.milliseconds)] : []),
    ]);
  const single = results.some(({ oneStep }) => oneStep) ? ['one step', 'its adapt'] : [];
  const less = outcome.reference === outcome.dense ? 'less dense, points' : 'less best, points';
  const head = [
    'moves',
    'accuracy',
    less,
    'adapt',
    'saved: moves less',
    'saved: caches',
    'speed-up',
    'rate',
    ...single,
  ];
  process.stdout.write(`${formatTable(head, rows)}\n`);
  const chosen = results.find(({ name }) => name === outcome.chosen);
  if (chosen && dense && chosen !== dense) {
    const { adapt, rerun } = chosen.milliseconds;
    const [less, cached] = [dense.milliseconds.adapt / rerun, rerun / adapt].map((ratio) => ratio.toFixed(2));
    process.stdout.write(
      `${chosen.name} adapts in ${milliseconds(adapt)}, dense in ${milliseconds(dense.milliseconds.adapt)}: ` +
        `${less} times as fast by moving less, ${cached} by caching.\n`,
    );
  }
  const task = `${settings.ways}-way ${settings.shots}-shot, ${settings.steps} steps`;
  process.stdout.write(
    `${results.length}${outcome.of === undefined ? '' : ` of ${outcome.of}`} patterns on ${outcome.tasks} validation tasks${stopped ? ' (stopped; the same command goes on)' : ''}, ` +
      `${task}, one image at a time; shown are the Pareto front, dense and the chosen one.\n`,
  );
}

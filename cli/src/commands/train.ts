import { existsSync } from 'node:fs';
import { basename, extname, join, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { Command, Option } from 'commander';
import {
  collectNumbers,
  collectPositiveNumbers,
  collectRanges,
  collectStages,
  collectTexts,
  count,
  type NumberRange,
  numberRange,
  positiveNumber,
  wholeNumber,
  wholeNumberRange,
} from '../arguments.js';
import { dataHelp, loadData, recogniseData, skipCorruptHelp, splitSeedHelp } from '../data.js';
import { percent } from '../format.js';
import { interruptible } from '../interrupt.js';
import { addModelOptions, MODEL_OPTIONS, type ModelOptions } from '../model-options.js';
import { startProgress } from '../progress.js';
import { checkpointsIn, describeWayBack } from '../run-files.js';
import { DEFAULT_RULE, type Preset, presets, settingsFor } from '../train-settings.js';
import { openTrainingBackend, stoppedAt, type TrainingDeviceOptions, usefulWorkers } from '../training-device.js';

export interface TrainCommandOptions extends TrainingDeviceOptions, ModelOptions {
  readonly data: string[];
  readonly model?: string;
  readonly validate?: string[];
  readonly trainable?: string[];
  readonly learnWeights?: string[];
  readonly queries?: number;
  readonly imagesPerClass?: number;
  readonly byteCost?: number;
  readonly memoryCost?: number;
  readonly budgetMs?: number;
  readonly budgetMb?: number;
  readonly skipCorrupt?: boolean;
  readonly mean?: number[];
  readonly std?: number[];
  readonly run?: string;
  readonly config?: string;
  readonly preset?: Preset;
  readonly startFrom?: string;
  readonly startLayers?: string[];
  readonly resume?: boolean;
  readonly rule?: string;
  readonly order?: '1' | '2';
  readonly ways?: NumberRange;
  readonly shots?: NumberRange[];
  readonly innerSteps?: NumberRange;
  readonly innerRate?: number;
  readonly stream?: number[];
  readonly remember?: number;
  readonly outerSteps?: number;
  readonly outerRate?: number;
  readonly maskGranularity?: string;
  readonly maskCost?: number;
  readonly tasks?: number;
  readonly taskBatch?: number;
  readonly seed?: number;
  readonly splitSeed?: number;
}

const PRESET_HELP =
  'settings for pictures of your own, in place of --config: quick takes about 3 minutes, good an hour, best 4 hours of two busy cores';

export function trainCommand(): Command {
  const command = new Command('train')
    .description('Meta-train on classes of images: where a network should start, and which of its weights should move.')
    .requiredOption(
      '--data <place>',
      `${dataHelp}; with --model several times, each with its weight: --data A --data B:0.5`,
      collectTexts,
    )
    .option('--model <place>', 'learn where to learn in this ONNX file or bundle, in place of a network of --config')
    .option('--skip-corrupt', skipCorruptHelp)
    .option('--mean <x...>', 'taken from pixels 0..1, one number per channel (default: 0)', collectNumbers)
    .option('--std <x...>', 'what is left is divided by this, one per channel (default: 1)', collectPositiveNumbers)
    .option(
      '--run <dir>',
      'folder for checkpoints and metrics (default: runs/<config>, or runs/<data>-<preset or rule>)',
    )
    .option(
      '--config <file>',
      'settings as JSON, such as models/recipes/*.json, where schema.json describes every key; the options below override it',
    )
    .addOption(new Option('--preset <name>', PRESET_HELP).choices(presets).conflicts(['config', 'model']))
    .option('--start-from <path>', 'start from the weights of another run of the same network: a checkpoint or bundle')
    .option('--start-layers <name...>', 'take only these layers of --start-from; others may be of another size')
    .option('--resume', 'go on from the last checkpoint of --run, on the same stream of tasks')
    .option('--rule <name>', 'update rule, such as maml, anil or sparse-maml')
    .addOption(new Option('--order <n>', '1: first-order meta-gradient, 2: second-order').choices(['1', '2']))
    .option('--ways <n>', 'classes per task; with --model also a range: 3-8', numberRange)
    .option(
      '--shots <n...>',
      'examples per class; several numbers alternate; with --model one, or a range: 1-5',
      collectRanges,
    )
    .option('--queries <n>', 'images per class that are asked about (default: 5)', count)
    .option(
      '--inner-steps <n>',
      'gradient steps on the support set; 0 trains a prototype network; with --model also a range: 0-10',
      wholeNumberRange,
    )
    .option('--inner-rate <x>', 'inner learning rate', positiveNumber)
    .option(
      '--stream <stages...>',
      'classes arrive one group after the other (--ways of them), each adapted to alone, and all so far are asked about; several numbers, or those of a range, alternate',
      collectStages,
    )
    .option('--remember <n>', 'of --stream: examples of each earlier class that are adapted to besides', wholeNumber)
    .option('--outer-steps <n>', 'outer steps in all; the cosine schedule of rates ends there', count)
    .option('--outer-rate <x>', 'outer learning rate (Adam)', positiveNumber)
    .addOption(
      new Option(
        '--mask-granularity <what>',
        'what a learned mask opens or closes at a time; tensor and block with --model, layer without',
      ).choices(['weight', 'channel', 'layer', 'tensor', 'block']),
    )
    .option('--mask-cost <x>', 'weight of a step’s cost in the outer loss of learned masks', positiveNumber)
    .option('--tasks <n>', 'tasks per outer step', count)
    .option('--task-batch <n>', 'tasks in one run of the graph (default: all of a step on a GPU, 1 on a CPU)', count)
    .option('--backend <name>', 'where to compute: auto takes a GPU if there is one; `whet doctor` lists them', 'auto')
    .option('--device <which>', 'number of a CUDA device, or a part of a WebGPU adapter’s name')
    .option('--threads <n>', 'threads of onnxruntime on the CPU; of each worker', count)
    .option(
      '--workers <n>',
      'tasks of an outer step (--tasks) computed beside each other on the CPU (default: as many as fit its cores)',
      count,
    )
    .option('--seed <n>', 'seed of weights and tasks', wholeNumber)
    .option('--split-seed <n>', splitSeedHelp, wholeNumber)
    .optionsGroup('Of --model:')
    .option('--trainable <selections...>', 'what may move, as `whet compile` selects it (default: blocks:1)')
    .option('--learn-weights <selections...>', 'learn where these start, too (default: none)')
    .option('--validate <dir>', 'data that is never trained on, to validate with; repeat it for several', collectTexts)
    .option('--images-per-class <n>', 'encode no more than the first so many images of each class', count)
    .option('--byte-cost <x>', 'weight of a profile’s bytes in the outer loss of learned masks', positiveNumber)
    .option(
      '--memory-cost <x>',
      'weight of what a step holds at once in the outer loss of learned masks',
      positiveNumber,
    )
    .option(
      '--budget-ms <n>',
      'let no deeper block move than 25 images can be adapted to in so long, here',
      positiveNumber,
    )
    .option(
      '--budget-mb <n>',
      'let no deeper block move than where a step on 25 images holds so many megabytes at once',
      positiveNumber,
    );
  return addModelOptions(command).action((options: TrainCommandOptions) =>
    options.model === undefined ? runTraining(options) : trainModelOf(options),
  );
}

async function trainModelOf(options: TrainCommandOptions): Promise<void> {
  const { runModelTraining } = await import('./train-model.js');
  await runModelTraining(options);
}

/** The folder of a run: what was asked for, or one called as the settings are, or as data and rule. */
export function runFolder({
  run,
  resume,
  config,
  preset,
  data: [data = ''],
  rule = DEFAULT_RULE,
}: TrainCommandOptions): string {
  if (run !== undefined) return run;
  if (resume) throw new Error('--resume: expected --run, the folder of the run to go on with');
  return join('runs', config ? basename(config, extname(config)) : `${basename(resolve(data))}-${preset ?? rule}`);
}

/** A resumed run keeps its settings; only its end and how it runs may change. Throws naming an option that would be ignored. */
export function refuseNewSettings(options: TrainCommandOptions): void {
  const kept = new Set([
    'data',
    'model',
    'validate',
    'skipCorrupt',
    'run',
    'resume',
    'outerSteps',
    'taskBatch',
    'backend',
    'device',
    'threads',
    'workers',
  ]);
  const ignored = Object.keys(options).filter((name) => !kept.has(name));
  if (ignored.length === 0) return;
  const names = ignored.map((name) => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`);
  throw new Error(`--resume goes on with the settings of the run; leave out ${names.join(', ')}`);
}

/** Throws naming an option that has no meaning without `--model`. */
function refuseModelOptions(options: TrainCommandOptions): void {
  const names = {
    trainable: '--trainable',
    learnWeights: '--learn-weights',
    validate: '--validate',
    imagesPerClass: '--images-per-class',
    byteCost: '--byte-cost',
    memoryCost: '--memory-cost',
    budgetMs: '--budget-ms',
    budgetMb: '--budget-mb',
    ...MODEL_OPTIONS,
  } as const;
  const given = Object.entries(names).flatMap(([key, name]) =>
    options[key as keyof typeof names] === undefined ? [] : [name],
  );
  if (given.length > 0) throw new Error(`${given.join(', ')}: expected --model, which this is for`);
}

async function runTraining(options: TrainCommandOptions): Promise<void> {
  const trainer = await import('@whet/trainer');
  const run = runFolder(options);
  const { last, best, good } = checkpointsIn(run);
  if (!options.resume && existsSync(last)) {
    throw new Error(`${last} exists; go on with --resume --run ${run}, or name another folder with --run`);
  }
  if (options.resume) refuseNewSettings(options);
  if (options.startLayers && !options.startFrom)
    throw new Error('--start-layers: expected --start-from, where to take them from');
  const [data = '', ...others] = options.data;
  if (others.length > 0) throw new Error('--data: expected one place; several are for --model');
  refuseModelOptions(options);
  process.stderr.write(`${run}: training on ${data}\n`);
  const place = await recogniseData(data);
  const { config, state, ...started } = options.resume
    ? await trainer.resumeFrom(last, { ...options, good })
    : await trainer.newRun(await settingsFor(options, place), options.startFrom, options.startLayers);
  for (const warning of trainer.exportObstacles(config)) process.stderr.write(`note: ${warning}\n`);
  const dataset = await loadData(place, {
    size: config.model.imageSize,
    channels: config.model.imageChannels,
    preprocessing: config.preprocessing,
    mean: options.mean,
    std: options.std,
    skipCorrupt: options.skipCorrupt,
    splitSeed: config.splitSeed,
    check: (listed) => trainer.checkTasks(config, listed),
  });
  if (config.preprocessing && !isDeepStrictEqual(config.preprocessing, dataset.preprocessing)) {
    throw new Error(`--data ${data}: the run prepares images in another way than ${dataset.name} does`);
  }
  config.preprocessing = dataset.preprocessing;
  const backend = await openTrainingBackend(usefulWorkers(options, config));
  if (options.workers && backend.accelerated) {
    process.stderr.write(`note: --workers are of the CPU, not of ${backend.name}\n`);
  }
  process.stderr.write(`${config.rule} on ${backend.name}, from step ${state.step} of ${config.outerSteps}\n`);
  process.stderr.write(`device: ${backend.device}\n`);

  const { signal, stop } = interruptible();
  const progress = startProgress('train', config.outerSteps, state.step);
  let validated = '';
  const seen = trainer.trainsOnValidation(config) ? ' (classes trained on)' : '';
  try {
    await trainer.train({
      ...started,
      config,
      state,
      dataset,
      backend,
      // A GPU is filled by all tasks of a step at once; on a CPU one after the other is as fast and takes less memory.
      ...(backend.accelerated ? { taskBatch: config.tasksPerStep } : {}),
      metrics: await trainer.openMetrics(join(run, 'metrics.jsonl'), state.step),
      checkpoints: { last, best, good },
      onWentBack: (where) => process.stderr.write(`${describeWayBack(where)}\n`),
      prefetch: true,
      signal,
      onProgress: ({ step, loss, accuracy, rate, frozen, validation }) => {
        if (validation) validated = `validation ${percent(validation.mean)} ± ${percent(validation.halfWidth)}${seen}`;
        const masks = Object.values(frozen).map((share) => (100 * share).toFixed(0));
        const parts = [
          `${rate.toFixed(1)} steps/s`,
          `loss ${loss.toFixed(3)}`,
          `acc ${percent(accuracy)}`,
          ...(masks.length > 0 ? [`frozen ${masks.join('/')} %`] : []),
          ...(validated ? [validated] : []),
        ];
        progress.update(step, parts.join(' | '));
      },
    });
  } catch (error) {
    throw error instanceof trainer.DeviceError ? stoppedAt(state.step, error, run, last) : error;
  } finally {
    progress.stop();
    stop();
  }
  const ended = validated || `the run ended at step ${state.step} already`;
  const outcome = signal.aborted ? `stopped at step ${state.step}; go on with --resume --run ${run}` : ended;
  const written = [last, best].filter((path) => existsSync(path));
  process.stdout.write(`${outcome}\ncheckpoints: ${written.join(', ')}\n`);
}

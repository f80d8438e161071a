import { join } from 'node:path';
import type { TaskSizes } from '@whet/trainer';
import type { NumberRange } from './arguments.js';
import type { TrainCommandOptions } from './commands/train.js';
import { countData, type DataPlace, imagesOf, splitSeedOf } from './data.js';
import { readNamedJson } from './named-file.js';

export const DEFAULT_RULE = 'sparse-maml';

/** Settings as they come from a file, not checked yet. */
interface Settings {
  readonly model?: object;
  readonly stream?: object;
  readonly splitSeed?: number | undefined;
  readonly validation?: object;
}

export const presets = ['quick', 'good', 'best'] as const;
export type Preset = (typeof presets)[number];

/** The settings of a preset: a recipe for pictures of one's own. */
async function presetFile(preset: Preset): Promise<string> {
  const { recipesDirectory } = await import('@whet/models/bundles');
  return join(recipesDirectory, `pictures-${preset}.json`);
}

/** The settings of a preset, with tasks that the pictures fill; says what is other than in its recipe. */
async function readPreset(
  preset: Preset,
  data: DataPlace,
  splitSeed: number | undefined,
): Promise<TaskSizes & Settings> {
  const recipe = (await readNamedJson(await presetFile(preset), 'settings')) as TaskSizes & Settings;
  if (data.kind !== 'folders') return recipe;
  const { fitTasks } = await import('@whet/trainer');
  const { settings, changes } = fitTasks(recipe, await countData(data, splitSeed));
  if (changes.length > 0)
    process.stderr.write(`note: --preset ${preset}, with what the pictures have: ${changes.join(', ')}\n`);
  return settings;
}

/** The one number that a range is where it is no range. */
function single(option: string, [from, to]: NumberRange): number {
  if (from === to) return from;
  throw new Error(`${option} ${from}-${to}: expected one number; a range is for --model`);
}

/** A stream as options say it, beside what a file says. */
function streamOf({ stream: stages, remember }: TrainCommandOptions, file: object | undefined): object | undefined {
  if (remember !== undefined && !stages && !file) throw new Error('--remember: expected with --stream');
  if (!stages && remember === undefined) return file;
  return {
    ...file,
    ...(stages ? { stages } : {}),
    ...(remember === undefined ? {} : { remember }),
  };
}

/** Settings of a file, of a preset, or the network of neither. */
async function readSettings({ config, preset, splitSeed }: TrainCommandOptions, data: DataPlace): Promise<Settings> {
  if (config !== undefined) return (await readNamedJson(config, 'settings')) as Settings;
  if (preset === undefined) return { model: { architecture: 'conv4' } };
  return readPreset(preset, data, splitSeed);
}

/** What a run is asked to be, as it comes from a file or a preset, from options and from the data; not checked yet. */
export async function settingsFor(options: TrainCommandOptions, data: DataPlace): Promise<unknown> {
  const file = await readSettings(options, data);
  const given = {
    rule: options.rule ?? (options.config || options.preset ? undefined : DEFAULT_RULE),
    order: options.order && Number(options.order),
    ways: options.ways && single('--ways', options.ways),
    shots: options.shots?.map((range) => single('--shots', range)),
    queries: options.queries,
    innerSteps: options.innerSteps && single('--inner-steps', options.innerSteps),
    innerRate: options.innerRate,
    stream: streamOf(options, file?.stream),
    outerSteps: options.outerSteps,
    outerRate: options.outerRate,
    maskGranularity: options.maskGranularity,
    maskCost: options.maskCost && { weight: options.maskCost },
    tasksPerStep: options.tasks,
    taskBatch: options.taskBatch,
    seed: options.seed,
    splitSeed: splitSeedOf([data], options.splitSeed ?? file?.splitSeed),
  };
  const model = file?.model && { ...(await imagesOf(data, given.splitSeed)), ...file.model };
  const changes = Object.entries({ ...given, model }).filter(([, value]) => value !== undefined);
  const settings: Settings = { ...file, ...Object.fromEntries(changes) };
  // A recipe's own has been fitted, but for a stream.
  const isSaid = settings.validation && (options.config !== undefined || !given.stream);
  const mayLack = data.kind === 'folders' || given.stream;
  return isSaid || !mayLack ? settings : withValidation(settings, data, given.splitSeed);
}

/** Settings whose validation, which no file says, asks about what the data has; of a stream in the ways of training. */
async function withValidation(settings: Settings, data: DataPlace, splitSeed: number | undefined): Promise<Settings> {
  const { fitTasks, newRun } = await import('@whet/trainer');
  const { config } = await newRun(settings);
  if (config.stream && !settings.validation) config.validation.ways = config.ways;
  const fitted = fitTasks(config, await countData(data, splitSeed));
  const changes = fitted.changes.filter((change) => change.startsWith('validation.'));
  if (changes.length > 0) process.stderr.write(`note: with what the pictures have: ${changes.join(', ')}\n`);
  return { ...settings, validation: fitted.settings.validation };
}

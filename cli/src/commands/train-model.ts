import { existsSync } from 'node:fs';
import { basename, extname, join } from 'node:path';
import type {
  EncodedDomain,
  EpisodeShape,
  ImageFiles,
  ModelRun,
  ModelTrainingProgress,
  SplitName,
} from '@whet/trainer';
import { type DataPlace, openData, recogniseData, splitSeedOf } from '../data.js';
import { formatTable, percent } from '../format.js';
import { interruptible } from '../interrupt.js';
import { type NamedModel, readNamedModel } from '../model-file.js';
import { MODEL_OPTIONS, readingOf } from '../model-options.js';
import { readNamedJson } from '../named-file.js';
import { startProgress } from '../progress.js';
import { checkpointsIn, describeWayBack } from '../run-files.js';
import { openTrainingBackend, stoppedAt, usefulWorkers } from '../training-device.js';
import { refuseNewSettings, type TrainCommandOptions } from './train.js';

/** Names of data sets, numbered where two are called alike. */
function distinct(names: readonly string[]): string[] {
  const seen = new Map<string, number>();
  return names.map((name) => {
    const before = seen.get(name) ?? 0;
    seen.set(name, before + 1);
    return before === 0 ? name : `${name} (${before + 1})`;
  });
}

/** Throws naming options that say how a network of `--config` is trained, and nothing about a model. */
function refuseNetworkOptions(options: TrainCommandOptions): void {
  const given = [
    ...(options.rule === undefined ? [] : ['--rule']),
    ...(options.order === undefined || options.order === '1' ? [] : ['--order 2']),
    ...(options.startFrom === undefined ? [] : ['--start-from']),
    ...(options.startLayers === undefined ? [] : ['--start-layers']),
    ...(options.taskBatch === undefined ? [] : ['--task-batch']),
    ...(options.stream === undefined ? [] : ['--stream']),
    ...(options.remember === undefined ? [] : ['--remember']),
    ...(options.maskGranularity === 'layer' ? ['--mask-granularity layer'] : []),
  ];
  if (given.length > 0)
    throw new Error(
      `${given.join(', ')}: expected without --model, which learns masks and rates by first-order gradients`,
    );
  if ((options.shots?.length ?? 1) > 1) throw new Error('--shots: expected one number or range with --model');
}

/** Throws naming options of how a model is read, which a bundle says itself. */
function refuseReading(options: TrainCommandOptions): void {
  const names = { ...MODEL_OPTIONS, mean: '--mean', std: '--std' };
  const given = (Object.keys(names) as (keyof typeof names)[]).filter((name) => options[name] !== undefined);
  if (given.length === 0) return;
  const text = given.map((name) => names[name]).join(', ');
  throw new Error(`${text}: expected with an ONNX file; the bundle says how its model is read`);
}

/** One of the data sets to train on. */
interface Source {
  readonly name: string;
  readonly weight: number;
  readonly place: DataPlace;
}

async function settingsOf(options: TrainCommandOptions, sources: readonly Source[]): Promise<object> {
  const file: { readonly splitSeed?: number } = options.config
    ? ((await readNamedJson(options.config, 'settings')) as object)
    : {};
  const data = sources.map(({ name, weight }) => ({ name, weight }));
  const places = sources.map(({ place }) => place);
  const given = {
    data,
    trainable: options.trainable,
    learnWeights: options.learnWeights,
    maskGranularity: options.maskGranularity,
    ways: options.ways,
    shots: options.shots?.[0],
    queries: options.queries,
    imagesPerClass: options.imagesPerClass,
    innerSteps: options.innerSteps,
    innerRate: options.innerRate,
    tasksPerStep: options.tasks,
    outerSteps: options.outerSteps,
    outerRate: options.outerRate,
    maskCost: options.maskCost && { weight: options.maskCost },
    byteCost: options.byteCost && { weight: options.byteCost },
    memoryCost: options.memoryCost && { weight: options.memoryCost },
    seed: options.seed,
    splitSeed: splitSeedOf(places, options.splitSeed ?? file?.splitSeed),
  };
  return { ...file, ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) };
}

/** The run that was asked for: a new one, or one to go on with. */
async function openRun(
  named: NamedModel,
  options: TrainCommandOptions,
  { last, good }: { readonly last: string; readonly good: string },
  data: readonly Source[],
): Promise<ModelRun> {
  const { newModelRun, openModelRun, timeOn } = await import('@whet/trainer');
  const { file, reading } = named;
  if (reading) refuseReading(options);
  if (options.resume) return openModelRun(file, last, { outerSteps: options.outerSteps, good });
  const { mean, std, budgetMs, budgetMb } = options;
  const backend = budgetMs === undefined ? undefined : await openTrainingBackend(options);
  return newModelRun(file, await settingsOf(options, data), {
    ...(mean ? { mean } : {}),
    ...(std ? { std } : {}),
    ...readingOf(options),
    ...reading,
    budget: {
      ...(backend && budgetMs !== undefined
        ? { time: { milliseconds: budgetMs, of: (model) => timeOn(model, backend, options.threads) } }
        : {}),
      ...(budgetMb === undefined ? {} : { megabytes: budgetMb }),
    },
  });
}

/** The largest tasks that are drawn in training. */
const trainedShape = ({ config: { ways, shots, queries } }: ModelRun): EpisodeShape => ({
  ways: ways[1],
  shots: shots[1],
  queries,
});

/** Opens domains one after the other; each is encoded once, with a bar. */
class DomainOpener {
  readonly opened: EncodedDomain[] = [];

  constructor(
    private readonly options: TrainCommandOptions,
    private readonly run: ModelRun,
    private readonly open: (
      files: ImageFiles,
      shape: EpisodeShape,
      onProgress: (done: number, total: number) => void,
    ) => Promise<EncodedDomain>,
  ) {}

  async split(place: DataPlace, name: string, split: SplitName, isWhole: boolean): Promise<EncodedDomain> {
    const { preprocessing } = this.run.config;
    const { skipCorrupt } = this.options;
    const { resizedDomains } = await import('@whet/trainer');
    // All of what is never trained on is asked about.
    const splitSeed = isWhole ? undefined : (this.run.config.splitSeed ?? 0);
    const files = { ...(await openData(place, split, { preprocessing, skipCorrupt, splitSeed })), name };
    const { width, height } = preprocessing;
    for (const from of await resizedDomains([{ files }], preprocessing)) {
      const sizes = `images of ${from.width} x ${from.height} are brought to the model's ${width} x ${height}`;
      process.stderr.write(`note: ${name}, ${split}: ${sizes}\n`);
    }
    let progress: ReturnType<typeof startProgress> | undefined;
    const shape = split === 'train' ? trainedShape(this.run) : this.run.config.validation;
    const domain = await this.open(files, shape, (done, total) => {
      progress ??= startProgress(`encode ${name}, ${split}`, total);
      progress.update(done, 'images, once');
    }).finally(() => progress?.stop());
    this.opened.push(domain);
    return domain;
  }
}

export async function runModelTraining(options: TrainCommandOptions): Promise<void> {
  const trainer = await import('@whet/trainer');
  refuseNetworkOptions(options);
  if (options.resume) refuseNewSettings(options);
  const sources = trainer.parseDomains(options.data);
  const names = distinct(
    [...sources.map(({ directory }) => directory), ...(options.validate ?? [])].map((each) =>
      basename(join(process.cwd(), each)),
    ),
  );
  const modelName = basename(options.model as string, extname(options.model as string));
  const run =
    options.run ??
    join('runs', options.config ? basename(options.config, extname(options.config)) : `${names[0]}-${modelName}`);
  if (options.resume && options.run === undefined)
    throw new Error('--resume: expected --run, the folder of the run to go on with');
  const { last, best, good } = checkpointsIn(run);
  if (!options.resume && existsSync(last)) {
    throw new Error(`${last} exists; go on with --resume --run ${run}, or name another folder with --run`);
  }
  process.stderr.write(`${run}: training on ${names.join(', ')}\n`);
  const data: Source[] = [];
  for (const [i, { directory, weight }] of sources.entries()) {
    data.push({ name: names[i] as string, weight, place: await recogniseData(directory) });
  }
  const named = await readNamedModel(options.model as string);
  const found = await openRun(named, options, { last, good }, data);
  const { config, state, model, candidates } = found;
  const same = config.data.map(({ name }) => name).join() === data.map(({ name }) => name).join();
  if (!same)
    throw new Error(
      `--data: expected the run's ${config.data.map(({ name }) => name).join(', ')}, got ${data.map(({ name }) => name).join(', ')}`,
    );
  process.stderr.write(`${describeCandidates(found)}\n`);

  const graphs = await trainer.modelGraphs(model, candidates, {
    external: named.file.external,
  });
  const prefix = await trainer.openPrefix(graphs.prefix, model.input.shape, graphs.features, options.threads);
  const madeBy = trainer.prefixKey(config, graphs);
  const { signal, stop } = interruptible();
  const opener = new DomainOpener(options, found, (files, shape, onProgress) =>
    trainer.openDomain(files, {
      prefix,
      madeBy,
      preprocessing: config.preprocessing,
      views: config.views,
      shape,
      onProgress,
      signal,
      ...(config.imagesPerClass ? { perClass: config.imagesPerClass } : {}),
    }),
  );
  const progress = { bar: undefined as ReturnType<typeof startProgress> | undefined };
  let ended: ModelTrainingProgress | undefined;
  try {
    const domains: EncodedDomain[] = [];
    const validation: EncodedDomain[] = [];
    for (const { name, place } of data) {
      domains.push(await opener.split(place, name, 'train', false));
      validation.push(await opener.split(place, name, 'validation', false));
    }
    for (const [i, directory] of (options.validate ?? []).entries()) {
      validation.push(
        await opener.split(await recogniseData(directory), names[sources.length + i] as string, 'validation', true),
      );
    }
    const backend = await openTrainingBackend(usefulWorkers(options, config));
    process.stderr.write(
      `where to learn in ${config.model.fileName} on ${backend.name}, from step ${state.step} of ${config.outerSteps}\n`,
    );
    process.stderr.write(`device: ${backend.device}\n`);
    progress.bar = startProgress('train', config.outerSteps, state.step);
    await trainer.trainModel({
      ...found,
      gradient: graphs.gradient,
      backend,
      domains,
      validation,
      metrics: await trainer.openMetrics(join(run, 'metrics.jsonl'), state.step),
      checkpoints: { last, best, good },
      onWentBack: (where) => process.stderr.write(`${describeWayBack(where)}\n`),
      signal,
      onProgress: (now) => {
        if (now.validation) ended = now;
        progress.bar?.update(now.step, progressText(now));
      },
    });
  } catch (error) {
    if (signal.aborted)
      throw new Error('stopped before the first step; what was encoded whole is kept', { cause: error });
    throw error instanceof trainer.DeviceError ? stoppedAt(state.step, error, run, last) : error;
  } finally {
    progress.bar?.stop();
    stop();
    for (const domain of opener.opened) await domain.close();
    await prefix.release();
  }
  const stopped = signal.aborted ? `stopped at step ${state.step}; go on with --resume --run ${run}\n` : '';
  const written = [last, best].filter((path) => existsSync(path));
  process.stdout.write(`${stopped}${ended ? `${describeEnd(ended)}\n` : ''}checkpoints: ${written.join(', ')}\n`);
}

function describeCandidates({ config, candidates }: ModelRun): string {
  const { tensors, learned } = candidates;
  const entries = tensors.reduce((sum, { start }) => sum + start.length, 0);
  const blocks = new Set(tensors.map(({ block }) => block)).size;
  const cut = config.deepest === undefined ? '' : `, down to block ${config.deepest} within the budget`;
  const starts = learned.size > 0 ? `; the starts of ${learned.size} are learned` : '';
  return `candidates: ${entries} weights of ${tensors.length} tensors in ${blocks} blocks${cut}, masks per ${config.maskGranularity}${starts}`;
}

function progressText({ rate, trained, closed, validation }: ModelTrainingProgress): string {
  const domains = Object.entries(trained).map(
    ([name, { loss, accuracy }]) => `${name} ${loss.toFixed(3)} ${percent(accuracy)}`,
  );
  const gains = Object.entries(validation ?? {}).map(
    ([name, { before, after }]) => `${name} ${percent(before.mean)} -> ${percent(after.mean)}`,
  );
  return [
    `${rate.toFixed(2)} steps/s`,
    ...domains,
    `closed ${(100 * closed).toFixed(0)} %`,
    ...(gains.length > 0 ? [`validation ${gains.join(', ')}`] : []),
  ].join(' | ');
}

/** Of the last validation: answers before and after the inner steps by domain, and what masks leave open by block. */
function describeEnd({ validation = {}, blocks, closed }: ModelTrainingProgress): string {
  const points = (value: number) => (100 * value).toFixed(1);
  const rows = Object.entries(validation).map(([name, { before, after, gain }]) => [
    name,
    percent(before.mean),
    percent(after.mean),
    `${gain.mean < 0 ? '' : '+'}${points(gain.mean)} ± ${points(gain.halfWidth)}`,
  ]);
  const moved = blocks.map(({ block, open, entries, rate }) => [
    `${block}`,
    `${open} of ${entries}`,
    percent(open / entries),
    rate.toPrecision(2),
  ]);
  return [
    ...(rows.length > 0 ? [formatTable(['validation', '0 steps', 'after steps', 'gain, points'], rows)] : []),
    formatTable(['block, from the head', 'weights that move', 'share', 'rate'], moved),
    `masks close ${percent(closed)} of the candidates`,
  ].join('\n');
}

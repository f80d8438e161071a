import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual, parseArgs } from 'node:util';
import {
  backboneOf,
  type Checkpoint,
  evaluateTasks,
  frozenShare,
  type Interval,
  loadCheckpoint,
  type NormalizationName,
  newRun,
  normalizations,
  openMetrics,
  ortBackend,
  type Rule,
  resumeFrom,
  rules,
  saveCheckpoint,
  train,
} from '@whet/trainer';
import { loadData, recogniseData } from 'whet';
import { layersMove, type Method, methods } from './methods.js';
import { type Cell, formatStudy, type Times } from './table.js';
import { type Exportable, timeMethods } from './times.js';

const { values: options } = parseArgs({
  options: {
    data: { type: 'string' },
    recipe: { type: 'string', default: 'models/recipes/omniglot-rules.json' },
    /** Checkpoints and finished cells of the table, from which a run that was stopped goes on. */
    out: { type: 'string', default: 'runs/rules' },
    seeds: { type: 'string', multiple: true, default: ['1', '2'] },
    normalizations: { type: 'string', multiple: true, default: ['layer', 'transductive'] },
    methods: { type: 'string', multiple: true },
    tasks: { type: 'string', default: '600' },
    threads: { type: 'string', default: '1' },
    /** Points of validation accuracy that a lambda pattern may lose. */
    budget: { type: 'string', default: '1' },
    /** Rounds of timing adaptation, of the first seed’s networks of the first normalization that a device has; wants an idle machine. */
    times: { type: 'string' },
  },
});
const { data, out } = options;
if (!data) throw new Error('--data: expected the folder of the recipe’s data');

interface Shape {
  readonly ways: number;
  readonly shots: number;
}

/** What a study trains, and on which tasks it chooses and measures. */
interface Recipe {
  /** Of every channel, of pixels 0..1; absent for drawings. */
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
  /** Settings of the network that all methods start from, and what is other in what follows. */
  readonly embedding: { readonly model: { readonly imageSize: number } };
  readonly rule: { readonly innerSteps: number };
  /** Test tasks of the table, and those of whose adaptations the time is taken. */
  readonly shapes: readonly Shape[];
  readonly timed: readonly Shape[];
  /** Inner rates to choose from, for each method and seed, and the validation tasks to choose on. */
  readonly rates: readonly number[];
  readonly choose: readonly Shape[];
  /** Validation tasks on which a lambda pattern is searched for. */
  readonly search: Shape;
  /** Whether a method is measured after a single inner step, too. */
  readonly oneStep?: boolean;
}

const isExported = (name: string) => {
  const mode = normalizations[name as NormalizationName];
  if (!mode) throw new Error(`--normalizations: expected ${Object.keys(normalizations).join(', ')}, got "${name}"`);
  return !('obstacle' in mode.bundle);
};
const timed = options.normalizations.filter(isExported)[0] ?? '';
if (options.times && !timed) {
  throw new Error(`--times: expected a normalization that is exported, got ${options.normalizations.join(', ')}`);
}

const recipe = JSON.parse(await readFile(options.recipe, 'utf8')) as Recipe;
const { mean, std } = recipe;
const dataset = await loadData(await recogniseData(data), { size: recipe.embedding.model.imageSize, mean, std });
const backend = ortBackend({ threads: Number(options.threads) });
const QUERIES = { queries: 15 };
const log = (text: string) => process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`);

/** The last checkpoint of a run that is trained to its end, or from where it was left. */
async function trained(directory: string, settings: object, from?: string): Promise<Checkpoint> {
  const last = join(directory, 'last.safetensors');
  const run = existsSync(last) ? await resumeFrom(last) : await newRun(settings, from);
  const { config, state } = run;
  const { preprocessing } = dataset;
  if (config.preprocessing && !isDeepStrictEqual(config.preprocessing, preprocessing))
    throw new Error(`${last}: prepares images in another way than the recipe and ${dataset.name} do`);
  const isEnded = state.step === config.outerSteps;
  if (isEnded && config.preprocessing) return run;
  config.preprocessing = preprocessing;
  if (isEnded) {
    await saveCheckpoint(last, run);
    return run;
  }
  log(`${directory}: from step ${state.step} of ${config.outerSteps}`);
  await train({
    config,
    state,
    dataset,
    backend,
    metrics: await openMetrics(join(directory, 'metrics.jsonl'), state.step),
    checkpoints: { last, best: join(directory, 'best.safetensors') },
    prefetch: true,
  });
  return loadCheckpoint(last);
}

/** The inner rate that is most accurate on validation tasks, those of all shapes alike. */
async function bestRate(checkpoint: Checkpoint, steps: number, rule: Rule): Promise<number> {
  // A rule that learned its rates takes those, and none from here.
  if (rule.rates || steps === 0) return checkpoint.config.innerRate;
  const found: { rate: number; mean: number }[] = [];
  for (const rate of recipe.rates) {
    let mean = 0;
    for (const shape of recipe.choose) {
      const on = { dataset, backend, split: 'validation', tasks: 40, shape: { ...shape, ...QUERIES } } as const;
      mean += (await evaluateTasks({ ...checkpoint, ...on, rule, steps, rate })).mean / recipe.choose.length;
    }
    found.push({ rate, mean });
  }
  return found.reduce((a, b) => (b.mean > a.mean ? b : a)).rate;
}

/** The smallest lambda pattern within the budget of the best on validation tasks, by how much of a step it leaves out. */
async function searched(checkpoint: Checkpoint, rate: number): Promise<Rule> {
  const layers = [...backboneOf(checkpoint.config).layers, 'head'];
  const shape = { ...recipe.search, ...QUERIES };
  const on = { dataset, backend, split: 'validation', tasks: 60, shape, rate } as const;
  const found: { chosen: readonly string[]; mean: number }[] = [];
  for (let bits = 1; bits < 1 << layers.length; bits++) {
    const chosen = layers.filter((_, i) => bits & (1 << i));
    const { mean } = await evaluateTasks({ ...checkpoint, ...on, rule: layersMove(chosen) });
    found.push({ chosen, mean });
  }
  const best = Math.max(...found.map(({ mean }) => mean));
  // What starts higher caches more; among those, fewer layers.
  const cost = ({ chosen }: { chosen: readonly string[] }) =>
    -100 * layers.indexOf(chosen[0] as string) + chosen.length;
  const [cheapest] = found
    .filter(({ mean }) => mean >= best - Number(options.budget) / 100)
    .sort((a, b) => cost(a) - cost(b));
  return layersMove(cheapest?.chosen ?? layers);
}

async function measure(method: Method, normalization: string, seed: number): Promise<Cell> {
  const folder = join(out, normalization);
  const shared = { normalization, seed };
  const embedding = join(folder, `embedding-${seed}`);
  await trained(embedding, { ...recipe.embedding, ...shared });
  const settings = { ...recipe.embedding, ...recipe.rule, ...method.training, ...shared };
  const checkpoint = await trained(
    join(folder, `${method.run}-${seed}`),
    settings,
    join(embedding, 'last.safetensors'),
  );
  const steps = method.steps ?? recipe.rule.innerSteps;
  const trainedRule = rules.get(checkpoint.config.rule) as Rule;
  const known = method.adapts === 'search' ? undefined : (method.adapts ?? trainedRule);
  const rate = await bestRate(checkpoint, steps, known ?? trainedRule);
  const rule = known ?? (await searched(checkpoint, rate));
  const tasks = Number(options.tasks);
  const on = { ...checkpoint, dataset, backend, split: 'test', tasks, rule } as const;
  const measured = async (taken: number, at: number): Promise<Interval[]> => {
    const accuracies: Interval[] = [];
    for (const shape of recipe.shapes) {
      const found = await evaluateTasks({ ...on, shape: { ...shape, ...QUERIES }, steps: taken, rate: at });
      accuracies.push(found);
      const task = `${shape.ways}-way ${shape.shots}-shot`;
      log(`${method.name}, ${normalization}, seed ${seed}: ${task}, ${taken} steps: ${found.mean}`);
    }
    return accuracies;
  };
  const accuracies = await measured(steps, rate);
  const oneRate = recipe.oneStep && steps > 1 ? await bestRate(checkpoint, 1, rule) : undefined;
  const oneStep = oneRate === undefined ? undefined : { rate: oneRate, accuracies: await measured(1, oneRate) };
  return {
    method: method.name,
    normalization,
    seed,
    moves: steps === 0 ? 'nothing' : rule.name,
    ...(rule.rates || steps === 0 ? {} : { rate }),
    tasks,
    frozen: frozenShare(checkpoint.config, checkpoint.state),
    accuracies,
    ...(oneStep ? { oneStep } : {}),
  };
}

const cells: Cell[] = [];
for (const method of methods) {
  if (options.methods && !options.methods.includes(method.name)) continue;
  for (const normalization of options.normalizations) {
    for (const seed of options.seeds.map(Number)) {
      const path = join(out, 'cells', `${method.name.replaceAll(' ', '-')}-${normalization}-${seed}.json`);
      if (!existsSync(path)) {
        const cell = await measure(method, normalization, seed);
        await mkdir(join(out, 'cells'), { recursive: true });
        await writeFile(`${path}.part`, JSON.stringify(cell));
        await rename(`${path}.part`, path);
      }
      cells.push(JSON.parse(await readFile(path, 'utf8')) as Cell);
    }
  }
}
const timesFile = join(out, 'times.json');
if (options.times) {
  const exportable: Exportable[] = [];
  for (const { name, run, adapts, steps } of methods) {
    const cell = cells.find(({ method, normalization }) => method === name && normalization === timed);
    const path = cell && join(out, timed, `${run}-${cell.seed}`, 'last.safetensors');
    if (!path || !existsSync(path)) {
      log(`${name}: no network to time${path ? `, as ${path} is not there` : ''}`);
      continue;
    }
    const checkpoint = await loadCheckpoint(path);
    const known = adapts === 'search' ? layersMove(cell.moves.split('+')) : adapts;
    const rule = known ?? (rules.get(checkpoint.config.rule) as Rule);
    exportable.push({ method: name, checkpoint, rule, steps: steps ?? checkpoint.config.innerSteps });
  }
  const found = await timeMethods(exportable, dataset.preprocessing, recipe.timed, Number(options.times));
  await writeFile(timesFile, JSON.stringify({ normalization: timed, milliseconds: Object.fromEntries(found) }));
}
const times = existsSync(timesFile)
  ? (JSON.parse(await readFile(timesFile, 'utf8')) as Omit<Times, 'shapes'>)
  : undefined;
process.stdout.write(formatStudy(cells, recipe.shapes, times && { ...times, shapes: recipe.timed }));

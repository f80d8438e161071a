import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  type Checkpoint,
  evaluateTasks,
  type Interval,
  loadCheckpoint,
  loadOmniglot,
  newRun,
  openMetrics,
  ortBackend,
  type Rule,
  resumeFrom,
  train,
} from '@whet/trainer';
import { layersMove, type Method, methods } from './methods.js';
import { type Cell, formatStudy } from './table.js';

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
  },
});
const { data, out } = options;
if (!data) throw new Error('--data: expected the folder of Omniglot’s zip files');
const dataset = await loadOmniglot(data);
const backend = ortBackend({ threads: Number(options.threads) });
const recipe = JSON.parse(await readFile(options.recipe, 'utf8')) as Record<'embedding' | 'rule', object>;
const log = (text: string) => process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`);

const SHAPES = [
  { ways: 5, shots: 1 },
  { ways: 5, shots: 5 },
  { ways: 20, shots: 1 },
  { ways: 20, shots: 5 },
].map((shape) => ({ ...shape, queries: 15 }));

/** The last checkpoint of a run that is trained to its end, or from where it was left. */
async function trained(directory: string, settings: object, from?: string): Promise<Checkpoint> {
  const last = join(directory, 'last.safetensors');
  const run = existsSync(last) ? await resumeFrom(last) : await newRun(settings, from);
  const { config, state } = run;
  if (state.step === config.outerSteps) return run;
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

/** The smallest lambda pattern within the budget of the best on validation tasks, by how much of a step it leaves out. */
async function searched(checkpoint: Checkpoint): Promise<Rule> {
  const layers = ['block1', 'block2', 'block3', 'block4', 'head'];
  const shape = { ways: 20, shots: 1, queries: 15 };
  const found: { chosen: readonly string[]; mean: number }[] = [];
  for (let bits = 1; bits < 1 << layers.length; bits++) {
    const chosen = layers.filter((_, i) => bits & (1 << i));
    const rule = layersMove(chosen);
    const { mean } = await evaluateTasks({
      ...checkpoint,
      dataset,
      backend,
      split: 'validation',
      tasks: 100,
      shape,
      rule,
    });
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
  const innerSteps = (recipe.rule as { innerSteps: number }).innerSteps;
  const rule = method.adapts === 'search' ? await searched(checkpoint) : method.adapts;
  const accuracies: Interval[] = [];
  for (const shape of SHAPES) {
    accuracies.push(
      await evaluateTasks({
        ...checkpoint,
        dataset,
        backend,
        split: 'test',
        tasks: Number(options.tasks),
        shape,
        steps: method.steps ?? innerSteps,
        ...(rule ? { rule } : {}),
      }),
    );
    log(
      `${method.name}, ${normalization}, seed ${seed}: ${shape.ways}-way ${shape.shots}-shot ${accuracies.at(-1)?.mean}`,
    );
  }
  return {
    method: method.name,
    normalization,
    seed,
    moves: rule?.name ?? checkpoint.config.rule,
    tasks: Number(options.tasks),
    accuracies,
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
process.stdout.write(formatStudy(cells, SHAPES));

import { readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import type { AdaptOptions, Example } from '@whet/runtime';
import { loadBundle } from '@whet/runtime/node';
import { meanInterval, modelGraphs, newModelRun, openPrefix, ortBackend } from '@whet/trainer';
import { formatTable, readNamedModel, signed } from 'whet';
import { crossValidated, type KnownTask, rankCorrelation } from './known-tasks.js';
import { policyTasks } from './policy-tasks.js';

// Whether one backward pass over a task's own examples says which pattern learns it best: statistics of the gradient beside what each way
// to end gains. npm run bench:gradient-policy -- BUNDLE --moving blocks:5 --out tasks.json --tasks 16 --data DIR --data DIR

const { values: given, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    data: { type: 'string', multiple: true, default: [] },
    /** What the deepest pattern moves, whose gradient is asked. */
    moving: { type: 'string' },
    /** Where tasks are kept, to go on with. */
    out: { type: 'string' },
    tasks: { type: 'string', default: '16' },
  },
});
const [place] = positionals;
const { moving: selection, out, data } = given;
if (!place || !selection || !out || data.length === 0) throw new Error('expected a bundle, --moving, --out and --data');
const tasks = Number(given.tasks);
const shape = { ways: 5, shots: 5, queries: 7 };

const bundle = await loadBundle(place);
const { patterns } = bundle.manifest;
const names = Object.keys(patterns);
const head = names.find((name) => patterns[name]?.moving.length === 0) as string;
const ends: Readonly<Record<string, AdaptOptions>> = {
  started: { pattern: head, steps: 0 },
  solved: { pattern: head },
  viewed: { pattern: head, views: 6 },
  ...Object.fromEntries(names.filter((name) => name !== head).map((name) => [name, { pattern: name, always: true }])),
  auto: { pattern: 'auto' },
};

/** Of the loss by class means that each example is no part of: squared gradients over squared weights, and products of both, by block. */
async function openStatistics(from: string, trainable: string) {
  const { file, reading } = await readNamedModel(from);
  const run = await newModelRun(file, { data: [{ name: 'examples' }], trainable: [trainable] }, { ...reading });
  const { model, candidates } = run;
  const graphs = await modelGraphs(model, candidates, { external: file.external });
  const prefix = await openPrefix(graphs.prefix, model.input.shape, graphs.features, 1);
  const graph = await ortBackend({ threads: 1 }).compile(graphs.gradient);
  const ones = (length: number) => ({
    dtype: 'float32' as const,
    shape: [length],
    data: new Float32Array(length).fill(1),
  });
  return async (examples: readonly Example[]): Promise<Record<string, number>> => {
    const labels = [...new Set(examples.map(({ label }) => label))];
    const rows = examples.length;
    const oneHot = new Float32Array(rows * labels.length);
    examples.forEach(({ label }, i) => {
      oneHot[i * labels.length + labels.indexOf(label)] = 1;
    });
    const outputs = await graph.run(
      new Map([
        ['features', await prefix.encode(examples.map(({ image }) => image as Float32Array))],
        ['labels', { dtype: 'float32' as const, shape: [rows, labels.length], data: oneHot }],
        ['support', ones(rows)],
        ['queries', ones(rows)],
        ['head.scale', ones(1)],
        ['smoothing', { dtype: 'float32' as const, shape: [], data: Float32Array.of(0.1) }],
        ...candidates.tensors.map(
          ({ name, parameter, start }) =>
            [name, { dtype: 'float32' as const, shape: parameter.shape, data: start }] as const,
        ),
      ]),
    );
    const squares = new Map<string, { gradient: number; weight: number; product: number }>();
    for (const { name, block, start } of candidates.tensors) {
      const gradient = outputs.get(`grad/${name}`)?.data as Float32Array;
      for (const group of [`block ${block}`, 'all']) {
        const sum = squares.get(group) ?? { gradient: 0, weight: 0, product: 0 };
        squares.set(group, sum);
        gradient.forEach((g, i) => {
          const w = start[i] as number;
          sum.gradient += g * g;
          sum.weight += w * w;
          sum.product += (g * w) ** 2;
        });
      }
    }
    const of = (group: string) => squares.get(group) as { gradient: number; weight: number; product: number };
    const [all, last, deepest] = [
      of('all'),
      of('block 1'),
      of(`block ${Math.max(...candidates.tensors.map((each) => each.block))}`),
    ];
    return {
      'loss of examples': outputs.get('loss')?.data[0] as number,
      'squared gradient': all.gradient,
      'squared gradient over squared weight': all.gradient / all.weight,
      'Fisher information times squared weight': all.product,
      'of the last block': last.gradient / last.weight,
      'deepest block over last block': deepest.gradient / last.gradient,
    };
  };
}

const statisticsOf = await openStatistics(place, selection);
// What takes minutes to measure is kept, task by task.
const kept = JSON.parse(await readFile(out, 'utf8').catch(() => '{}')) as Record<string, KnownTask[]>;
for (const directory of data) {
  const { name, drawn } = await policyTasks({ bundle, directory, split: 'validation', tasks, shape });
  const known = kept[name] ?? [];
  kept[name] = known;
  let at = 0;
  for await (const { examples, right } of drawn) {
    if (at++ < known.length) continue;
    const statistics = await statisticsOf(examples);
    const answers: Record<string, number> = {};
    for (const [end, options] of Object.entries(ends)) {
      const { profile, auto } = await bundle.adapt(examples, options);
      answers[end] = await right(profile);
      const views = auto?.trials[0]?.views;
      if (views) statistics['loss of views'] = views.loss;
    }
    known.push({ statistics, right: answers });
    await writeFile(out, `${JSON.stringify(kept)}\n`);
  }
}
await bundle.release();

const percents = (values: readonly number[]) => (100 * meanInterval(values).mean).toFixed(1);
const endNames = Object.keys(ends);
const byEnd = Object.entries(kept).map(([name, known]) => [
  `${name} (${known.length})`,
  ...endNames.map((end) => percents(known.map(({ right }) => right[end] as number))),
]);
process.stdout.write(`${formatTable(['right, %', ...endNames], byEnd)}\n`);

const stepping = names.filter((name) => name !== head);
const all = Object.values(kept).flat();
const statistics = Object.keys(all[0]?.statistics ?? {});
const valuesOf = (tasks: readonly KnownTask[], statistic: string) =>
  tasks.map((task) => task.statistics[statistic] as number);
const gainOf = (tasks: readonly KnownTask[], end: string) =>
  tasks.map(({ right }) => (right[end] as number) - (right['solved'] as number));
const auto = all.map(({ right }) => right['auto'] as number);
const rows = statistics.map((statistic) => {
  const correlations = stepping.flatMap((end) => {
    const of = (tasks: readonly KnownTask[]) => rankCorrelation(valuesOf(tasks, statistic), gainOf(tasks, end));
    return [of(all).toFixed(2), meanInterval(Object.values(kept).map(of)).mean.toFixed(2)];
  });
  const chosen = crossValidated(
    all,
    statistic,
    endNames.filter((end) => end !== 'auto'),
  );
  const { mean, halfWidth } = meanInterval(chosen.map((each, i) => each - (auto[i] as number)));
  return [statistic, ...correlations, percents(chosen), `${signed(100 * mean)} ± ${(100 * halfWidth).toFixed(1)}`];
});
const columns = stepping.flatMap((end) => [`${end}, all`, `${end}, within`]);
process.stdout.write(
  `${formatTable(['statistic', ...columns, 'policy, % right', 'over auto'], rows)}\n` +
    'Rank correlation with what steps of a pattern gain over a solved head, of all tasks and within data sets; what a policy with one bound has right\n' +
    'whose bound and ends were chosen by the other half of the tasks.\n',
);

import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { type Backend, type Graph, matrixProducts } from '@whet/compiler';
import { conv4 } from '@whet/models';
import { maml, normalizations, ortBackend, type TaskSettings, taskBatchGraph } from '@whet/trainer';
import { floorContenders } from './floor.js';
import { machine, type TimedRun, timeInTurns, waveFeeds } from './harness.js';

const { values: options } = parseArgs({
  options: {
    tasks: { type: 'string', multiple: true, default: ['4'] },
    order: { type: 'string', multiple: true, default: ['1', '2'] },
    channels: { type: 'string', default: '64' },
    rounds: { type: 'string', default: '5' },
    workers: { type: 'string', default: String(availableParallelism()) },
  },
});

const workers = Number(options.workers);

/** The setting of the papers: Conv4, 28 x 28, 5-way 5-shot, 5 inner steps, 15 queries per class. */
const settings = (order: 1 | 2): TaskSettings => ({
  backbone: conv4({ channels: Number(options.channels) }),
  head: 'fixed',
  rule: maml,
  order,
  normalization: normalizations.transductive,
  ways: 5,
  shots: 5,
  queries: 15,
  steps: 5,
  innerRate: 0.01,
});

async function contender(backend: Backend, name: string, graph: Graph, times: number): Promise<TimedRun> {
  const executable = await backend.compile(graph);
  const feeds = waveFeeds(graph);
  return {
    name,
    run: async () => {
      for (let i = 0; i < times; i++) await executable.run(feeds);
    },
  };
}

/** All tasks asked for at once, of a backend that runs some beside each other. */
async function beside(backend: Backend, graph: Graph, times: number): Promise<TimedRun> {
  const executable = await backend.compile(graph);
  const feeds = waveFeeds(graph);
  return {
    name: 'in workers',
    run: async () => {
      await Promise.all(Array.from({ length: times }, () => executable.run(feeds)));
    },
  };
}

async function measure(backend: Backend, order: 1 | 2, tasks: number): Promise<string> {
  const one = taskBatchGraph(settings(order), 1);
  const floor = await floorContenders(backend, one);
  const contenders = [
    await contender(backend, 'one by one', one, tasks),
    await contender(backend, 'in one graph', taskBatchGraph(settings(order), tasks), 1),
    await beside(ortBackend({ workers }), one, tasks),
    ...floor.map((each) => each.contender),
  ];
  const times = await timeInTurns(contenders, Number(options.rounds));
  const time = (name: string) => times.get(name) ?? Number.NaN;
  const least = tasks * floor.reduce((sum, { contender: { name }, count }) => sum + count * time(name), 0);
  const flops =
    tasks * matrixProducts(one).reduce((sum, { batch, m, k, n, count }) => sum + 2 * batch * m * k * n * count, 0);
  const cells = ['one by one', 'in one graph', 'in workers'].flatMap((name) => [
    `${time(name).toFixed(0)} ms`,
    (1000 / time(name)).toFixed(2),
    `${((100 * least) / time(name)).toFixed(0)} %`,
  ]);
  return `| ${[backend.name, order === 1 ? 'first' : 'second', tasks, (flops / 1e9).toFixed(1), `${least.toFixed(0)} ms`, ...cells].join(' | ')} |`;
}

process.stdout.write(
  [
    `Outer steps of MAML, Conv4-${options.channels}, 28 x 28, 5-way 5-shot, 5 inner steps, 15 queries per class. ${machine()}.`,
    'Floor: the same multiply-adds as bare matrix products on the same backend. Medians, measured in turns.',
    '',
    `| backend | order | tasks | GFLOP | floor | one by one | steps/s | of the floor | in one graph | steps/s | of the floor | ${workers} workers | steps/s | of the floor |`,
    '|---|---|---|---|---|---|---|---|---|---|---|---|---|---|',
    '',
  ].join('\n'),
);
for (const tasks of options.tasks.map(Number)) {
  for (const order of options.order.map((text) => (text === '2' ? 2 : 1))) {
    process.stdout.write(`${await measure(ortBackend(), order, tasks)}\n`);
  }
}

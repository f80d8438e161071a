import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { sizeOf, staticShape, type Tensor } from '@whet/compiler';
import { conv4 } from '@whet/models';
import {
  type BackendName,
  evaluateTasks,
  type Interval,
  maml,
  median,
  newRun,
  normalizations,
  openBackend,
  openPackedOmniglot,
  type Probe,
  TRIAL_TOLERANCE,
  type Trial,
  taskBatchGraph,
  train,
} from '@whet/trainer';

/**
 * What the packed folder runs on a GPU host: which backends there are and whether they compute correctly, how many
 * tasks a second each trains on, and a real run to a validation accuracy, as one report in Markdown.
 */
const { values: options } = parseArgs({
  options: {
    root: { type: 'string', default: '.' },
    tasks: { type: 'string', multiple: true, default: ['4', '16', '64'] },
    channels: { type: 'string', default: '64' },
    shots: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '5' },
    backend: { type: 'string', multiple: true },
    target: { type: 'string', default: '98' },
    minutes: { type: 'string', default: '5' },
    steps: { type: 'string', default: '20000' },
  },
});

const say = (text = ''): void => {
  process.stdout.write(`${text}\n`);
};

function hardware(): string {
  const cpu = `${os.cpus().length} x ${os.cpus()[0]?.model.trim() ?? 'CPU'}`;
  try {
    const query = ['--query-gpu=name,driver_version,memory.total', '--format=csv,noheader'];
    return `${execFileSync('nvidia-smi', query, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()}; ${cpu}`;
  } catch {
    return `no NVIDIA GPU; ${cpu}`;
  }
}

/** `whet doctor`, as a child: a driver that crashes ends it and not this report. */
function probe(): Probe[] {
  const whet = join(options.root, 'node_modules/whet/dist/main.js');
  const names = options.backend ? ['--backend', ...options.backend] : [];
  const { stdout, stderr, status } = spawnSync(process.execPath, [whet, 'doctor', '--json', ...names], {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  if (status !== 0) throw new Error(`whet doctor: ${stderr}`);
  return JSON.parse(stdout) as Probe[];
}

const settings = {
  backbone: conv4({ channels: Number(options.channels) }),
  head: 'fixed',
  rule: maml,
  order: 1,
  normalization: normalizations.transductive,
  ways: 5,
  shots: Number(options.shots),
  queries: 15,
  steps: 5,
  innerRate: 0.01,
} as const;

/** Tasks a second of first-order MAML with so many tasks in one graph; the reason in words where it does not run. */
async function pace(name: BackendName, tasks: number, threads?: number): Promise<number | string> {
  try {
    const backend = await openBackend(name, threads ? { threads } : {});
    const graph = taskBatchGraph(settings, tasks);
    const feeds = new Map<string, Tensor>(
      graph.inputs.map((input, at) => {
        const shape = staticShape(input);
        const data = Float32Array.from({ length: sizeOf(shape) }, (_, i) => 0.1 * Math.sin(1.7 * i + at));
        return [input.name, { dtype: 'float32', shape, data }];
      }),
    );
    const executable = await backend.compile(graph);
    const times: number[] = [];
    for (let round = -1; round < Number(options.rounds); round++) {
      const began = performance.now();
      await executable.run(feeds);
      if (round >= 0) times.push(performance.now() - began);
    }
    await executable.release();
    return (1000 * tasks) / median(times);
  } catch (error) {
    return (error as Error).message.split('\n')[0]?.slice(0, 120) ?? 'failed';
  }
}

/** Prints a row for each backend; the one that reached the most tasks a second, where any ran. */
async function paces(usable: readonly Probe[]): Promise<BackendName | undefined> {
  let fastest: { readonly name: BackendName; readonly pace: number } | undefined;
  const counts = options.tasks.map(Number);
  const base = await pace('ort-cpu', counts[0] ?? 4, 2);
  const text = (value: number | string) =>
    typeof value === 'string'
      ? value
      : `${value.toFixed(1)} (${typeof base === 'number' ? (value / base).toFixed(1) : '?'}x)`;
  say(
    `Tasks a second, first-order MAML, Conv4-${options.channels}, 28 x 28, 5-way ${options.shots}-shot, 5 inner steps, 15 queries per class;`,
  );
  say('in brackets against ort-cpu on 2 threads. Medians.');
  say();
  say(`| backend | ${counts.map((count) => `${count} tasks`).join(' | ')} |`);
  say(`|---|${counts.map(() => '---|').join('')}`);
  say(`| ort-cpu, 2 threads | ${[text(base), ...counts.slice(1).map(() => '')].join(' | ')} |`);
  for (const { name } of usable) {
    const cells: string[] = [];
    for (const count of counts) {
      const found = await pace(name, count);
      cells.push(text(found));
      if (typeof found === 'number' && found > (fastest?.pace ?? 0)) fastest = { name, pace: found };
    }
    say(`| ${name} | ${cells.join(' | ')} |`);
  }
  say();
  return fastest?.name;
}

/** A prototype network by the support set's moments, until validation is at the target or the time is over. */
async function realRun(name: BackendName): Promise<void> {
  const dataset = await openPackedOmniglot(join(options.root, 'data'));
  const backend = await openBackend(name);
  const { config, state } = await newRun({
    model: { architecture: 'conv4', channels: Number(options.channels) },
    rule: 'maml',
    head: 'prototype',
    normalization: 'support',
    innerSteps: 0,
    ways: 20,
    shots: [1],
    queries: 5,
    tasksPerStep: 4,
    taskBatch: 4,
    outerSteps: Number(options.steps),
    outerRate: 3e-3,
    schedule: 'cosine',
    augment: { shift: 2, degrees: 10, scale: 0.1 },
    validation: { every: Math.min(250, Number(options.steps)), tasks: 200, ways: 5, shots: 1, queries: 15 },
  });
  const controller = new AbortController();
  const began = performance.now();
  const seconds = () => (performance.now() - began) / 1000;
  let best: Interval | undefined;
  await train({
    config,
    state,
    dataset,
    backend,
    prefetch: true,
    signal: controller.signal,
    onProgress: ({ validation }) => {
      if (!validation) return;
      best = validation;
      const reached = 100 * validation.mean >= Number(options.target);
      if (reached || seconds() > 60 * Number(options.minutes)) controller.abort();
    },
  });
  const spent = seconds();
  const test = await evaluateTasks({ config, state, dataset, backend, split: 'test', tasks: 600 });
  const percent = ({ mean, halfWidth }: Interval) => `${(100 * mean).toFixed(2)} ± ${(100 * halfWidth).toFixed(2)} %`;
  say(
    `A real run on Omniglot (prototype network, 20-way 1-shot episodes, support moments) on ${name}: ${state.step} outer steps of 4 tasks`,
  );
  say(
    `in ${spent.toFixed(0)} s; 5-way 1-shot validation ${best ? percent(best) : 'none'}, test ${percent(test)} (600 tasks, one image at a time).`,
  );
}

say(`# Whet on ${hardware()}`);
say();
const probes = probe();
const usable = probes.filter((each) => each.usable);
const wrong = ({ error }: Trial) => !(error <= TRIAL_TOLERANCE);
const correct = usable.filter(({ trial }) => !trial || !wrong(trial));
say('| backend | device | a run | off by |');
say('|---|---|---|---|');
for (const each of probes) {
  const cells = each.usable
    ? [
        each.device,
        `${each.trial?.run.toFixed(1)} ms`,
        each.trial && `${each.trial.error.toExponential(0)}${wrong(each.trial) ? ' WRONG' : ''}`,
      ]
    : [`not usable: ${each.reason}`, '', ''];
  say(`| ${[each.name, ...cells].join(' | ')} |`);
}
say();
const gpus = correct.filter(({ name }) => name !== 'ort-cpu' && name !== 'tfjs-cpu' && name !== 'tfjs-wasm');
const fastest = (await paces(gpus)) ?? correct[0]?.name;
if (fastest && existsSync(join(options.root, 'data'))) await realRun(fastest);

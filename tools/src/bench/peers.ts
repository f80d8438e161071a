import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Bundle, loadBundle } from '@whet/runtime/node';
import {
  compileModel,
  exportBundle,
  lossesOf,
  median,
  noiseExamples,
  omniglotPreprocessing,
  type PeerTask,
  type TimedTask,
  thisMachine,
  writePeerTask,
} from '@whet/trainer';
import { besidePeers, bothTimes, formatTable } from 'whet';
import { tinyCheckpoint } from '../bundles/tiny-bundle.js';
import { clearRun, readEngines, startEngine, type TurnTaker } from './peer-engine.js';

// The same steps in other engines, in turns with Whet's: as many of the frozen part and of the rest, the same losses.
// npm run bench:peers -- --engine pytorch=VENV/bin/python --engine litert=VENV/bin/python --lite0 efficientnet-lite0-128.onnx

const { values: options } = parseArgs({
  options: {
    engine: { type: 'string', multiple: true },
    lite0: { type: 'string' },
    threads: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '7' },
    'warm-up': { type: 'string', default: '20' },
    out: { type: 'string', default: 'build/peers' },
  },
});
const engines = readEngines(options.engine ?? []);
const [threads, rounds] = [Number(options.threads), Number(options.rounds)];
/** Rounds that are not timed: engines and JavaScript are compiled as they run. */
const warmUp = Number(options['warm-up']);
const tasksFolder = join(options.out, 'tasks');
const script = fileURLToPath(new URL('../../peers/run.py', import.meta.url));

/** Network, pattern and steps of a row. */
interface Row extends PeerTask {
  readonly bundle: Bundle;
  /** Of its task, in the order of names. */
  readonly folder: string;
}

/** Whet's runs of a row. */
function openWhet({ bundle, pattern, steps, ways, shots, network }: Row): TurnTaker & { measured(): TimedTask } {
  const examples = noiseExamples(bundle, ways, shots);
  const [milliseconds, processor]: [number[], number[]] = [[], []];
  let losses: number[] = [];
  const { cpu, cores } = thisMachine();
  return {
    async run(timed) {
      // Threads that wait for more work of the one before come to rest; then caches and cores are its own.
      await sleep(20);
      await bundle.adapt(examples, { pattern, steps, always: true });
      const used = process.cpuUsage();
      const began = performance.now();
      losses = lossesOf(await bundle.adapt(examples, { pattern, steps, always: true }));
      if (!timed) return;
      milliseconds.push(performance.now() - began);
      const { user, system } = process.cpuUsage(used);
      processor.push((user + system) / 1000);
    },
    measured: () => ({
      task: { network, pattern, ways, shots, steps },
      machine: { cpu, cores, threads },
      losses,
      milliseconds: median(milliseconds),
      processor: median(processor),
    }),
  };
}

/** Conv4 of 64 channels, normalized by fixed moments: as an untrained run of `whet train` exports it. */
async function exportConv4(directory: string): Promise<void> {
  const checkpoint = tinyCheckpoint('prototype', {
    model: { architecture: 'conv4', imageSize: 28 },
    rule: 'maml',
    innerRate: 1e-3,
  });
  const said = { name: 'conv4', version: '0.0.0', description: 'Untrained, to be timed', directory };
  await exportBundle({ checkpoint, ...said, preprocessing: omniglotPreprocessing(28) });
}

/** EfficientNet-Lite0 with steps of plain gradients of the loss of all examples, as the engines take them, also where the head alone moves. */
async function compileLite0(directory: string, model: Uint8Array): Promise<void> {
  const steps = { optimizer: 'sgd', objective: 'head', schedule: 'constant', smoothing: 0, rate: 1e-4 } as const;
  const patterns = { head: ['none'], last3: ['last:3'] };
  const said = { name: 'lite0', fileName: 'lite0.onnx', head: 'prototype', levels: 0 } as const;
  await compileModel({ model, directory, patterns, ...said, ...steps });
  const path = join(directory, 'manifest.json');
  const manifest = JSON.parse(await readFile(path, 'utf8'));
  // Else the head is solved for, where it is all that moves.
  for (const { graphs } of Object.values<{ graphs: { solve?: string } }>(manifest.patterns)) delete graphs.solve;
  await writeFile(path, JSON.stringify(manifest));
}

/** Networks, and how many steps of which of their patterns. */
const networks: [name: string, write: (directory: string) => Promise<void>, Record<string, number[]>][] = [
  ['conv4', exportConv4, { full: [5, 10], 'from-block4': [5, 10], head: [5, 10] }],
];
if (options.lite0) {
  const model = await readFile(options.lite0);
  networks.push(['lite0', (directory) => compileLite0(directory, model), { head: [10], last3: [10] }]);
}

await clearRun(
  options.out,
  networks.map(([name]) => name),
);
await mkdir(tasksFolder, { recursive: true });
const rows: Row[] = [];
for (const [network, write, patterns] of networks) {
  const place = join(options.out, network);
  await write(place);
  const bundle = await loadBundle(place, { threads });
  for (const [pattern, counts] of Object.entries(patterns)) {
    for (const steps of counts) {
      const task = { pattern, steps, ways: 5, shots: 5 };
      const folder = `${String(rows.length).padStart(2, '0')}-${network}-${pattern}-${steps}`;
      await writePeerTask(join(tasksFolder, folder), { bundle, place, ...task });
      rows.push({ network, bundle, folder, ...task });
    }
  }
}

const started = engines.map(([name, python]) => {
  const file = join(options.out, `${name}.json`);
  const args = [script, name, tasksFolder, '--out', file, '--threads', `${threads}`, '--in-turns'];
  return startEngine(name, python, args, file);
});
const measured: TimedTask[] = [];
for (const row of rows) {
  const whet = openWhet(row);
  for (const engine of started) await engine.open(row.folder);
  for (let round = -warmUp; round < rounds; round++) {
    for (const contender of [whet, ...started]) await contender.run(round >= 0);
  }
  for (const engine of started) engine.next();
  measured.push(whet.measured());
  process.stderr.write(`${row.folder}\n`);
}
const peers = await Promise.all(started.map((engine) => engine.record()));
for (const bundle of new Set(rows.map((row) => row.bundle))) await bundle.release();
const beside = await besidePeers(measured, peers);
const table = measured.map(({ task, losses, milliseconds, processor }, i) => [
  ...[task.network, task.pattern, `${task.steps}`, losses?.at(-1)?.toPrecision(4) ?? ''],
  bothTimes(milliseconds, processor),
  ...(beside.rows[i] ?? []),
]);
process.stdout.write(
  [
    `5-way 5-shot, plain gradient steps; medians of ${rounds}, in turns, each time the second of two.`,
    `${thisMachine().cpu}, ${threads} threads, Node ${process.versions.node}.`,
    formatTable(['network', 'pattern', 'steps', 'last loss', 'Whet', ...beside.heads], table),
    ...beside.notes,
    '',
  ].join('\n'),
);

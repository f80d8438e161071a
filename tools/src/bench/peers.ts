import { type ChildProcess, spawn } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Bundle, loadBundle } from '@whet/runtime/node';
import { compileModel, exportBundle, median, noiseExamples, omniglotPreprocessing } from '@whet/trainer';
import { formatTable } from 'whet';
import { tinyCheckpoint } from '../bundles/tiny-bundle.js';
import { writePeerTask } from './peer-task.js';

// The same steps in other engines, in turns with Whet's: as many of the frozen part and of the rest, the same losses.
// npm run bench:peers -- --engine pytorch=VENV/bin/python --engine ort-training=VENV/bin/python --lite0 efficientnet-lite0-128.onnx

const { values: options } = parseArgs({
  options: {
    engine: { type: 'string', multiple: true },
    lite0: { type: 'string' },
    threads: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '7' },
    out: { type: 'string', default: 'build/peers' },
  },
});
const engines = (options.engine ?? []).map((text) => text.split('=') as [string, string]);
if (engines.length === 0) throw new Error('expected --engine NAME=PYTHON, one or more');
const [threads, rounds] = [Number(options.threads), Number(options.rounds)];
/** Rounds that are not timed: engines and JavaScript are compiled as they run. */
const WARM_UP = 20;
const worker = fileURLToPath(new URL('../../peers/worker.py', import.meta.url));

interface Run {
  readonly milliseconds: number;
  /** Of the processor. */
  readonly processor: number;
  readonly losses: readonly number[];
}

interface Contender {
  readonly name: string;
  run(): Promise<Run>;
  close(): Promise<void>;
}

/** An engine in a process of its own, which adapts once for each line that it is sent. */
async function openEngine(name: string, python: string, folder: string): Promise<Contender> {
  const child: ChildProcess = spawn(python, [worker, name, folder, String(threads)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, OMP_NUM_THREADS: String(threads) },
  });
  const { stdin, stdout } = child;
  if (!stdin || !stdout) throw new Error(`${name}: expected pipes`);
  const lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<unknown> => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${name}: ended`);
    return JSON.parse(value);
  };
  const { engine } = (await next()) as { engine: string };
  return {
    name: engine,
    run: async () => {
      stdin.write('run\n');
      return (await next()) as Run;
    },
    close: async () => {
      stdin.end();
    },
  };
}

/** Network, pattern and steps of a row. */
interface Workload {
  readonly network: string;
  readonly bundle: Bundle;
  readonly place: string;
  readonly pattern: string;
  readonly steps: number;
  readonly rate: number;
}

function openWhet({ bundle, pattern, steps, rate }: Workload): Contender {
  const examples = noiseExamples(bundle, 5, 5);
  return {
    name: 'Whet',
    run: async () => {
      const used = process.cpuUsage();
      const began = performance.now();
      const { losses, loss = Number.NaN } = await bundle.adapt(examples, { pattern, steps, rate, always: true });
      const milliseconds = performance.now() - began;
      const { user, system } = process.cpuUsage(used);
      return { milliseconds, processor: (user + system) / 1000, losses: [...losses, loss] };
    },
    close: async () => {},
  };
}

/** Conv4 of 64 channels, normalized by fixed moments: as an untrained run of `whet train` exports it. */
async function exportConv4(directory: string): Promise<void> {
  const checkpoint = tinyCheckpoint('prototype', {
    model: { architecture: 'conv4', imageSize: 28 },
    rule: 'maml',
  });
  const said = { name: 'conv4', version: '0.0.0', description: 'Untrained, to be timed', directory };
  await exportBundle({ checkpoint, ...said, preprocessing: omniglotPreprocessing(28) });
}

/** EfficientNet-Lite0 with steps of plain gradients of the loss of all examples, as the engines take them, also where the head alone moves. */
async function compileLite0(directory: string, model: Uint8Array): Promise<void> {
  const steps = { optimizer: 'sgd', objective: 'head', schedule: 'constant', smoothing: 0 } as const;
  const patterns = { head: ['none'], last3: ['last:3'] };
  const said = { name: 'lite0', fileName: 'lite0.onnx', head: 'prototype', levels: 0 } as const;
  await compileModel({ model, directory, patterns, ...said, ...steps });
  const path = join(directory, 'manifest.json');
  const manifest = JSON.parse(await readFile(path, 'utf8'));
  // Else the head is solved for, where it is all that moves.
  for (const { graphs } of Object.values<{ graphs: { solve?: string } }>(manifest.patterns)) delete graphs.solve;
  await writeFile(path, JSON.stringify(manifest));
}

/** Whether losses are the same to four digits. */
const agree = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((value, i) => Math.abs(value - (b[i] as number)) <= 1e-4 * Math.abs(value));

/** Networks, a rate at which no loss rises, and how many steps of which of their patterns. */
const networks: [name: string, write: (directory: string) => Promise<void>, rate: number, Record<string, number[]>][] =
  [['conv4', exportConv4, 1e-3, { full: [5], 'from-block4': [5, 10], head: [5, 10] }]];
if (options.lite0) {
  const model = await readFile(options.lite0);
  networks.push(['lite0', (directory) => compileLite0(directory, model), 1e-4, { head: [10], last3: [10] }]);
}

const names: string[] = [];
const table: string[][] = [];
for (const [network, write, rate, rows] of networks) {
  const place = join(options.out, network);
  await rm(place, { recursive: true, force: true });
  await write(place);
  const bundle = await loadBundle(place, { threads });
  for (const [pattern, counts] of Object.entries(rows)) {
    for (const steps of counts) {
      const folder = join(options.out, 'tasks', `${network}-${pattern}-${steps}`);
      const task = { bundle, place, pattern, examples: noiseExamples(bundle, 5, 5), steps, rate };
      await rm(folder, { recursive: true, force: true });
      await writePeerTask(folder, task);
      const contenders = [openWhet({ network, bundle, place, pattern, steps, rate })];
      for (const [name, python] of engines) contenders.push(await openEngine(name, python, folder));
      const runs = contenders.map((): Run[] => []);
      for (let round = -WARM_UP; round < rounds; round++) {
        for (const [i, contender] of contenders.entries()) {
          // Threads that wait for more work of the one before come to rest; then caches and cores are its own.
          await sleep(20);
          await contender.run();
          const run = await contender.run();
          if (round >= 0) runs[i]?.push(run);
        }
      }
      for (const contender of contenders) await contender.close();
      if (names.length === 0) names.push(...contenders.map(({ name }) => name));
      const [own = [], ...others] = runs;
      const expected = own[0]?.losses ?? [];
      const wall = (all: readonly Run[]) => median(all.map(({ milliseconds }) => milliseconds));
      const cpu = (all: readonly Run[]) => median(all.map(({ processor }) => processor));
      const cell = (all: readonly Run[]): string => {
        const [first] = all;
        const times = `${wall(all).toFixed(1)} (${cpu(all).toFixed(1)})`;
        if (first && !agree(expected, first.losses))
          return `${times}: other losses, ${first.losses.at(-1)?.toPrecision(5)}`;
        return `${times}: ${(wall(own) / wall(all)).toFixed(2)} (${(cpu(own) / cpu(all)).toFixed(2)})`;
      };
      table.push([
        network,
        pattern,
        String(steps),
        expected.at(-1)?.toPrecision(4) ?? '',
        `${wall(own).toFixed(1)} (${cpu(own).toFixed(1)})`,
        ...others.map(cell),
      ]);
      process.stderr.write(`${table.at(-1)?.join(' | ')}\n`);
    }
  }
  await bundle.release();
}
process.stdout.write(
  [
    `5-way 5-shot, plain gradient steps, encoding included; ms of wall, of the processor in brackets: medians of ${rounds}, in turns, each time the second of two; then Whet's over the engine's, above 1 is behind.`,
    `${cpus()[0]?.model ?? ''}, ${threads} threads, Node ${process.versions.node}.`,
    formatTable(['network', 'pattern', 'steps', 'last loss', ...names], table),
    '',
  ].join('\n'),
);

import { writeFile } from 'node:fs/promises';
import { Command } from 'commander';
import { collectCounts, count, defaultBundle, wholeNumber } from '../arguments.js';
import { bytes, formatTable, milliseconds } from '../format.js';
import { startProgress } from '../progress.js';

interface BenchOptions {
  readonly ways: number;
  readonly shots?: number[];
  readonly steps: number;
  readonly runs: number;
  readonly threads?: number;
  readonly json?: string;
}

export function benchCommand(): Command {
  return new Command('bench')
    .description('Time adaptation and prediction of every pattern of a bundle, on noise images, within one run.')
    .argument('[bundle]', 'folder of a bundle', defaultBundle)
    .option('--ways <n>', 'classes', count, 5)
    .option('--shots <n...>', 'examples per class (1 and 5 when absent)', collectCounts)
    .option('--steps <n>', 'inner steps', wholeNumber, 5)
    .option('--runs <n>', 'timed runs of each, after 3 to warm up', count, 30)
    .option('--threads <n>', 'threads of onnxruntime', count)
    .option('--json <file>', 'also write the figures as JSON')
    .action(runBench);
}

async function runBench(directory: string, options: BenchOptions): Promise<void> {
  const { benchBundle } = await import('@whet/trainer');
  const { loadBundle } = await import('@whet/runtime/node');
  const bundle = await loadBundle(directory, options.threads ? { threads: options.threads } : {});
  const shots = options.shots ?? [1, 5];
  const progress = startProgress('bench', shots.length * (options.runs + 3));
  const results = [];
  for (const [i, count] of shots.entries()) {
    const { ways, steps, runs } = options;
    const onRun = (run: number) => progress.update(i * (runs + 3) + run, `${ways}-way ${count}-shot`);
    results.push(...(await benchBundle({ bundle, ways, shots: count, steps, runs, onRun })));
  }
  progress.stop();
  await bundle.release();
  const rows = results.map((r) => [
    r.pattern,
    `${r.ways}-way ${r.shots}-shot`,
    String(r.movingWeights),
    bytes(r.storedBytes),
    milliseconds(r.encode.median),
    milliseconds(r.step.median),
    `${milliseconds(r.adapt.median)} (p95 ${milliseconds(r.adapt.p95)})`,
    milliseconds(r.predict.median),
    `${r.speedUp.toFixed(1)}x`,
  ]);
  const head = [
    'pattern',
    'task',
    'moving',
    'stored',
    'encode',
    'step',
    `adapt, ${options.steps} steps`,
    'predict one',
    'speed-up',
  ];
  process.stdout.write(`${formatTable(head, rows)}\n`);
  process.stdout.write(
    `Medians of ${options.runs} interleaved runs; speed-up of adapting (encoding included) over the pattern that moves most.\n`,
  );
  if (options.json) await writeFile(options.json, `${JSON.stringify(results, null, 2)}\n`);
}

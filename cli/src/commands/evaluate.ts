import type { Manifest, Measurement } from '@whet/runtime';
import type { RunConfig } from '@whet/trainer';
import { Command, Option } from 'commander';
import { collectCounts, commandLine, count, defaultBundle, positiveNumber, wholeNumber } from '../arguments.js';
import { dataHelp, loadData, recogniseData, skipCorruptHelp } from '../data.js';
import { bytes, formatTable, milliseconds, percent } from '../format.js';
import { startProgress } from '../progress.js';

interface EvaluateOptions {
  readonly data: string;
  readonly skipCorrupt?: boolean;
  readonly split: 'validation' | 'test';
  readonly pattern?: string[];
  readonly ways: number;
  readonly shots?: number[];
  readonly queries: number;
  readonly tasks: number;
  readonly steps?: number;
  readonly rate?: number;
  readonly seed: number;
  readonly threads?: number;
  readonly record?: boolean;
  readonly json?: boolean;
}

export function evaluateCommand(): Command {
  return new Command('evaluate')
    .description('Measure a bundle on tasks of classes it was not trained on, one query image at a time.')
    .argument('[bundle]', 'folder or .whet file of a bundle', defaultBundle)
    .requiredOption('--data <dir>', `${dataHelp}, or of images <class>/* alone`)
    .option('--skip-corrupt', skipCorruptHelp)
    .addOption(new Option('--split <name>', 'classes to draw from').choices(['validation', 'test']).default('test'))
    .option('--pattern <names...>', 'patterns to measure; the default pattern when absent, `all` for all')
    .option('--ways <n>', 'classes per task', count, 5)
    .option('--shots <n...>', 'examples per class (1 and 5 when absent)', collectCounts)
    .option('--queries <n>', 'query images per class', count, 15)
    .option('--tasks <n>', 'tasks', count, 600)
    .option('--steps <n>', 'inner steps', wholeNumber)
    .option('--rate <x>', 'inner learning rate', positiveNumber)
    .option('--seed <n>', 'seed of the tasks', wholeNumber, 0)
    .option('--threads <n>', 'threads of onnxruntime', count)
    .option('--record', 'write the figures into the bundle’s manifest')
    .option('--json', 'print JSON')
    .action(runEvaluation);
}

async function runEvaluation(directory: string, options: EvaluateOptions): Promise<void> {
  const trainer = await import('@whet/trainer');
  const { loadBundle } = await import('@whet/runtime/node');
  const chosen = (manifest: Manifest): readonly string[] => {
    const asked = options.pattern ?? [manifest.defaultPattern];
    return asked.includes('all') ? Object.keys(manifest.patterns) : asked;
  };
  const bundle = await loadBundle(directory, {
    patterns: chosen,
    ...(options.threads ? { threads: options.threads } : {}),
  });
  const { manifest } = bundle;
  const { preprocessing, provenance } = manifest;
  const run = provenance['config'] as Pick<RunConfig, 'trainOn'> | undefined;
  if (options.split === 'validation' && run && trainer.trainsOnValidation(run)) {
    process.stderr.write(
      `note: ${manifest.name} was trained on the validation classes; they tell nothing about new ones\n`,
    );
  }
  const dataset = await loadData(await recogniseData(options.data, { plain: true }), {
    size: preprocessing.width,
    preprocessing,
    skipCorrupt: options.skipCorrupt,
    only: options.split,
  });
  const measurements: Measurement[] = [];
  for (const shots of options.shots ?? [1, 5]) {
    for (const pattern of chosen(manifest)) {
      const { ways, queries, tasks, steps, rate, split, seed } = options;
      const progress = startProgress(`${pattern} ${ways}-way ${shots}-shot`, tasks);
      const task = { split, pattern, ways, shots, queries, tasks, seed };
      const given = { ...(steps === undefined ? {} : { steps }), ...(rate === undefined ? {} : { rate }) };
      const measured = await trainer.measureBundle({
        ...task,
        ...given,
        bundle,
        dataset,
        command: commandLine(`evaluate ${manifest.name}`, { data: 'DIR', ...task, ...given }),
        onProgress: (done, _, accuracy) => progress.update(done, percent(accuracy, 2)),
      });
      progress.stop();
      measurements.push(measured);
    }
  }
  await bundle.release();
  if (options.record) await record(directory, measurements);
  if (options.json) {
    process.stdout.write(`${JSON.stringify(measurements, null, 2)}\n`);
    return;
  }
  const rows = measurements.map((m) => [
    m.pattern,
    `${m.ways}-way ${m.shots}-shot`,
    `${percent(m.accuracy, 2)} ± ${percent(m.halfWidth, 2)}`,
    percent(m.startAccuracy, 2),
    String(m.steps),
    milliseconds(m.milliseconds.adapt),
    milliseconds(m.milliseconds.encode),
    milliseconds(m.milliseconds.predict),
    bytes(m.storedBytes),
  ]);
  const head = ['pattern', 'task', 'accuracy', 'at 0 steps', 'steps', 'adapt', 'of it encode', 'predict one', 'stored'];
  process.stdout.write(`${formatTable(head, rows)}\n`);
  process.stdout.write(
    `${options.tasks} tasks of the ${options.split} classes, ${options.queries} queries per class, one image at a time; ` +
      `accuracy with 95 % interval; times are medians of the first ${Math.min(trainer.TIMED_TASKS, options.tasks)} tasks.\n`,
  );
}

/** Puts measurements into the manifest, in place of earlier ones of the same pattern, split, task and steps. */
async function record(place: string, measurements: readonly Measurement[]): Promise<void> {
  const { parseManifest } = await import('@whet/runtime/format');
  const { readBundle } = await import('@whet/runtime/node');
  const { writeBundle } = await import('@whet/trainer');
  const { contents } = await readBundle(place);
  const manifest = JSON.parse(new TextDecoder().decode(contents.get('manifest.json'))) as Manifest;
  const keyOf = (m: Measurement) => [m.pattern, m.split, m.ways, m.shots, m.steps].join('/');
  const fresh = new Set(measurements.map(keyOf));
  manifest.measurements = [...manifest.measurements.filter((m) => !fresh.has(keyOf(m))), ...measurements];
  const text = `${JSON.stringify(manifest, null, 2)}\n`;
  parseManifest(text, place);
  await writeBundle(place, contents.set('manifest.json', new TextEncoder().encode(text)));
}

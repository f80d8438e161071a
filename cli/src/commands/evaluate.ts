import { writeFile } from 'node:fs/promises';
import type { Bundle, Manifest, Measurement } from '@whet/runtime';
import type { EpisodeShape, ImageFiles, Row, RunConfig } from '@whet/trainer';
import { Command, Option } from 'commander';
import {
  collectCounts,
  collectWhole,
  commandLine,
  count,
  defaultBundle,
  nonNegative,
  positiveNumber,
  wholeNumber,
} from '../arguments.js';
import { taskOf } from '../bench/columns.js';
import { drawnText, evaluatedRows, evaluationNotes, evaluationProgress, evaluationTable } from '../bench/evaluation.js';
import { type DataPlace, dataHelp, openData, recogniseData, skipCorruptHelp } from '../data.js';
import { openCharts } from '../open-charts.js';
import { type Progress, startProgress } from '../progress.js';

interface EvaluateOptions {
  readonly data: string;
  readonly skipCorrupt?: boolean;
  readonly split: 'validation' | 'test' | 'all';
  readonly pattern?: string[];
  readonly ways?: number[];
  readonly shots?: number[];
  readonly queries: number;
  readonly tasks?: number;
  readonly steps?: number;
  readonly rate?: number;
  readonly views?: number;
  readonly always?: boolean;
  readonly budgetMs?: number;
  readonly against?: string;
  readonly strangers?: boolean;
  readonly seed: number;
  readonly threads?: number;
  readonly record?: boolean;
  readonly json?: boolean;
  readonly stream?: number;
  readonly remember?: number[];
  readonly anchor?: number;
  readonly html?: string;
}

export function evaluateCommand(): Command {
  return new Command('evaluate')
    .description('Measure a bundle on tasks of classes it was not trained on, one query image at a time.')
    .argument('[bundle]', 'folder or .whet file of a bundle', defaultBundle)
    .requiredOption('--data <place>', dataHelp)
    .option('--skip-corrupt', skipCorruptHelp)
    .addOption(
      new Option(
        '--split <name>',
        'classes to draw from; of <class>/* alone all, or the split that the bundle was trained by',
      )
        .choices(['validation', 'test', 'all'])
        .default('test'),
    )
    .option(
      '--pattern <names...>',
      'patterns to measure, all, auto (chosen by examples held back); the default when absent',
    )
    .option('--budget-ms <n>', 'of --pattern auto: try no more patterns after so many milliseconds', wholeNumber)
    .option('--against <pattern>', 'also say how much better each is than this one, on the same tasks')
    .option('--ways <n...>', 'classes per task (5 when absent)', collectCounts)
    .option('--shots <n...>', 'examples per class (1 and 5 when absent)', collectCounts)
    .option('--queries <n>', 'query images per class', count, 15)
    .option('--tasks <n>', 'tasks (600 when absent), or streams (20)', count)
    .option('--always', 'take steps below the head even where views of the examples leave them nothing to learn')
    .option('--steps <n>', 'inner steps; each pattern’s own when absent', wholeNumber)
    .option(
      '--views <n>',
      'views of each example, to adapt to besides; without it of those that are alone in their class',
      wholeNumber,
    )
    .option('--rate <x>', 'inner learning rate; each pattern’s own when absent', positiveNumber)
    .option('--strangers', 'ask about a class more in each task: how well are images of it told to be of none?')
    .option('--seed <n>', 'seed of the tasks', wholeNumber, 0)
    .option('--threads <n>', 'threads of onnxruntime', count)
    .option(
      '--stream <stages>',
      'classes arrive one group after the other (--ways of them), each adapted to alone: what is retained, what forgotten',
      count,
    )
    .option(
      '--remember <n...>',
      'of --stream: examples of each class that profiles remember (0 when absent)',
      collectWhole,
    )
    .option(
      '--anchor <x>',
      'of --stream: how much of the way back to the last profile values are pulled, below 1',
      nonNegative,
    )
    .option('--html <file>', 'of --stream: write a page with a chart')
    .option('--record', 'write the figures into the bundle’s manifest')
    .option('--json', 'print JSON')
    .action(runEvaluation);
}

/** What a bundle's manifest keeps of the settings of its run. */
const runOf = ({ provenance }: Manifest) =>
  provenance['config'] as Pick<RunConfig, 'trainOn' | 'splitSeed'> | undefined;

/** The images of what is drawn, of a number of tasks, or of streams, which are tasks of the classes of all stages. */
async function openSplit(
  place: DataPlace,
  manifest: Manifest,
  { split, skipCorrupt, seed }: EvaluateOptions,
  shapes: readonly EpisodeShape[],
  tasks: number,
): Promise<ImageFiles> {
  const { drawnImages } = await import('@whet/trainer');
  const { preprocessing } = manifest;
  const drawn = (files: ImageFiles) => drawnImages(files, shapes, tasks, seed);
  if (split !== 'all') {
    const { splitSeed } = runOf(manifest) ?? {};
    return openData(place, split, { preprocessing, skipCorrupt, splitSeed, drawn });
  }
  if (place.hasSplits)
    throw new Error(`--split all: expected classes that come without splits, got ${place.zip ?? place.place}`);
  return openData(place, 'test', { preprocessing, skipCorrupt, drawn });
}

/** One number where an option of a stream may be given several. */
function only(name: string, values: readonly number[] | undefined, absent: number): number {
  if (values && values.length > 1)
    throw new Error(`${name}: expected one number with --stream, got ${values.join(' ')}`);
  return values?.[0] ?? absent;
}

/** Options that tasks have and streams have not. */
const OF_TASKS = ['record', 'strangers', 'against', 'budgetMs', 'views'] as const;

async function evaluateStream(
  bundle: Bundle,
  place: DataPlace,
  options: EvaluateOptions,
  chosen: (manifest: Manifest) => readonly string[],
): Promise<void> {
  const { measureStream } = await import('@whet/trainer');
  const { streamNotes, streamPage, streamTables } = await import('../bench/stream.js');
  const { stream: stages = 2, queries, tasks = 20, seed, steps, rate, always, anchor, split, html } = options;
  if (html !== undefined) await openCharts();
  const given = OF_TASKS.filter((name) => options[name] !== undefined);
  if (given.length > 0) throw new Error(`${given.join(', ')}: expected without --stream`);
  const shape = { stages, ways: only('--ways', options.ways, 5), shots: only('--shots', options.shots, 5), queries };
  const ofAll = { ...shape, ways: stages * shape.ways };
  const files = await openSplit(place, bundle.manifest, options, [ofAll], tasks);
  const remembers = [...new Set(options.remember ?? [0])];
  const more = {
    ...(steps === undefined ? {} : { steps }),
    ...(rate === undefined ? {} : { rate }),
    ...(always ? { always } : {}),
    ...(anchor === undefined ? {} : { anchor }),
  };
  const patterns = options.pattern ? chosen(bundle.manifest) : [bundle.manifest.defaultPattern];
  const rows = patterns.flatMap((pattern) =>
    remembers.map((remember) => ({
      name: remember > 0 ? `${pattern}, remembers ${remember}` : pattern,
      adapt: { pattern, remember, ...more },
    })),
  );
  let progress: Progress | undefined;
  const show = (what: string, done: number, total: number, text: string) => {
    progress ??= startProgress(what, total);
    progress.update(done, text);
    if (done < total) return;
    progress.stop();
    progress = undefined;
  };
  const results = await measureStream({
    ...{ bundle, files, rows, shape, streams: tasks, seed },
    onEncoded: (done, total) => show('encode', done, total, 'images'),
    onStream: (done) => show('streams', done, tasks, `of ${stages} stages`),
  }).finally(() => progress?.stop());
  const { name } = bundle.manifest;
  await bundle.release();
  const notes = streamNotes(shape, tasks, split);
  if (html !== undefined) {
    const title = `${name}: ${stages} stages of ${shape.ways} classes of ${files.name}`;
    await writeFile(html, await streamPage(title, results, shape, notes));
  }
  process.stdout.write(
    options.json
      ? `${JSON.stringify({ bundle: name, data: files.name, split, ...shape, streams: tasks, seed, rows: results }, null, 2)}\n`
      : `${streamTables(results, shape)}\n${notes.join('\n')}\n`,
  );
}

async function runEvaluation(directory: string, options: EvaluateOptions): Promise<void> {
  const trainer = await import('@whet/trainer');
  const { loadBundle } = await import('@whet/runtime/node');
  const { AUTO, patternsOfAuto } = await import('@whet/runtime/format');
  const chosen = ({ auto, defaultPattern, patterns }: Manifest): readonly string[] => {
    const asked = options.pattern ?? [auto ? AUTO : defaultPattern];
    return [...new Set(asked.flatMap((name) => (name === 'all' ? Object.keys(patterns) : name)))];
  };
  const place = await recogniseData(options.data);
  const bundle = await loadBundle(directory, {
    patterns: (manifest) => {
      const names = chosen(manifest);
      // Its 0 steps are the default pattern's.
      const tried = names.includes(AUTO) ? [...patternsOfAuto(manifest), manifest.defaultPattern] : [];
      return [...new Set([...names.filter((name) => name !== AUTO), ...tried])];
    },
    ...(options.threads ? { threads: options.threads } : {}),
  });
  const { manifest } = bundle;
  if (options.stream !== undefined) {
    await evaluateStream(bundle, place, options, chosen);
    return;
  }
  const others = Object.entries({ '--remember': options.remember, '--anchor': options.anchor, '--html': options.html });
  for (const [name, value] of others) if (value !== undefined) throw new Error(`${name}: expected with --stream`);
  if (options.record && options.strangers) {
    throw new Error('--record: expected no --strangers, whose tasks are others');
  }
  const { split, queries, tasks = 600, seed, steps, rate, views, always, budgetMs, against } = options;
  const run = runOf(manifest);
  if (split === 'validation' && run && trainer.trainsOnValidation(run)) {
    process.stderr.write(
      `note: ${manifest.name} was trained on the validation classes; they tell nothing about new ones\n`,
    );
  }
  const given = {
    ...(steps === undefined ? {} : { steps }),
    ...(rate === undefined ? {} : { rate }),
    ...(views === undefined ? {} : { views }),
    ...(always ? { always } : {}),
  };
  const rows = chosen(manifest).map((pattern): Row => {
    const adapt = { pattern, ...given };
    if (pattern !== AUTO) return { name: pattern, adapt };
    return {
      name: AUTO,
      adapt: { ...adapt, ...(budgetMs === undefined ? {} : { budgetMs }) },
      start: { pattern: manifest.defaultPattern },
    };
  });
  if (against !== undefined && !rows.some(({ name }) => name === against)) {
    throw new Error(`--against: expected one of ${rows.map(({ name }) => name).join(', ')}, got "${against}"`);
  }
  const { ways: allWays = [5], shots: allShots = [1, 5] } = options;
  const shapes = allWays.flatMap((ways) => allShots.map((shots) => ({ ways, shots, queries })));
  const extra = options.strangers ? 1 : 0;
  const drawn = shapes.map((shape) => ({ ...shape, ways: shape.ways + extra }));
  const files = await openSplit(place, manifest, options, drawn, tasks);
  const progress = evaluationProgress(tasks);
  const measured = await trainer
    .measureBundle({
      ...{ bundle, files, rows, shapes, tasks, seed },
      ...(options.strangers ? { strangers: true } : {}),
      command: ({ name }, { ways, shots }) => {
        const task = { split, pattern: name, ways, shots, queries, tasks, seed };
        return commandLine(`evaluate ${manifest.name}`, { data: 'DIR', ...task, ...given });
      },
      onDrawn: (drawn) => {
        process.stderr.write(drawnText(manifest, files, rows, shapes.map(taskOf), tasks, drawn));
      },
      onEncoded: progress.onEncoded,
      onTask: progress.onTask,
    })
    .finally(progress.stop);
  await bundle.release();
  if (options.record) {
    await record(
      directory,
      measured.flat().map(({ measurement }) => measurement),
    );
  }
  const evaluated = await evaluatedRows(measured, rows, manifest, against);
  if (options.json) {
    process.stdout.write(`${JSON.stringify(evaluated, null, 2)}\n`);
    return;
  }
  process.stdout.write(`${evaluationTable(evaluated, against)}\n${evaluationNotes(evaluated).join('\n')}\n`);
}

/** Puts measurements into the manifest, in place of earlier ones of the same pattern, data, split, task and steps. */
async function record(place: string, measurements: readonly Measurement[]): Promise<void> {
  const { parseManifest } = await import('@whet/runtime/format');
  const { readBundle } = await import('@whet/runtime/node');
  const { writeBundle } = await import('@whet/trainer');
  const { contents } = await readBundle(place);
  const manifest = JSON.parse(new TextDecoder().decode(contents.get('manifest.json'))) as Manifest;
  const keyOf = (m: Measurement) => [m.pattern, m.dataset, m.split, m.ways, m.shots, m.steps].join('/');
  const fresh = new Set(measurements.map(keyOf));
  manifest.measurements = [...manifest.measurements.filter((m) => !fresh.has(keyOf(m))), ...measurements];
  const text = `${JSON.stringify(manifest, null, 2)}\n`;
  parseManifest(text, place);
  await writeBundle(place, contents.set('manifest.json', new TextEncoder().encode(text)));
}

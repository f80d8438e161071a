import type { Bundle } from '@whet/runtime';
import type {
  BenchBackend,
  BenchBackendName,
  BenchRecord,
  BenchResult,
  Contender,
  EpisodeShape,
  Floor,
  ImageFiles,
  SplitName,
} from '@whet/trainer';
import { openData, recogniseData } from '../data.js';
import { startProgress } from '../progress.js';
import { taskOf } from './columns.js';
import { evaluationProgress } from './evaluation.js';

export interface BenchSettings {
  /** Folders of bundles. */
  readonly bundles: readonly string[];
  readonly backends: readonly BenchBackendName[];
  readonly ways: number;
  readonly shots: readonly number[];
  /** Each pattern's own when absent. */
  readonly steps?: number | undefined;
  readonly runs: number;
  readonly threads?: number | undefined;
  /** Also time the matrix products alone. */
  readonly floor: boolean;
  /** Also measure resident memory, in processes of their own. */
  readonly memory: boolean;
  /** Folder of images to measure accuracies on. */
  readonly data?: string | undefined;
  readonly skipCorrupt?: boolean | undefined;
  readonly split: Extract<SplitName, 'validation' | 'test'>;
  readonly tasks: number;
  readonly queries: number;
}

interface Loaded {
  readonly directory: string;
  readonly label: string;
  readonly bundle: Bundle;
  readonly backend: BenchBackend;
}

const said = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/**
 * Measures every pattern of the bundles on every backend. What fails is told in the record's `problems`, and the rest is
 * measured; so is what was measured before `signal` aborts.
 */
export async function measureBench(settings: BenchSettings, signal: AbortSignal): Promise<BenchRecord> {
  const trainer = await import('@whet/trainer');
  const { defaultThreads } = await import('@whet/runtime/node');
  const { ways, shots, steps, runs, threads = defaultThreads() } = settings;
  const problems: string[] = [];
  const backends: BenchBackend[] = [];
  for (const name of settings.backends) {
    try {
      backends.push(await trainer.openBenchBackend(name, threads ? { threads } : {}));
    } catch (error) {
      problems.push(said(error));
    }
  }
  const loaded: Loaded[] = [];
  const results: BenchResult[] = [];
  try {
    loaded.push(...(await loadAll(settings.bundles, backends, problems)));
    process.stderr.write(timedText(loaded, settings));
    for (const count of shots) results.push(...(await timeAll(loaded, settings, count, problems, signal)));
    if (settings.memory) await addMemory(results, loaded, threads, problems, signal);
    if (settings.data === undefined) addRecorded(results, loaded);
    else await addMeasured(results, loaded, settings, settings.data, problems, signal);
  } finally {
    for (const { bundle } of loaded) await bundle.release();
  }
  const seen = new Map(loaded.map(({ label, bundle }) => [label, bundle]));
  return {
    schema: trainer.BENCH_SCHEMA,
    machine: trainer.thisMachine(),
    backends: backends.map(({ name, version }) => ({ name, version })),
    bundles: [...seen].map(([label, { manifest, digest }]) => {
      return { label, name: manifest.name, version: manifest.version, digest };
    }),
    options: {
      ...{ ways, shots: [...shots], steps: steps ?? null, runs },
      threads: threads ?? null,
      tasks: settings.data === undefined ? null : settings.tasks,
    },
    interrupted: signal.aborted,
    problems,
    results,
  };
}

/** What is going to be timed, in a line; nothing where no bundle loaded. */
function timedText(loaded: readonly Loaded[], { ways, shots, runs }: BenchSettings): string {
  if (loaded.length === 0) return '';
  const bundles = loaded.map(({ label, bundle, backend }) => {
    return `${label} (${Object.keys(bundle.manifest.patterns).join(', ')}) on ${backend.version}`;
  });
  const tasks = shots.map((count) => taskOf({ ways, shots: count }));
  return `${bundles.join('; ')}: ${runs} ${runs === 1 ? 'run' : 'runs'} of each, ${tasks.join(', ')}\n`;
}

async function loadAll(
  directories: readonly string[],
  backends: readonly BenchBackend[],
  problems: string[],
): Promise<Loaded[]> {
  const loaded: Omit<Loaded, 'label'>[] = [];
  for (const directory of directories) {
    for (const backend of backends) {
      try {
        const bundle = await backend.load(directory);
        const same = loaded.find((each) => each.backend === backend && each.bundle.digest === bundle.digest);
        if (!same) loaded.push({ directory, backend, bundle });
        else {
          await bundle.release();
          problems.push(`${directory} on ${backend.name}: is the same bundle as ${same.directory}`);
        }
      } catch (error) {
        problems.push(`${directory} on ${backend.name}: ${said(error)}`);
      }
    }
  }
  return labelled(loaded);
}

/** Bundles are called by their names; those of one name by their versions, or else by their digests too. */
function labelled(loaded: readonly Omit<Loaded, 'label'>[]): Loaded[] {
  const forms = [
    ({ manifest }: Bundle) => manifest.name,
    ({ manifest }: Bundle) => `${manifest.name} ${manifest.version}`,
    ({ manifest, digest }: Bundle) => `${manifest.name} ${manifest.version} ${digest.slice(0, 8)}`,
  ];
  return loaded.map((each) => {
    const others = loaded.filter(({ bundle }) => bundle.digest !== each.bundle.digest);
    const own = forms.map((form) => form(each.bundle));
    const free = own.find((label, i) => others.every(({ bundle }) => forms[i]?.(bundle) !== label));
    return { ...each, label: free ?? (own.at(-1) as string) };
  });
}

async function timeAll(
  loaded: readonly Loaded[],
  settings: BenchSettings,
  shots: number,
  problems: string[],
  signal: AbortSignal,
): Promise<BenchResult[]> {
  if (signal.aborted || loaded.length === 0) return [];
  const { memoryForStep, timePatterns, WARM_UP } = await import('@whet/trainer');
  const { ways, steps, runs } = settings;
  const task = `${ways}-way ${shots}-shot`;
  const contenders: Contender[] = [];
  const progress = startProgress(`bench ${task}`, runs + WARM_UP);
  try {
    for (const each of loaded) {
      const { label, bundle, backend } = each;
      for (const pattern of Object.keys(bundle.manifest.patterns)) {
        if (signal.aborted) return [];
        const { fits, text } = memoryForStep(bundle.manifest, pattern, ways * shots);
        if (!fits) {
          problems.push(`${label}, pattern "${pattern}" on ${backend.name}, ${task}: ${text}`);
          continue;
        }
        const floor = settings.floor ? await floorOf(each, pattern, ways, shots, steps, problems) : undefined;
        contenders.push({ label, backend: backend.name, bundle, pattern, floor });
      }
    }
    const onRun = (run: number) => progress.update(run, 'runs');
    const { results, failed } = await timePatterns({ contenders, ways, shots, steps, runs, onRun, signal });
    for (const [{ label, backend, pattern }, error] of failed) {
      problems.push(`${label}, pattern "${pattern}" on ${backend}, ${task}: ${said(error)}`);
    }
    return results;
  } finally {
    progress.stop();
    for (const { floor } of contenders) await floor?.release();
  }
}

async function floorOf(
  { directory, label, bundle, backend }: Loaded,
  name: string,
  ways: number,
  shots: number,
  steps: number | undefined,
  problems: string[],
): Promise<Floor | undefined> {
  const { openFloor } = await import('@whet/trainer');
  const { openBundleFiles } = await import('@whet/runtime/node');
  const pattern = bundle.manifest.patterns[name];
  if (!pattern) return undefined;
  const read = openBundleFiles(directory);
  // A kept head's own classes stay beside those of the examples.
  const classes = ways + (bundle.labels?.length ?? 0);
  const { createSession } = backend;
  try {
    return await openFloor({
      pattern,
      weights: bundle.manifest.weights,
      read,
      createSession,
      examples: ways * shots,
      classes,
      steps: steps ?? pattern.steps,
    });
  } catch (error) {
    problems.push(`floor of ${label}, pattern "${name}" on ${backend.name}, ${ways}-way ${shots}-shot: ${said(error)}`);
    return undefined;
  }
}

/** Replaces a result by one that says more. */
function extend(results: BenchResult[], result: BenchResult, more: Partial<BenchResult>): void {
  results[results.indexOf(result)] = { ...result, ...more };
}

const loadedFor = (loaded: readonly Loaded[], { bundle, backend }: BenchResult) =>
  loaded.find((each) => each.label === bundle && each.backend.name === backend);

async function addMemory(
  results: BenchResult[],
  loaded: readonly Loaded[],
  threads: number | undefined,
  problems: string[],
  signal: AbortSignal,
): Promise<void> {
  const { measureMemory, memoryForStep } = await import('@whet/trainer');
  const progress = startProgress('memory', results.length);
  for (const [i, result] of [...results].entries()) {
    if (signal.aborted) break;
    const { directory, bundle } = loadedFor(loaded, result) as Loaded;
    const { backend, pattern, ways, shots, steps } = result;
    const { text } = memoryForStep(bundle.manifest, pattern, ways * shots);
    try {
      const request = { backend, directory, pattern, ways, shots, steps, threads };
      const { peakBytes } = await measureMemory(request, signal);
      extend(results, result, { peakBytes });
    } catch (error) {
      if (!signal.aborted)
        problems.push(`memory of ${result.bundle}, pattern "${pattern}" on ${backend}: ${said(error)}; ${text}`);
    }
    progress.update(i + 1, pattern);
  }
  progress.stop();
}

/** Accuracies of the manifest, where it has them for the same task and number of steps; test before validation classes. */
function addRecorded(results: BenchResult[], loaded: readonly Loaded[]): void {
  for (const result of [...results]) {
    const { pattern, ways, shots, steps } = result;
    const fitting = loadedFor(loaded, result)?.bundle.manifest.measurements.filter(
      (m) => m.pattern === pattern && m.ways === ways && m.shots === shots && m.steps === steps,
    );
    const found = fitting?.find(({ split }) => split === 'test') ?? fitting?.[0];
    if (!found) continue;
    const { accuracy: mean, halfWidth, dataset, split, tasks } = found;
    extend(results, result, { accuracy: { mean, halfWidth, dataset, split, tasks, from: 'manifest' } });
  }
}

/** Measures accuracies on tasks of the data, once for all backends of a bundle. */
async function addMeasured(
  results: BenchResult[],
  loaded: readonly Loaded[],
  settings: BenchSettings,
  data: string,
  problems: string[],
  signal: AbortSignal,
): Promise<void> {
  const { drawTasks, measureBundle } = await import('@whet/trainer');
  const { split, tasks, queries, ways, steps, skipCorrupt } = settings;
  for (const label of new Set(results.map(({ bundle }) => bundle))) {
    const { bundle } = loaded.find((each) => each.label === label) as Loaded;
    const { preprocessing } = bundle.manifest;
    let files: ImageFiles;
    try {
      files = await openData(await recogniseData(data), split, { preprocessing, skipCorrupt });
    } catch (error) {
      problems.push(said(error));
      continue;
    }
    const own = results.filter((each) => each.bundle === label);
    const shapes = [...new Set(own.map(({ shots }) => shots))].flatMap((shots): EpisodeShape[] => {
      const shape = { ways, shots, queries };
      try {
        drawTasks({ bundle, files, tasks }, shape);
        return [shape];
      } catch (error) {
        problems.push(`accuracy of ${label}, ${taskOf(shape)}: ${said(error)}`);
        return [];
      }
    });
    const patterns = [...new Set(own.map(({ pattern }) => pattern))];
    const { stop, ...progress } = evaluationProgress(tasks, `${label} `);
    try {
      const measured = await measureBundle({
        ...{ bundle, files, shapes, tasks, signal, ...progress },
        rows: patterns.map((pattern) => ({ name: pattern, adapt: { pattern, ...(steps !== undefined && { steps }) } })),
        command: () => 'whet bench',
      });
      for (const { measurement } of measured.flat()) {
        const { accuracy: mean, halfWidth, dataset, pattern, shots } = measurement;
        const accuracy = { mean, halfWidth, dataset, split, tasks, from: 'data' } as const;
        for (const each of own.filter((one) => one.pattern === pattern && one.shots === shots)) {
          extend(results, each, { accuracy });
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      problems.push(`accuracy of ${label}: ${said(error)}`);
    } finally {
      stop();
    }
  }
}

import type { Bundle, Example } from '@whet/runtime';
import { loadBundleFiles } from '@whet/runtime/node';
import type { Dataset } from '../data/dataset.js';
import { type Episode, EpisodeSampler } from '../data/episodes.js';
import { buildBundle } from '../export/export.js';
import { layerPattern, layersOf, type PatternSpec } from '../export/patterns.js';
import { checkImages } from '../training/check-images.js';
import type { Checkpoint } from '../training/checkpoint.js';
import type { MeasuredPattern, SearchSettings } from './record.js';

/** Layers that may move together, from the image upward, under the name by which a search has them. */
export interface LayerSubset {
  readonly name: string;
  readonly layers: readonly string[];
}

/** Layers up to which all subsets are tried: 255 of 8. */
const ALL_SUBSETS_UP_TO = 8;

/**
 * Choices of layers to move, the dense one first, then the layers from each one upward, below which everything is cached, then all other non-empty subsets; of a
 * deeper network none of those. Names are layers joined by `+`.
 */
export function layerSubsets(checkpoint: Pick<Checkpoint, 'config' | 'backbone'>): LayerSubset[] {
  const layers = layersOf(checkpoint);
  const named = (moving: readonly string[]): LayerSubset => ({ name: moving.join('+'), layers: moving });
  const upward = layers.map((_, i) => named(layers.slice(i)));
  if (layers.length > ALL_SUBSETS_UP_TO) return upward;
  const known = new Set(upward.map(({ name }) => name));
  const all = Array.from({ length: 2 ** layers.length - 1 }, (_, i) => {
    const bits = 2 ** layers.length - 1 - i;
    return named(layers.filter((__, at) => bits & (1 << at)));
  });
  return [...upward, ...all.filter(({ name }) => !known.has(name))];
}

export interface MeasurePatternsOptions {
  readonly checkpoint: Checkpoint;
  readonly dataset: Dataset;
  readonly settings: SearchSettings;
  /** Tasks that every pattern is measured on, the same ones. */
  readonly tasks: number;
  /** How many of the choices of layers are tried, in their order; all when absent. */
  readonly limit?: number | undefined;
  /** What was measured before; gone on from, and added to in place. */
  readonly measured: Map<string, MeasuredPattern>;
  /** Called after each task of a pattern, with how many of all are done. */
  readonly onTask?: (done: number, total: number, pattern: string) => void;
  /** Called whenever a pattern was measured on some more tasks. */
  readonly onMeasured?: () => Promise<void>;
  /** Ends the search after the task it is at; what was measured stays. */
  readonly signal?: AbortSignal;
}

/**
 * Tasks that are measured before the next pattern's turn: few at first, so that there is an outcome soon, and always few,
 * so that a slow minute of the machine does not meet one pattern alone.
 */
const FIRST_TURN = 2;
const TURN = 10;

type Files = ReadonlyMap<string, Uint8Array>;

/** The bundles of a pattern: as shipped, and with the frozen prefix run again in every step, if anything is frozen. */
function compile({ checkpoint, dataset, settings }: MeasurePatternsOptions, { layers }: LayerSubset) {
  const spec = layerPattern(checkpoint, 'searched', layers);
  const build = (pattern: PatternSpec) =>
    buildBundle({
      checkpoint,
      name: 'search',
      version: '0.0.0',
      description: '',
      preprocessing: dataset.preprocessing,
      patterns: [pattern],
      defaultPattern: pattern.name,
      steps: settings.steps,
      limits: { maxClasses: settings.ways, maxExamples: settings.ways * settings.shots },
    });
  const { manifest, contents } = build(spec);
  const frozen = manifest.patterns[spec.name]?.graphs.encode !== null;
  return { cached: contents, rerun: frozen ? build({ ...spec, rerunsPrefix: true }).contents : undefined };
}

/**
 * Measures layer patterns of a checkpoint on the same tasks of validation classes, with the runtime a device has:
 * accuracy at each rate, every query image by itself, and milliseconds to adapt. Throws `DataError` where the data does
 * not fit, and an Error where the checkpoint cannot be exported.
 */
export async function measurePatterns(options: MeasurePatternsOptions): Promise<void> {
  const { checkpoint, dataset, settings, tasks, measured } = options;
  checkImages(checkpoint.config, dataset);
  const { split, seed, ways, shots, queries } = settings;
  const sampler = new EpisodeSampler(dataset, split, { seed, rotations: false });
  const draw = (index: number) => sampler.episode({ ways, shots, queries }, index);
  draw(0);
  const specs = layerSubsets(checkpoint).slice(0, options.limit);
  const files = new Map<string, { cached: Files; rerun: Files | undefined }>();
  const total = specs.length * tasks;
  for (let turn = Math.min(FIRST_TURN, tasks); ; turn = Math.min(turn + TURN, tasks)) {
    for (const spec of specs) {
      if (options.signal?.aborted) return;
      if (tasksOf(measured.get(spec.name)) >= turn) continue;
      const compiled = files.get(spec.name) ?? compile(options, spec);
      files.set(spec.name, compiled);
      await measureTurn(options, spec, compiled, draw, turn, () => {
        const done = specs.reduce((sum, { name }) => sum + Math.min(tasks, tasksOf(measured.get(name))), 0);
        options.onTask?.(done, total, spec.name);
      });
      await options.onMeasured?.();
    }
    if (turn === tasks) return;
  }
}

/** Tasks that a pattern was measured on. */
export function tasksOf(pattern: MeasuredPattern | undefined): number {
  return pattern?.accuracies[0]?.tasks.length ?? 0;
}

/** Measures one pattern on from where it stands to task `until`. */
async function measureTurn(
  { settings, measured, signal }: MeasurePatternsOptions,
  spec: LayerSubset,
  files: { readonly cached: Files; readonly rerun: Files | undefined },
  draw: (index: number) => Episode,
  until: number,
  onTask: () => void,
): Promise<void> {
  const firstRate = settings.rates[0] as number;
  const none = () => settings.rates.map((rate): { rate: number; tasks: (number | null)[] } => ({ rate, tasks: [] }));
  const pattern: MeasuredPattern = measured.get(spec.name) ?? {
    layers: [...spec.layers],
    accuracies: none(),
    adapt: [],
    encode: [],
    rerun: [],
    ...(settings.oneStep ? { oneStep: { accuracies: none(), adapt: [] } } : {}),
  };
  const loading = settings.threads ? { threads: settings.threads } : {};
  const bundles: Bundle[] = [];
  const load = async (contents: Files): Promise<Bundle> => {
    const bundle = await loadBundleFiles(contents, loading);
    bundles.push(bundle);
    return bundle;
  };
  try {
    const cached = await load(files.cached);
    const rerun = files.rerun && (await load(files.rerun));
    const from = tasksOf(pattern);
    // First runs take longer; those of a single step are of another session.
    for (const bundle of bundles) await tryTask(bundle, draw(from), firstRate);
    if (pattern.oneStep) await tryTask(cached, draw(from), firstRate, 1);
    for (let index = from; index < until && !signal?.aborted; index++) {
      const episode = draw(index);
      const outcomes = [];
      for (const { rate } of pattern.accuracies) outcomes.push(await tryTask(cached, episode, rate));
      const single = [];
      for (const { rate } of pattern.oneStep?.accuracies ?? []) single.push(await tryTask(cached, episode, rate, 1));
      const again = rerun && (await tryTask(rerun, episode, firstRate));
      // All of a task or nothing: an error leaves the lists of the rates alike.
      for (const [i, outcome] of outcomes.entries()) {
        pattern.accuracies[i]?.tasks.push(outcome.accuracy);
        pattern.adapt.push(outcome.milliseconds.total);
        pattern.encode.push(outcome.milliseconds.encode);
      }
      for (const [i, outcome] of single.entries()) {
        pattern.oneStep?.accuracies[i]?.tasks.push(outcome.accuracy);
        pattern.oneStep?.adapt.push(outcome.milliseconds.total);
      }
      if (again) pattern.rerun.push(again.milliseconds.total);
      measured.set(spec.name, pattern);
      onTask();
    }
  } finally {
    for (const bundle of bundles) await bundle.release();
  }
}

/** Labelled examples of an episode's support set. */
function supportExamples(episode: Episode, imageLength: number): Example[] {
  return Array.from(episode.supportLabels, (label, i) => ({
    label: episode.classes[label] as string,
    image: episode.supportImages.subarray(i * imageLength, (i + 1) * imageLength),
  }));
}

/** Adapts to a task, in the bundle's own steps where none are said, and classifies its query images, each by itself. */
async function tryTask(bundle: Bundle, episode: Episode, rate: number, steps?: number) {
  const { imageLength } = bundle;
  const options = { rate, ...(steps === undefined ? {} : { steps }) };
  const { profile, milliseconds } = await bundle.adapt(supportExamples(episode, imageLength), options);
  const images = Array.from(episode.queryLabels, (_, i) =>
    episode.queryImages.subarray(i * imageLength, (i + 1) * imageLength),
  );
  // Together, to save calls: a prediction does not depend on the other images of a request.
  const predictions = await bundle.predict(profile, images);
  const hits = predictions.filter(({ label }, i) => label === episode.classes[episode.queryLabels[i] as number]).length;
  return { accuracy: hits / images.length, milliseconds };
}

import { createHash } from 'node:crypto';
import type { Bundle, EncodedImage, Example, ImageInput, Measurement } from '@whet/runtime';
import type { Dataset, SplitName } from '../data/dataset.js';
import { DataError } from '../data/dataset.js';
import { type Episode, EpisodeSampler } from '../data/episodes.js';
import { meanInterval, median } from '../statistics.js';
import { bundledNormalizations } from '../task/normalizations.js';

export interface MeasureOptions {
  readonly bundle: Bundle;
  readonly dataset: Dataset;
  readonly split: SplitName;
  readonly pattern: string;
  readonly ways: number;
  readonly shots: number;
  readonly queries: number;
  readonly tasks: number;
  /** Inner steps and rate; the pattern's own when absent. */
  readonly steps?: number;
  readonly rate?: number;
  readonly seed?: number;
  /**
   * Tasks that are timed, from their images on; {@link TIMED_TASKS} when absent. Later ones take the encodings of images that
   * were encoded before.
   */
  readonly timedTasks?: number;
  /** The command to record with the figures. */
  readonly command: string;
  readonly onProgress?: (done: number, tasks: number, accuracy: number) => void;
  readonly signal?: AbortSignal;
}

/** Labelled examples of an episode's support set. */
export function supportExamples(episode: Episode, imageLength: number): Example[] {
  return Array.from(episode.supportLabels, (label, i) => ({
    label: episode.classes[label] as string,
    image: episode.supportImages.subarray(i * imageLength, (i + 1) * imageLength),
  }));
}

/** Throws {@link DataError} where the bundle does not take the data set's images. */
function checkPreprocessing(bundle: Bundle, dataset: Dataset): void {
  const { width, height, channels } = bundle.manifest.preprocessing;
  const own = dataset.preprocessing;
  if (width !== own.width || height !== own.height || channels !== own.channels) {
    throw new DataError(
      `${dataset.name}: bundle "${bundle.manifest.name}" takes images of ${width} x ${height} x ${channels}, ` +
        `the data set has ${own.width} x ${own.height} x ${own.channels}`,
    );
  }
}

/** Tasks that are timed where nothing else is said. */
export const TIMED_TASKS = 50;
/** Encodings that are kept for tasks in which an image is drawn again, in bytes. */
const KEPT_BYTES = 256 * 2 ** 20;

type Encode = (images: readonly Float32Array[]) => Promise<readonly ImageInput[]>;

/**
 * Encodes each image by itself and, where `known` already, not again: drawings are few and tasks many. Where features
 * depend on the examples of a task, or are the images, it gives the images.
 */
function encodingOf(bundle: Bundle, pattern: string): { readonly fresh: Encode; readonly known: Encode | undefined } {
  const { normalization, patterns } = bundle.manifest;
  if (bundledNormalizations[normalization].storesMoments) return { fresh: async (images) => images, known: undefined };
  const fresh: Encode = (images) => bundle.encode(images, { pattern });
  if (!patterns[pattern]?.graphs.encode) return { fresh, known: undefined };
  const kept = new Map<string, ImageInput>();
  let bytes = 0;
  const encodeOnce = async (image: Float32Array): Promise<ImageInput> => {
    const content = createHash('sha256').update(image).digest('base64');
    const before = kept.get(content);
    if (before) return before;
    const [encoded] = await bundle.encode([image], { pattern });
    const { features } = encoded as EncodedImage;
    if (bytes < KEPT_BYTES) kept.set(content, encoded as EncodedImage);
    bytes += features.byteLength;
    return encoded as EncodedImage;
  };
  return {
    fresh,
    known: async (images) => {
      const found: ImageInput[] = [];
      for (const image of images) found.push(await encodeOnce(image));
      return found;
    },
  };
}

/**
 * Accuracy and cost of a bundle's pattern over seeded tasks of a split, one query image at a time as on a device:
 * adapts on each task's support set, then predicts every query image in a call of its own.
 */
export async function measureBundle(options: MeasureOptions): Promise<Measurement> {
  const { bundle, dataset, split, pattern, ways, shots, queries, tasks } = options;
  checkPreprocessing(bundle, dataset);
  const sampler = new EpisodeSampler(dataset, split, { seed: options.seed ?? 0, rotations: false });
  const length = bundle.imageLength;
  const accuracies: number[] = [];
  const starts: number[] = [];
  const times = { adapt: [] as number[], encode: [] as number[], steps: [] as number[], predict: [] as number[] };
  let storedBytes = 0;
  const adaptOptions = {
    pattern,
    ...(options.steps === undefined ? {} : { steps: options.steps }),
    ...(options.rate === undefined ? {} : { rate: options.rate }),
  };
  const { timedTasks = TIMED_TASKS } = options;
  const { fresh, known } = encodingOf(bundle, pattern);
  for (let index = 0; index < tasks; index++) {
    options.signal?.throwIfAborted();
    const timed = index < timedTasks;
    const encode = timed || !known ? fresh : known;
    const episode = sampler.episode({ ways, shots, queries }, index);
    const examples = supportExamples(episode, length);
    const whole = encode === fresh ? await bundle.adapt(examples, adaptOptions) : undefined;
    // What is encoded once serves the start of the head too.
    const support = await encode(examples.map(({ image }) => image));
    const encoded = examples.map(({ label }, i): Example<ImageInput> => ({ label, image: support[i] as ImageInput }));
    const { profile, milliseconds } = whole ?? (await bundle.adapt(encoded, adaptOptions));
    const { profile: start } = await bundle.adapt(encoded, { ...adaptOptions, steps: 0 });
    let hits = 0;
    const images: ImageInput[] = [];
    for (const [i, label] of episode.queryLabels.entries()) {
      const began = performance.now();
      const [image] = await encode([episode.queryImages.subarray(i * length, (i + 1) * length)]);
      const [prediction] = await bundle.predict(profile, [image as ImageInput]);
      if (timed) times.predict.push(performance.now() - began);
      if (prediction?.label === episode.classes[label]) hits++;
      images.push(image as ImageInput);
    }
    const before = await bundle.predict(start, images);
    const beforeHits = before.filter(({ label }, i) => label === episode.classes[episode.queryLabels[i] as number]);
    accuracies.push(hits / images.length);
    starts.push(beforeHits.length / images.length);
    if (timed) {
      times.adapt.push(milliseconds.total);
      times.encode.push(milliseconds.encode);
      times.steps.push(milliseconds.steps);
    }
    storedBytes = Math.max(storedBytes, profile.byteLength);
    options.onProgress?.(index + 1, tasks, meanInterval(accuracies).mean);
  }
  const { mean, halfWidth } = meanInterval(accuracies);
  return {
    pattern,
    dataset: dataset.name,
    split,
    ways,
    shots,
    queries,
    tasks,
    steps: options.steps ?? bundle.manifest.patterns[pattern]?.steps ?? 0,
    protocol: 'one-image',
    accuracy: mean,
    halfWidth,
    startAccuracy: meanInterval(starts).mean,
    milliseconds: {
      adapt: median(times.adapt),
      encode: median(times.encode),
      steps: median(times.steps),
      predict: median(times.predict),
    },
    storedBytes,
    command: options.command,
  };
}

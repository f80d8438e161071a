import {
  type AdaptOptions,
  type Bundle,
  type Example,
  type ImageInput,
  InputError,
  type Prediction,
  type Profile,
} from '@whet/runtime';
import { AUTO, asPictures, checkAlways, labelKey } from '@whet/runtime/format';
import { type DrawnImage, type DrawnTask, drawTask, type EpisodeShape } from '../data/draw.js';
import type { ImageFiles } from '../data/image-files.js';
import { type EncodedImages, encodeImages, type ImageUses, imageUses, KEPT_BYTES } from './encoded-images.js';
import { memoryForStep } from './memory.js';
import { type InterimRow, type MeasuredRow, RowOutcomes } from './row-outcomes.js';

/** A way to adapt that is measured: a pattern, or what chooses one. */
export interface Row {
  readonly name: string;
  readonly adapt: AdaptOptions;
  /** What its 0 steps are; `adapt` with none when absent. */
  readonly start?: AdaptOptions;
}

export interface MeasureOptions {
  readonly bundle: Bundle;
  readonly files: ImageFiles;
  readonly rows: readonly Row[];
  /** Measured one after the other, on images that are encoded once for all. */
  readonly shapes: readonly EpisodeShape[];
  /** Tasks of each shape. */
  readonly tasks: number;
  readonly seed?: number;
  /** Bytes of encoded images that are kept in memory, the others in the temporary folder; 512 MiB when absent. */
  readonly keptBytes?: number;
  /** Draws one class more for each task, whose queries are of none of the classes adapted to; none when absent. */
  readonly strangers?: boolean;
  /** The command to record with the figures of a row. */
  readonly command: (row: Row, shape: EpisodeShape) => string;
  /** Called at once with what will be measured. */
  readonly onDrawn?: (drawn: Drawn) => void;
  /** Images encoded so far, and in all. */
  readonly onEncoded?: (done: number, total: number) => void;
  /** After each task, with the figures until then. */
  readonly onTask?: (shape: EpisodeShape, done: number, rows: readonly InterimRow[]) => void;
  readonly signal?: AbortSignal;
}

/** What is going to be measured. */
export interface Drawn {
  /** Classes and images of the data, and how many of these are drawn. */
  readonly classes: number;
  readonly images: number;
  readonly drawn: number;
  /** Different frozen parts that each of them goes through. */
  readonly frozenParts: number;
  /** Bytes of what is kept of them, in all and in the temporary folder. */
  readonly bytes: number;
  readonly bytesOnDisk: number;
}

/**
 * Accuracy and cost of adapting by each of several rows over the same seeded tasks of a split, one query image at a time as on a
 * device: adapts to each task's support set, then predicts every query image in a call of its own. However many tasks draw an
 * image, it is encoded once for each frozen part, by itself; adapting takes the time of that for every example, and of the steps.
 * Examples that a row makes views of are encoded with these in each task, and so are all of what chooses a pattern.
 *
 * Returns the rows of each shape, in their order.
 *
 * @throws {DataError} where there are too few classes or images, or one cannot be read, before anything is measured;
 *   {@link InputError} where a shape has more classes or examples than the bundle takes, there is too little memory for one, or steps
 *   are always to be taken by what chooses a pattern.
 */
export async function measureBundle(options: MeasureOptions): Promise<MeasuredRow[][]> {
  const { bundle, files, rows, shapes, tasks, seed = 0, keptBytes = KEPT_BYTES, onEncoded, signal } = options;
  const extra = options.strangers ? 1 : 0;
  const drawn = shapes.map((shape) => {
    return drawTasks({ bundle, files, tasks, seed }, { ...shape, ways: shape.ways + extra });
  });
  const examples = Math.max(...shapes.map(({ ways, shots }) => ways * shots));
  for (const { name, adapt } of rows) {
    checkAlways(adapt);
    const { fits, text } = memoryForStep(bundle.manifest, patternOf(bundle, adapt), examples);
    if (!fits) throw new InputError('pattern', `${name}: ${text}`);
  }
  const images = drawn.flat().flatMap(({ classes }) => classes.flatMap((each) => [...each.support, ...each.queries]));
  const uses = usesOf(bundle, rows, shapes);
  options.onDrawn?.(whatIsDrawn(files, new Set(images.map(({ of, image }) => `${of}/${image}`)).size, uses, keptBytes));
  const encoded = await encodeImages({ bundle, files, images, uses, keptBytes, onProgress: onEncoded, signal });
  try {
    const measured: MeasuredRow[][] = [];
    for (const [i, shape] of shapes.entries()) {
      measured.push(await measureShape(options, shape, drawn[i] as DrawnTask[], encoded));
    }
    return measured;
  } finally {
    await encoded.close();
  }
}

const zeroSteps = ({ adapt, start = adapt }: Row): AdaptOptions => ({ ...start, steps: 0, views: 0 });

/** What is kept of images for rows: what chooses a pattern may end in any that is loaded. */
function usesOf(bundle: Bundle, rows: readonly Row[], shapes: readonly EpisodeShape[]): ImageUses {
  const all = rows.flatMap((row) => [row.adapt, zeroSteps(row)]);
  const names = all.map((options) => patternOf(bundle, options));
  const isKnown = (name: string) => Object.hasOwn(bundle.manifest.patterns, name);
  const known = names.every(isKnown) ? names : [...names.filter(isKnown), ...bundle.loaded];
  return imageUses(
    bundle,
    known,
    all.some((options) =>
      shapes.some(({ shots }) => givenAsPictures(bundle, options, new Array<string>(shots).fill('')).size > 0),
    ),
  );
}

/**
 * Numbers of the examples that are given as they are, by the labels of all: those that a pattern makes views of, and all to what chooses a
 * pattern, which encodes them for each that it tries.
 */
export function givenAsPictures(bundle: Bundle, options: AdaptOptions, labels: readonly string[]): ReadonlySet<number> {
  const name = patternOf(bundle, options);
  const { patterns } = bundle.manifest;
  const pattern = Object.hasOwn(patterns, name) ? patterns[name] : undefined;
  return pattern ? asPictures(pattern, labels, options) : new Set(labels.keys());
}

const patternOf = ({ manifest }: Bundle, { pattern = manifest.auto ? AUTO : manifest.defaultPattern }: AdaptOptions) =>
  pattern;

/**
 * The tasks of a shape.
 *
 * @throws {DataError} where there are too few classes, or a class has too few images; {@link InputError} where the bundle takes
 *   fewer classes or examples.
 */
export function drawTasks(
  { bundle, files, tasks, seed = 0 }: Pick<MeasureOptions, 'bundle' | 'files' | 'tasks' | 'seed'>,
  shape: EpisodeShape,
): DrawnTask[] {
  const { manifest, labels = [] } = bundle;
  const { limits } = manifest;
  const where = `bundle "${manifest.name}"`;
  const { ways, shots } = shape;
  if (ways * shots > limits.maxExamples) {
    const got = `${ways * shots}, ${shots} shots of ${ways} ways`;
    throw new InputError('shots', `${where}: expected at most ${limits.maxExamples} examples, got ${got}`);
  }
  const own = labels.map(labelKey);
  const take = (classes: number) => {
    if (classes >= 2 && classes <= limits.maxClasses) return;
    const got = `${classes}${own.length > 0 ? `, ${own.length} of them its own` : ''}`;
    throw new InputError('ways', `${where}: expected 2 to ${limits.maxClasses} classes, got ${got}`);
  };
  if (own.length === 0) take(ways);
  const drawn = Array.from({ length: tasks }, (_, index) => drawTask(files, shape, seed, index));
  if (own.length > 0) {
    for (const { classes } of drawn) take(new Set([...own, ...classes.map(({ name }) => labelKey(name))]).size);
  }
  return drawn;
}

function whatIsDrawn(
  { classes }: ImageFiles,
  drawn: number,
  { frozen, pixelBytes }: ImageUses,
  keptBytes: number,
): Drawn {
  const bytes = drawn * frozen.reduce((sum, part) => sum + part.bytes, pixelBytes);
  return {
    classes: classes.length,
    images: classes.reduce((sum, { count }) => sum + count, 0),
    drawn,
    frozenParts: frozen.length,
    bytes,
    bytesOnDisk: Math.max(0, bytes - keptBytes),
  };
}

async function measureShape(
  { bundle, files, rows, command, onTask, signal }: MeasureOptions,
  shape: EpisodeShape,
  tasks: readonly DrawnTask[],
  encoded: EncodedImages,
): Promise<MeasuredRow[]> {
  const outcomes = rows.map((row) => new RowOutcomes(row.name));
  for (const [index, task] of tasks.entries()) {
    for (const [i, row] of rows.entries()) {
      signal?.throwIfAborted();
      const outcome = outcomes[i] as RowOutcomes;
      await measureTask(bundle, row, asTold(task, shape), encoded, outcome);
      outcome.compareStart(outcomes.slice(0, i));
    }
    onTask?.(
      shape,
      index + 1,
      outcomes.map(({ interim }) => interim),
    );
  }
  const { name: dataset, split } = files;
  const task = { dataset, split, ...shape, tasks: tasks.length, protocol: 'one-image' } as const;
  return outcomes.map((outcome, i) =>
    outcome.measured({ ...task, command: command(rows[i] as Row, shape) }, outcomes.slice(0, i)),
  );
}

/** The classes that are adapted to, and images of the one that is not. */
interface ToldTask extends DrawnTask {
  readonly strangers: readonly DrawnImage[];
}

const asTold = ({ classes }: DrawnTask, { ways }: EpisodeShape): ToldTask => ({
  classes: classes.slice(0, ways),
  strangers: classes.slice(ways).flatMap(({ queries }) => queries),
});

/** Adapts to a task and predicts its queries, at 0 steps and with them. */
async function measureTask(
  bundle: Bundle,
  row: Row,
  { classes, strangers }: ToldTask,
  encoded: EncodedImages,
  outcomes: RowOutcomes,
): Promise<void> {
  const adapt = async (options: AdaptOptions) => {
    const examples: Example<ImageInput>[] = [];
    const given = classes.flatMap(({ name, support }) => support.map((drawn) => ({ label: name, drawn })));
    const pictures = givenAsPictures(
      bundle,
      options,
      given.map(({ label }) => label),
    );
    let encode = 0;
    for (const [i, { label, drawn }] of given.entries()) {
      const { image, milliseconds } = await encoded.get(
        drawn,
        pictures.has(i) ? undefined : patternOf(bundle, options),
      );
      examples.push({ label, image });
      encode += milliseconds;
    }
    const adapted = await bundle.adapt(examples, options);
    const { milliseconds } = adapted;
    const times = { ...milliseconds, encode: milliseconds.encode + encode, total: milliseconds.total + encode };
    return { ...adapted, times };
  };
  const queries = classes.flatMap(({ name, queries }) => queries.map((drawn) => ({ name, drawn })));
  const predict = async (profile: Profile, images: readonly DrawnImage[]) => {
    const predictions: Prediction[] = [];
    const times: number[] = [];
    for (const drawn of images) {
      const { image, milliseconds } = await encoded.get(drawn, profile.pattern);
      const began = performance.now();
      predictions.push(...(await bundle.predict(profile, [image])));
      times.push(milliseconds + performance.now() - began);
    }
    return { predictions, times };
  };
  const { profile: start } = await adapt(zeroSteps(row));
  const own = queries.map(({ drawn }) => drawn);
  const { predictions: startPredictions } = await predict(start, own);
  const adapted = await adapt(row.adapt);
  const { predictions, times } = await predict(adapted.profile, own);
  const { predictions: others } = await predict(adapted.profile, strangers);
  const expected = queries.map(({ name }) => name);
  const timed = { ...adapted.times, predict: times };
  outcomes.add({ expected, startPredictions, predictions, strangers: others, adapted, start, times: timed });
}

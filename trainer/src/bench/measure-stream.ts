import { type AdaptOptions, type Bundle, type Example, type ImageInput, InputError, type Profile } from '@whet/runtime';
import { AUTO, mostRemembered } from '@whet/runtime/format';
import { checkStages, type DrawnImage, type DrawnTask, drawTask } from '../data/draw.js';
import type { ImageFiles } from '../data/image-files.js';
import { type Interval, meanInterval, median } from '../statistics.js';
import { type EncodedImages, encodeImages, imageUses, KEPT_BYTES } from './encoded-images.js';
import { givenAsPictures } from './measure-bundle.js';

/** Classes that arrive one group after the other. */
export interface StreamShape {
  readonly stages: number;
  /** Classes that each stage adds. */
  readonly ways: number;
  readonly shots: number;
  readonly queries: number;
}

/** A way to go on learning that is measured. */
export interface StreamRow {
  readonly name: string;
  /** With the pattern by its name; `remember` is what profiles keep from stage to stage. */
  readonly adapt: AdaptOptions & { readonly pattern: string };
}

export interface StreamOptions {
  readonly bundle: Bundle;
  readonly files: ImageFiles;
  readonly rows: readonly StreamRow[];
  readonly shape: StreamShape;
  /** Streams, each of other classes. */
  readonly streams: number;
  readonly seed?: number;
  readonly onEncoded?: (done: number, total: number) => void;
  readonly onStream?: (done: number) => void;
  readonly signal?: AbortSignal;
}

/** How one row went, over streams. Accuracies are shares, of each image among all classes that were known by then. */
export interface StreamResult {
  readonly name: string;
  /** On all classes so far, after each stage. */
  readonly known: readonly Interval[];
  /** On all classes in the end. */
  readonly retained: Interval;
  /** On each stage's classes right after it, in the mean over stages. */
  readonly newest: Interval;
  /**
   * How much of that is gone in the end, in the mean over all stages but the last: what backward transfer loses (Lopez-Paz & Ranzato 2017). A
   * part of it is owed to the classes that came since, which those images are told from, too.
   */
  readonly forgotten: Interval;
  /** On all classes, adapted to all at once by the same pattern. */
  readonly atOnce: Interval;
  /** Of the profile in the end, bytes, median. */
  readonly profileBytes: number;
  /** To adapt in the last stage, encoding left out, median. */
  readonly milliseconds: number;
}

/** What one row made of one stream. */
interface Outcome {
  /** `right[r][s]`: share of stage r's images that were right after stage s. */
  readonly right: readonly (readonly number[])[];
  readonly atOnce: number;
  readonly bytes: number;
  readonly milliseconds: number;
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/**
 * How well a profile that goes on from stage to stage, each time adapted to the examples of new classes alone, tells all classes that it has
 * met: accuracy on all so far, on the newest, and what is forgotten, beside adapting to all at once.
 *
 * @throws `DataError` where there are fewer classes than stages need, or too few images; {@link InputError} where the bundle takes fewer
 *   classes or examples, or a row has what chooses a pattern.
 */
export async function measureStream(options: StreamOptions): Promise<StreamResult[]> {
  const { bundle, files, rows, shape, onEncoded, onStream, signal } = options;
  const drawn = drawStreams(options);
  const images = drawn.flatMap(({ classes }) => classes.flatMap(({ support, queries }) => [...support, ...queries]));
  const names = rows.map(({ adapt }) => adapt.pattern);
  const labels = new Array<string>(shape.shots).fill('');
  const needsPictures = rows.some(({ adapt }) => givenAsPictures(bundle, adapt, labels).size > 0);
  const uses = imageUses(bundle, names, needsPictures);
  const encoded = await encodeImages({
    bundle,
    files,
    images,
    uses,
    keptBytes: KEPT_BYTES,
    onProgress: onEncoded,
    signal,
  });
  try {
    const outcomes = rows.map((): Outcome[] => []);
    for (const [i, stream] of drawn.entries()) {
      for (const [at, row] of rows.entries()) {
        signal?.throwIfAborted();
        outcomes[at]?.push(await goThrough(bundle, row, stream, shape, encoded));
      }
      onStream?.(i + 1);
    }
    return rows.map(({ name }, i) => resultOf(name, shape, outcomes[i] as Outcome[]));
  } finally {
    await encoded.close();
  }
}

function drawStreams({ bundle, files, rows, shape, streams, seed = 0 }: StreamOptions): DrawnTask[] {
  const { stages, ways, shots, queries } = shape;
  const where = `bundle "${bundle.manifest.name}"`;
  for (const { adapt } of rows) {
    if (adapt.pattern === AUTO)
      throw new InputError('pattern', `expected one by its name, as profiles go on with it, got "${AUTO}"`);
  }
  if (stages < 2) throw new InputError('stream', `expected 2 stages or more, got ${stages}`);
  if (ways < 2) throw new InputError('ways', `expected 2 or more, as the first stage has no others, got ${ways}`);
  const all = stages * ways;
  checkStages(
    `${files.name}, ${files.split}`,
    files.classes.length,
    { stages, ways },
    {
      stages: '--stream',
      ways: '--ways',
    },
  );
  const { maxClasses, maxExamples } = bundle.manifest.limits;
  const own = bundle.labels?.length ?? 0;
  if (own + all > maxClasses) {
    throw new InputError(
      'stream',
      `${where}: expected at most ${maxClasses} classes, got ${own + all}, ${stages} stages of ${ways}`,
    );
  }
  const most = mostRemembered(bundle.manifest);
  for (const { name, adapt } of rows) {
    if ((adapt.remember ?? 0) * all <= most) continue;
    const got = `${adapt.remember} of each of ${all} classes`;
    throw new InputError(
      'remember',
      `${name}: expected at most ${most} in all, half of the examples of an adaptation, got ${got}`,
    );
  }
  if (all * shots > maxExamples) {
    throw new InputError('shots', `${where}: expected at most ${maxExamples} examples at once, got ${all * shots}`);
  }
  return Array.from({ length: streams }, (_, i) => drawTask(files, { ways: all, shots, queries }, seed, i));
}

type StreamClass = DrawnTask['classes'][number];

async function goThrough(
  bundle: Bundle,
  { adapt: { remember = 0, anchor, ...adapt } }: StreamRow,
  { classes }: DrawnTask,
  { stages, ways }: StreamShape,
  encoded: EncodedImages,
): Promise<Outcome> {
  const examplesOf = async (taught: readonly StreamClass[]) => {
    const given = taught.flatMap(({ name, support }) => support.map((drawn) => ({ label: name, drawn })));
    const pictures = givenAsPictures(
      bundle,
      adapt,
      given.map(({ label }) => label),
    );
    const examples: Example<ImageInput>[] = [];
    for (const [i, { label, drawn }] of given.entries()) {
      examples.push({ label, image: (await encoded.get(drawn, pictures.has(i) ? undefined : adapt.pattern)).image });
    }
    return examples;
  };
  const rightOf = async (profile: Profile, asked: readonly StreamClass[]): Promise<number> => {
    const queries: readonly (readonly [name: string, drawn: DrawnImage])[] = asked.flatMap(({ name, queries }) =>
      queries.map((drawn) => [name, drawn] as const),
    );
    const images: ImageInput[] = [];
    for (const [, drawn] of queries) images.push((await encoded.get(drawn, adapt.pattern)).image);
    const predictions = await bundle.predict(profile, images);
    return mean(predictions.map(({ label }, i) => Number(label === queries[i]?.[0])));
  };
  const groups = Array.from({ length: stages }, (_, stage) => classes.slice(stage * ways, (stage + 1) * ways));
  const right = groups.map((): number[] => []);
  let profile: Profile | undefined;
  let milliseconds = 0;
  for (const [stage, group] of groups.entries()) {
    const { pattern: _, ...others } = adapt;
    const goesOn = profile ? { from: profile, ...(anchor === undefined ? {} : { anchor }), ...others } : adapt;
    const adapted = await bundle.adapt(await examplesOf(group), { ...goesOn, remember });
    ({ profile } = adapted);
    milliseconds = adapted.milliseconds.total - adapted.milliseconds.encode;
    for (const [met, known] of groups.slice(0, stage + 1).entries()) {
      (right[met] as number[])[stage] = await rightOf(profile, known);
    }
  }
  const whole = await bundle.adapt(await examplesOf(classes), adapt);
  return {
    right,
    atOnce: await rightOf(whole.profile, classes),
    bytes: profile?.byteLength ?? 0,
    milliseconds,
  };
}

function resultOf(name: string, { stages }: StreamShape, outcomes: readonly Outcome[]): StreamResult {
  const numbers = [...Array(stages).keys()];
  const over = (of: (right: Outcome['right']) => number) => meanInterval(outcomes.map(({ right }) => of(right)));
  const at = (right: Outcome['right'], met: number, stage: number) => right[met]?.[stage] as number;
  const knownAt = (stage: number) =>
    over((right) => mean(numbers.slice(0, stage + 1).map((met) => at(right, met, stage))));
  return {
    name,
    known: numbers.map(knownAt),
    retained: knownAt(stages - 1),
    newest: over((right) => mean(numbers.map((stage) => at(right, stage, stage)))),
    forgotten: over((right) =>
      mean(numbers.slice(0, -1).map((met) => at(right, met, met) - at(right, met, stages - 1))),
    ),
    atOnce: meanInterval(outcomes.map(({ atOnce }) => atOnce)),
    profileBytes: median(outcomes.map(({ bytes }) => bytes)),
    milliseconds: median(outcomes.map((each) => each.milliseconds)),
  };
}

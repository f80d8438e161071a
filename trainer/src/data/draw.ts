import { DataError, type ImageClass, type SplitName } from './dataset.js';
import { generatorFor, type Random } from './random.js';

export interface EpisodeShape {
  readonly ways: number;
  /** Support images per class. */
  readonly shots: number;
  /** Query images per class. */
  readonly queries: number;
}

type Counted = Pick<ImageClass, 'name' | 'count'>;

/** The random numbers that an episode is drawn by. */
export const episodeStream = (seed: number, split: SplitName, index: number): Random =>
  generatorFor(seed, `episode/${split}`, index);

const asOption = (name: keyof EpisodeShape): string => `--${name}`;

/**
 * Throws {@link DataError} where there are too few classes, or a class has too few images, for `shape`, with what would do in the words of
 * `optionOf`.
 */
export function checkShape(
  where: string,
  classes: readonly Counted[],
  classCount: number,
  { ways, shots, queries }: EpisodeShape,
  optionOf = asOption,
): void {
  const counts: [string, number, number][] = [
    ['ways', ways, 1],
    ['shots', shots, 1],
    ['queries', queries, 0],
  ];
  for (const [name, value, least] of counts) {
    if (!Number.isInteger(value) || value < least) {
      throw new DataError(`${where}: expected ${name} to be an integer of at least ${least}, got ${value}`);
    }
  }
  if (classes.length === 0) throw new DataError(`${where}: expected classes, got none`);
  if (ways > classCount) {
    const less = classCount > 1 ? `; ${optionOf('ways')} ${classCount} would do` : '';
    throw new DataError(`${where}: expected at least ${ways} classes for ${ways} ways, got ${classCount}${less}`);
  }
  const smallest = classes.reduce((least, each) => (each.count < least.count ? each : least));
  if (shots + queries > smallest.count) {
    throw new DataError(
      `${where}: class ${smallest.name}: expected at least ${shots + queries} images for ` +
        `${shots} shots and ${queries} queries, got ${smallest.count}; ${fewer(smallest.count, { shots, queries }, optionOf)}`,
    );
  }
}

/**
 * Throws {@link DataError} where there are fewer classes than several stages of so many need; with what would do, in the words of `options`.
 */
export function checkStages(
  where: string,
  classCount: number,
  { stages, ways }: { readonly stages: number; readonly ways: number },
  options: { readonly stages: string; readonly ways: string },
): void {
  const all = stages * ways;
  if (stages === 1 || all <= classCount) return;
  const fewer = Math.floor(classCount / ways);
  const most = Math.floor(classCount / 2);
  const smaller = most > 1 ? `${options.ways} ${most} with ${options.stages} 2` : 'more classes';
  const would = fewer > 1 ? `${options.stages} ${fewer}` : smaller;
  throw new DataError(
    `${where}: expected ${all} classes for ${stages} stages of ${ways}, got ${classCount}; ${would} would do`,
  );
}

/** What would do for a class of few images. */
function fewer(
  count: number,
  { shots, queries }: Pick<EpisodeShape, 'shots' | 'queries'>,
  optionOf: typeof asOption,
): string {
  if (count > shots) return `${optionOf('queries')} ${count - shots} would do`;
  if (count > queries) return `${optionOf('shots')} ${count - queries} would do`;
  if (count > 1) return `${optionOf('shots')} ${count - 1} with ${optionOf('queries')} 1 would do`;
  return 'more images would do, or to leave the class out';
}

/** Draws classes, and of each the images of its support and then of its queries, all without replacement. */
export function drawImages(
  random: Random,
  classCount: number,
  countOf: (drawn: number) => number,
  { ways, shots, queries }: EpisodeShape,
): { readonly drawn: number; readonly images: readonly number[] }[] {
  return random
    .sample(classCount, ways)
    .map((drawn) => ({ drawn, images: random.sample(countOf(drawn), shots + queries) }));
}

/** An image of a split, by the place of its class and its own place in that. */
export interface DrawnImage {
  readonly of: number;
  readonly image: number;
}

/** One task: of each class the images to adapt to, and those to predict. */
export interface DrawnTask {
  readonly classes: readonly {
    readonly name: string;
    readonly support: DrawnImage[];
    readonly queries: DrawnImage[];
  }[];
}

/**
 * The images of episode `index`, those that {@link EpisodeSampler} draws without rotations.
 *
 * @throws {DataError} where there are too few classes, or a class has too few images, for `shape`.
 */
export function drawTask(
  data: { readonly name: string; readonly split: SplitName; readonly classes: readonly Counted[] },
  shape: EpisodeShape,
  seed: number,
  index: number,
): DrawnTask {
  const { name, split, classes } = data;
  checkShape(`${name}, ${split}`, classes, classes.length, shape);
  const countOf = (drawn: number) => (classes[drawn] as Counted).count;
  const draws = drawImages(episodeStream(seed, split, index), classes.length, countOf, shape);
  return {
    classes: draws.map(({ drawn, images }) => {
      const all = images.map((image) => ({ of: drawn, image }));
      const { name: drawnName } = classes[drawn] as Counted;
      return { name: drawnName, support: all.slice(0, shape.shots), queries: all.slice(shape.shots) };
    }),
  };
}

/** The images of the first `tasks` episodes of some shapes. Throws {@link DataError} as {@link drawTask}. */
export function* drawnImages(
  data: Parameters<typeof drawTask>[0],
  shapes: readonly EpisodeShape[],
  tasks: number,
  seed: number,
): Generator<DrawnImage> {
  for (const shape of shapes) {
    for (let index = 0; index < tasks; index++) {
      for (const { support, queries } of drawTask(data, shape, seed, index).classes) yield* [...support, ...queries];
    }
  }
}

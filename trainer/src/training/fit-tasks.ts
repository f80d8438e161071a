import type { SplitName } from '../data/dataset.js';
import type { CountedClasses } from '../data/image-folders.js';

/** The part of a run's settings that says how large its tasks are. */
export interface TaskSizes {
  readonly ways: number;
  readonly shots: readonly number[];
  readonly queries: number;
  readonly rotations?: boolean;
  readonly stream?: { readonly stages: readonly number[] } | undefined;
  readonly validation: {
    readonly ways: number;
    readonly shots: number;
    readonly queries: number;
    readonly stages?: number | undefined;
  };
}

/**
 * Settings whose tasks are no larger than the classes of each split fill, as far as two classes of two images do, and what is other than it was, in words. Of streams
 * it is those of validation. What is too little even for those is said where tasks are checked.
 */
export function fitTasks<T extends TaskSizes>(
  settings: T,
  { splits }: CountedClasses,
): { readonly settings: T; readonly changes: readonly string[] } {
  const { rotations = true, validation } = settings;
  const fewest = (split: SplitName) => Math.min(...splits[split].map(({ count }) => count));
  const trained = fitted(Math.max(...settings.shots), settings.queries, fewest('train'));
  const asked = fitted(validation.shots, validation.queries, fewest('validation'));
  const own = {
    ways: fittedWays(settings.ways, splits.train.length * (rotations ? 4 : 1)),
    shots: [...new Set(settings.shots.map((each) => Math.min(each, trained.shots)))],
    queries: trained.queries,
  };
  const { stages = settings.stream && Math.max(...settings.stream.stages) } = validation;
  const ofValidation = { ...asked, ...fittedStages(validation.ways, stages, splits.validation.length) };
  const changes = [...changed('', settings, own), ...changed('validation.', { stages, ...validation }, ofValidation)];
  return { settings: { ...settings, ...own, validation: { ...validation, ...ofValidation } }, changes };
}

const fittedWays = (ways: number, classes: number): number => Math.max(2, Math.min(ways, classes));

/** Fewer stages where there are too few classes, and fewer ways where two stages are too many. */
function fittedStages(ways: number, stages: number | undefined, classes: number): { ways: number; stages?: number } {
  if (stages === undefined) return { ways: fittedWays(ways, classes) };
  if (stages * ways <= classes) return { ways };
  const fewer = Math.floor(classes / ways);
  return fewer > 1 ? { ways, stages: fewer } : { ways: fittedWays(ways, Math.floor(classes / 2)), stages: 2 };
}

/** Where there are too few images, what examples leave is asked about, or half of them where that is less. */
function fitted(shots: number, queries: number, images: number): { shots: number; queries: number } {
  if (shots + queries <= images) return { shots, queries };
  const fewer = Math.max(1, Math.min(queries, Math.max(images - shots, Math.floor(images / 2))));
  return { shots: Math.max(1, Math.min(shots, images - fewer)), queries: fewer };
}

const changed = (prefix: string, before: object, after: object): string[] =>
  Object.entries(after).flatMap(([key, value]) => {
    const was = before[key as keyof typeof before] as unknown;
    return String(was) === String(value) ? [] : [`${prefix}${key} ${value} in place of ${was}`];
  });

import type { SplitName } from '../data/dataset.js';
import type { CountedClasses } from '../data/image-folders.js';

/** The part of a run's settings that says how large its tasks are. */
export interface TaskSizes {
  readonly ways: number;
  readonly shots: readonly number[];
  readonly queries: number;
  readonly rotations?: boolean;
  readonly validation: { readonly ways: number; readonly shots: number; readonly queries: number };
}

/**
 * Settings whose tasks are no larger than the classes of each split fill, as far as two classes of two images do, and what is other than it was, in words. What is
 * too little even for those is said where tasks are checked.
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
  const ofValidation = { ...asked, ways: fittedWays(validation.ways, splits.validation.length) };
  const changes = [...changed('', settings, own), ...changed('validation.', validation, ofValidation)];
  return { settings: { ...settings, ...own, validation: { ...validation, ...ofValidation } }, changes };
}

const fittedWays = (ways: number, classes: number): number => Math.max(2, Math.min(ways, classes));

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

import { AUTO } from './auto-name.js';
import { InputError } from './errors.js';
import type { PatternManifest } from './manifest.js';
import type { AdaptOptions } from './types.js';

/** As they came, from an option or from a request. */
interface Given {
  readonly pattern?: string | undefined;
  readonly always?: boolean | undefined;
}

/** Throws {@link InputError} where steps are always to be taken, and the pattern is to be chosen by whether they pay. */
export function checkAlways({ pattern, always }: Given): void {
  if (!always || pattern !== AUTO) return;
  const got = `"${AUTO}", which takes them only where they pay`;
  throw new InputError('always', `expected a pattern by its name, as its steps are always taken, got ${got}`);
}

type Asked = Pick<AdaptOptions, 'steps' | 'views' | 'always'>;

/** Whether views of the examples may say that steps of a pattern are better left out, where an adaptation starts at the bundle's values. */
export function maySpare(pattern: PatternManifest, asked: Asked): boolean {
  const { graphs, objective, moving, views: own = 0 } = pattern;
  const { steps = pattern.steps, views = own, always = false } = asked;
  const isAbove = graphs.solve !== undefined && objective === 'prototypes' && moving.length > 0;
  return isAbove && steps > 0 && views > 0 && !always;
}

/**
 * Numbers of the examples of which such an adaptation makes views, so that it needs them as pictures: all where views are asked for; else
 * those that are alone in their class, and where steps may be spared the first of each class. The others may be encoded before.
 */
export function asPictures(pattern: PatternManifest, labels: readonly string[], asked: Asked): ReadonlySet<number> {
  const views = asked.views ?? (asked.steps === 0 ? 0 : (pattern.views ?? 0));
  if (views === 0) return new Set();
  if (asked.views !== undefined) return new Set(labels.keys());
  const first = new Map<string, number>();
  const counts = new Map<string, number>();
  for (const [i, label] of labels.entries()) {
    if (!first.has(label)) first.set(label, i);
    counts.set(label, (counts.get(label) ?? 0) + 1);
  }
  const isAll = maySpare(pattern, asked);
  return new Set([...first].flatMap(([label, i]) => (isAll || counts.get(label) === 1 ? [i] : [])));
}

import { type GraphBuilder, int64s, type Value } from '@whet/compiler';
import type { Section } from './network-sections.js';

/** What a block makes `[N, C, H, W]`, the mean of which over the image stands beside the features. */
export interface FeatureLevel {
  readonly value: Value;
  /** `C` */
  readonly length: number;
}

/** Axes that the mean of a level is taken over. */
export const LEVEL_AXES: readonly number[] = [2, 3];

/** How values are named that stand in this project's graph only. */
const NAME = 'features/levels';
export const isLevels = (name: string): boolean => name.startsWith(NAME);

/** Images of many channels, of more than one pixel. */
const isImages = ({ dtype, shape: [batch, ...image] }: Value): boolean =>
  dtype === 'float32' &&
  batch === 'N' &&
  image.length === 3 &&
  image.every((dim) => typeof dim === 'number') &&
  image.slice(1).some((dim) => Number(dim) > 1);

/**
 * What the last `count` blocks make, the last first; not that of the last where nothing but means of it are above, which are the features.
 */
export function levelsOf(sections: readonly Section[], count: number): FeatureLevel[] {
  const last = sections.findLastIndex(({ parameters }) => parameters.length > 0);
  return sections
    .slice(0, last)
    .filter(({ block, output }) => block !== undefined && isImages(output))
    .reverse()
    .slice(0, count)
    .map(({ output }) => ({ value: output, length: output.shape[1] as number }));
}

/** Features `[N, F]` and the means of levels `[N, C, H, W]` side by side. */
export function besideLevels(g: GraphBuilder, features: Value, levels: readonly Value[]): Value {
  if (levels.length === 0) return features;
  const axes = g.constant(int64s(LEVEL_AXES));
  const means = levels.map((level) => g.apply('ReduceMean', [level, axes], { keepdims: 0 }, `${NAME}/mean`));
  return g.apply('Concat', [features, ...means], { axis: 1 }, NAME);
}

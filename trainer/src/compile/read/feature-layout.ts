import { type GraphBuilder, int64s, reshape, type Shape, type Value } from '@whet/compiler';
import { BatchError, CompileError } from './compile-error.js';

/** How one vector an image is made of the features tensor. */
export interface FeatureLayout {
  /** `F` of the features `[N, F]`. */
  readonly length: number;
  /** Shape of the tensor, for one image. */
  readonly shape: readonly number[];
  /** Axes of the tensor whose mean is taken: of `[N, C, H, W]` the image's, of a sequence `[N, T, F]` the steps. */
  readonly mean: readonly number[];
}

/**
 * One axis stays: the last of a sequence and of what a MatMul reads, else the channels. Throws {@link CompileError}
 * for what is no float32 batch of known size.
 */
export function layoutOf(name: string, dtype: string, shape: Shape, readByMatMul: boolean): FeatureLayout {
  const [batch, ...rest] = shape;
  if (dtype !== 'float32' || batch !== 'N' || rest.length === 0 || !rest.every((dim) => typeof dim === 'number')) {
    const got = `${dtype} [${shape.join(', ')}]`;
    const message = `features "${name}": expected one value or more an image, float32 [N, ...], got ${got}`;
    throw batch === 'N' ? new CompileError(message) : new BatchError(message);
  }
  const long = rest.flatMap((dim, axis) => (dim > 1 ? [axis + 1] : []));
  if (long.length <= 1) return { length: rest.reduce((a, b) => a * b, 1), shape: rest, mean: [] };
  const kept = readByMatMul || rest.length === 2 ? rest.length : 1;
  const mean = rest.map((_, axis) => axis + 1).filter((axis) => axis !== kept);
  return { length: rest[kept - 1] as number, shape: rest, mean };
}

/** `[N, F]` of the features tensor. */
export function applyLayout(g: GraphBuilder, features: Value, { length, mean }: FeatureLayout): Value {
  if (mean.length === 0) return reshape(g, features, ['N', length]);
  return g.apply('ReduceMean', [features, g.constant(int64s(mean))], { keepdims: 0 });
}

/** What is done to the features tensor, for people; undefined where nothing is. */
export function describeLayout({ shape, mean }: FeatureLayout): string | undefined {
  if (mean.length === 0) return undefined;
  const axes = mean.join(' and ').replace(/ and (?=.* and )/g, ', ');
  return `mean of [N, ${shape.join(', ')}] over ${mean.length > 1 ? 'axes' : 'axis'} ${axes}`;
}

import type { Tensor } from '@whet/compiler';
import { viewsOf } from '@whet/runtime/format';
import { openImage, type Preprocessing, pixelsToTensor } from '@whet/runtime/images';
import { DataError } from '../data/dataset.js';
import { checkShape, type DrawnImage, drawTask, type EpisodeShape } from '../data/draw.js';
import { type FileClass, filePixels, type ImageFiles } from '../data/image-files.js';
import { type FeatureCache, type FeatureCacheOptions, openFeatureCache } from './feature-cache.js';
import type { EncodedTask } from './in-turns.js';
import type { Prefix } from './prefix.js';

/** The classes of one split of a data set, encoded. */
export interface Domain {
  readonly name: string;
  /** Width and height of its first image, before it was brought to the model's. */
  readonly imageSize: readonly [width: number, height: number];
  /** Task `index` of a seed, as it is drawn each time. */
  task(shape: EpisodeShape, seed: number, index: number): Promise<EncodedTask>;
  close(): Promise<void>;
}

export interface DomainOptions extends FeatureCacheOptions {
  /** Views of an example that is alone in its class, which nothing else could ask about. */
  readonly views: number;
  /** The largest tasks that are drawn of it. */
  readonly shape: EpisodeShape;
}

/** Views are encoded when they are drawn: there are too many of them to be kept. */
async function viewRows(
  prefix: Prefix,
  files: ImageFiles,
  images: readonly DrawnImage[],
  preprocessing: Preprocessing,
  views: number,
): Promise<Tensor> {
  const made: Float32Array[] = [];
  for (const { of, image } of images) {
    const pixels = await filePixels(files.classes[of] as FileClass, image, preprocessing);
    made.push(...viewsOf(pixelsToTensor(pixels, preprocessing), preprocessing, views));
  }
  return prefix.encode(made);
}

async function sizeOfFirst({ name, classes }: ImageFiles): Promise<readonly [number, number]> {
  const [first] = classes;
  if (!first) throw new DataError(`${name}: expected classes, got none`);
  const { bytes, place } = await first.read(0);
  const { width, height } = await openImage(bytes, { field: place, isOwn: true }).catch((cause: Error) => {
    throw new DataError(cause.message, { cause });
  });
  return [width, height];
}

/**
 * Encodes a split of a data set, or finds what was encoded before. Throws {@link DataError} as `openFeatureCache` does, and before anything
 * is encoded where there are too few classes, or a class has too few images, for its tasks.
 */
export async function openDomain(files: ImageFiles, options: DomainOptions): Promise<Domain> {
  const { prefix, preprocessing, views } = options;
  const { perClass = Number.POSITIVE_INFINITY, shape } = options;
  const counted = files.classes.map((each) => ({ name: each.name, count: Math.min(each.count, perClass) }));
  checkShape(`${files.name}, ${files.split}`, counted, counted.length, shape);
  const imageSize = await sizeOfFirst(files);
  const cache: FeatureCache = await openFeatureCache(files, options);
  const { name, split } = files;
  const rowsOf = async (images: readonly DrawnImage[]): Promise<Tensor> => ({
    dtype: 'float32',
    shape: [images.length, ...prefix.features],
    data: await cache.read(images),
  });
  const draw = (shape: EpisodeShape, seed: number, index: number) =>
    drawTask({ name, split, classes: counted }, shape, seed, index);
  return {
    name,
    imageSize,
    task: async (shape, seed, index) => {
      const { ways, shots, queries } = shape;
      const drawn = draw(shape, seed, index).classes;
      const support = drawn.flatMap((each) => each.support);
      const own = await rowsOf(support);
      const asking =
        shots === 1 && views > 0 ? await viewRows(prefix, files, support, preprocessing, views) : undefined;
      const count = support.length + (asking ? support.length * views : 0);
      const data = new Float32Array(own.data.length + (asking?.data.length ?? 0));
      data.set(own.data as Float32Array);
      if (asking) data.set(asking.data as Float32Array, own.data.length);
      const classOf = (i: number) => Math.floor(i < support.length ? i / shots : (i - support.length) / views);
      return {
        ways,
        support: {
          features: { dtype: 'float32', shape: [count, ...prefix.features], data },
          labels: Int32Array.from({ length: count }, (_, i) => classOf(i)),
        },
        isPrototype: Float32Array.from({ length: count }, (_, i) => Number(i < support.length)),
        query: {
          features: await rowsOf(drawn.flatMap((each) => each.queries)),
          labels: Int32Array.from({ length: ways * queries }, (_, i) => Math.floor(i / queries)),
        },
      };
    },
    close: () => cache.close(),
  };
}

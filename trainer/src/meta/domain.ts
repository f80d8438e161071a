import type { Tensor } from '@whet/compiler';
import { viewMaker } from '@whet/runtime/format';
import { type Preprocessing, pixelsToTensor } from '@whet/runtime/images';
import { checkShape, type DrawnImage, type DrawnTask, type EpisodeShape } from '../data/draw.js';
import { type FileClass, filePixels, type ImageFiles } from '../data/image-files.js';
import { type FeatureCache, type FeatureCacheOptions, openFeatureCache } from './feature-cache.js';
import type { EncodedTask } from './in-turns.js';
import type { Prefix } from './prefix.js';

/** The classes of one split of a data set, encoded. */
export interface EncodedDomain {
  /** What tasks are drawn of. */
  readonly files: ImageFiles;
  /** What was encoded of a task's images. */
  encoded(task: DrawnTask): Promise<EncodedTask>;
  close(): Promise<void>;
}

export interface DomainOptions extends FeatureCacheOptions {
  /** Views of an example that is alone in its class, which nothing else could ask about. */
  readonly views: number;
  /** The largest tasks that are drawn of it. */
  readonly shape: EpisodeShape;
  /** The most images of each class, its first ones; all when absent. */
  readonly perClass?: number;
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
  const viewsOf = viewMaker(preprocessing, views);
  for (const { of, image } of images) {
    const pixels = await filePixels(files.classes[of] as FileClass, image, preprocessing);
    made.push(...viewsOf(pixelsToTensor(pixels, preprocessing)));
  }
  return prefix.encode(made);
}

/**
 * Encodes a split of a data set, or finds what was encoded before. Throws {@link DataError} as `openFeatureCache` does, and before anything
 * is encoded where there are too few classes, or a class has too few images, for its tasks.
 */
export async function openDomain(given: ImageFiles, options: DomainOptions): Promise<EncodedDomain> {
  const { prefix, preprocessing, views, perClass = Number.POSITIVE_INFINITY, shape } = options;
  const classes = given.classes.map((each): FileClass => ({ ...each, count: Math.min(each.count, perClass) }));
  const files = { ...given, classes };
  checkShape(`${files.name}, ${files.split}`, classes, classes.length, shape);
  const cache: FeatureCache = await openFeatureCache(files, options);
  const rowsOf = async (images: readonly DrawnImage[]): Promise<Tensor> => ({
    dtype: 'float32',
    shape: [images.length, ...prefix.features],
    data: await cache.read(images),
  });
  const labelsOf = (lists: readonly (readonly DrawnImage[])[]) => lists.flatMap((list, i) => list.map(() => i));
  return {
    files,
    encoded: async ({ classes: drawn }) => {
      const [supports, queries] = [drawn.map(({ support }) => support), drawn.map((each) => each.queries)];
      const support = supports.flat();
      const lone = supports.filter((list) => list.length === 1 && views > 0).flat();
      const own = await rowsOf(support);
      const asking = lone.length > 0 ? await viewRows(prefix, files, lone, preprocessing, views) : undefined;
      const data = new Float32Array(own.data.length + (asking?.data.length ?? 0));
      data.set(own.data as Float32Array);
      if (asking) data.set(asking.data as Float32Array, own.data.length);
      const ofViews = supports.flatMap((list, i) =>
        lone.includes(list[0] as DrawnImage) ? new Array<number>(views).fill(i) : [],
      );
      const labels = Int32Array.from([...labelsOf(supports), ...ofViews]);
      return {
        ways: drawn.length,
        support: { features: { dtype: 'float32', shape: [labels.length, ...prefix.features], data }, labels },
        isPrototype: Float32Array.from(labels, (_, i) => Number(i < support.length)),
        query: { features: await rowsOf(queries.flat()), labels: Int32Array.from(labelsOf(queries)) },
      };
    },
    close: () => cache.close(),
  };
}

import { DataError, type Dataset } from '../data/dataset.js';
import type { RunConfig } from './config.js';

/** Throws {@link DataError} where the network does not take the data set's images. */
export function checkImages(
  { model }: Pick<RunConfig, 'model'>,
  { name, preprocessing }: Pick<Dataset, 'name' | 'preprocessing'>,
): void {
  const { width, height, channels } = preprocessing;
  if (width === model.imageSize && height === model.imageSize && channels === model.imageChannels) return;
  throw new DataError(
    `${name}: expected images of ${model.imageSize} x ${model.imageSize} x ${model.imageChannels} ` +
      `(model.imageSize, model.imageChannels), got ${width} x ${height} x ${channels}`,
  );
}

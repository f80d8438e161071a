import { DataError, type Dataset } from './dataset.js';
import { openImageCache } from './image-cache.js';
import { omniglotPreprocessing } from './omniglot.js';

const packed = (directory: string, size: number) => openImageCache('omniglot', { packed: size }, directory);

/** Writes the decoded drawings into `directory` as one file, for a machine that has no image decoder. */
export async function packOmniglot(dataset: Dataset, directory: string): Promise<string> {
  const cache = await packed(directory, dataset.preprocessing.width);
  await cache.write({ splits: dataset.splits });
  return cache.path;
}

/** What {@link packOmniglot} wrote. Throws {@link DataError} where it is not there or is damaged. */
export async function openPackedOmniglot(directory: string, size = 28): Promise<Dataset> {
  const cache = await packed(directory, size);
  const images = await cache.read();
  if (!images)
    throw new DataError(`${cache.path}: expected drawings that packOmniglot wrote, got none or a damaged file`);
  return { name: 'Omniglot', preprocessing: omniglotPreprocessing(size), splits: images.splits };
}

import type { Dataset, ImageClass, SplitName } from './dataset.js';
import { omniglotPreprocessing } from './omniglot.js';
import { generatorFor } from './random.js';

interface Drawings {
  /** Pixels of a side; 8 when absent. */
  readonly size?: number;
  /** Images of a class; 6 when absent. */
  readonly images?: number;
  /** Share of an image's pixels that are turned; 0.2 when absent. */
  readonly turned?: number;
}

/** So many classes a split, each of a drawing at random and noise: learnable in a few steps. */
export function drawings(
  classes: Readonly<Record<SplitName, number>>,
  { size = 8, images = 6, turned = 0.2 }: Drawings = {},
): Dataset {
  const pixelsOf = size * size;
  const drawn = (split: SplitName): ImageClass[] =>
    Array.from({ length: classes[split] }, (_, i) => {
      const random = generatorFor(3, split, i);
      const base = Uint8Array.from({ length: pixelsOf }, () => (random.uniform() < 0.3 ? 0 : 255));
      const pixels = Uint8Array.from({ length: images * pixelsOf }, (__, at) => {
        const value = base[at % pixelsOf] as number;
        return random.uniform() < turned ? 255 - value : value;
      });
      return { name: `${split} ${i}`, count: images, pixels };
    });
  return {
    name: 'synthetic',
    preprocessing: omniglotPreprocessing(size),
    splits: { train: drawn('train'), validation: drawn('validation'), test: drawn('test') },
  };
}

import { pixelsToTensor } from '@whet/runtime/images';
import {
  type Augmentation,
  type ClassAugmentation,
  checkAugmentation,
  type Distortion,
  drawClassDistortion,
  drawDistortion,
  warp,
} from './augment.js';
import { DataError, type Dataset, type ImageClass, type SplitName } from './dataset.js';
import { checkShape, drawImages, type EpisodeShape, episodeStream } from './draw.js';
import { generatorFor } from './random.js';

/** One task. Images are class-major: all of class 0, then all of class 1, ...; labels count from 0 in that order. */
export interface Episode {
  /** Names; a class turned by 90 degrees is `<name>@90`. */
  readonly classes: string[];
  /** `[ways * shots, C, H, W]` */
  readonly supportImages: Float32Array;
  readonly supportLabels: Int32Array;
  /** `[ways * queries, C, H, W]` */
  readonly queryImages: Float32Array;
  readonly queryLabels: Int32Array;
}

export interface EpisodeSamplerOptions {
  /**
   * Every class counts four times: as it is and turned by 90, 180 and 270 degrees (Santoro et al. 2016). Two turns of
   * one class may meet in an episode, as two classes. Square images only.
   */
  readonly rotations: boolean;
  readonly seed: number;
  /** Distorts every image by itself; for the train split. Off when absent. */
  readonly augment?: Augmentation;
  /** Distorts all images of a class alike, which makes other classes of them. Off when absent. */
  readonly classAugment?: ClassAugmentation;
}

/**
 * Draws episodes of one split. Classes are drawn without replacement, then the drawings of each; support and query
 * share none. Episode `index` is a pure function of (seed, split, index, shape): nothing is carried from one to the next.
 */
export class EpisodeSampler {
  /** Classes an episode can draw from, turned ones included. */
  readonly classCount: number;
  readonly #dataset: Dataset;
  readonly #split: SplitName;
  readonly #options: EpisodeSamplerOptions;
  readonly #classes: readonly ImageClass[];
  /** `[C, 256]`: what each pixel value becomes in the tensor. */
  readonly #table: Float32Array;

  /**
   * @throws {DataError} where the split has no class, a class has other pixels than the preprocessing asks for, images
   * that are not square are to be turned, or a bound of `augment` is out of range.
   */
  constructor(dataset: Dataset, split: SplitName, options: EpisodeSamplerOptions) {
    const { preprocessing } = dataset;
    const { width, height, channels } = preprocessing;
    const classes = dataset.splits[split];
    if (options.rotations && width !== height) {
      throw new DataError(`${dataset.name}: expected square images to turn, got ${width} x ${height}`);
    }
    if (options.augment) checkAugmentation(options.augment);
    if (options.classAugment) checkAugmentation(options.classAugment, 'classAugment');
    if (classes.length === 0) throw new DataError(`${dataset.name}: expected classes in ${split}, got none`);
    for (const each of classes) {
      const expected = each.count * height * width * channels;
      if (each.pixels.length !== expected) {
        throw new DataError(
          `${dataset.name}: class ${each.name} of ${split}: expected ${expected} bytes of pixels ` +
            `[${each.count}, ${height}, ${width}, ${channels}], got ${each.pixels.length}`,
        );
      }
    }
    this.#dataset = dataset;
    this.#split = split;
    this.#options = options;
    this.#classes = classes;
    this.classCount = classes.length * (options.rotations ? 4 : 1);
    const values = Uint8Array.from({ length: 256 * channels }, (_, i) => Math.floor(i / channels));
    this.#table = pixelsToTensor(values, { ...preprocessing, width: 256, height: 1 });
  }

  /**
   * Episode `index`, counted from 0.
   *
   * @throws {DataError} where the split has too few classes, or a class too few images, for `shape`.
   */
  episode(shape: EpisodeShape, index: number): Episode {
    checkShape(`${this.#dataset.name}, ${this.#split}`, this.#classes, this.classCount, shape);
    const { ways, shots, queries } = shape;
    const { rotations, seed, augment, classAugment } = this.#options;
    const { width, height, channels } = this.#dataset.preprocessing;
    const length = channels * height * width;
    const random = episodeStream(seed, this.#split, index);
    // A stream of its own: with and without distortion, the same drawings are drawn.
    const perImage = augment && generatorFor(seed, `augment/${this.#split}`, index);
    const perClass = classAugment && generatorFor(seed, `augment-class/${this.#split}`, index);

    const classes: string[] = [];
    const supportImages = new Float32Array(ways * shots * length);
    const supportLabels = new Int32Array(ways * shots);
    const queryImages = new Float32Array(ways * queries * length);
    const queryLabels = new Int32Array(ways * queries);
    const sourceOf = (drawn: number) => this.#classes[rotations ? Math.floor(drawn / 4) : drawn] as ImageClass;
    const draws = drawImages(random, this.classCount, (drawn) => sourceOf(drawn).count, shape);
    for (const [way, { drawn, images }] of draws.entries()) {
      const quarters = rotations ? drawn % 4 : 0;
      const source = sourceOf(drawn);
      classes.push(quarters === 0 ? source.name : `${source.name}@${quarters * 90}`);
      const ofClass = classAugment && perClass ? [drawClassDistortion(classAugment, perClass)] : [];
      for (const [i, image] of images.entries()) {
        const ofImage = augment && perImage ? [drawDistortion(augment, perImage)] : [];
        const supports = i < shots;
        const at = supports ? way * shots + i : way * queries + i - shots;
        (supports ? supportLabels : queryLabels)[at] = way;
        this.#fill(supports ? supportImages : queryImages, at * length, source.pixels, image * length, quarters, [
          ...ofImage,
          ...ofClass,
        ]);
      }
    }
    return { classes, supportImages, supportLabels, queryImages, queryLabels };
  }

  /** Writes one image `[H, W, C]`, turned counterclockwise and distorted, as `[C, H, W]`. */
  #fill(
    out: Float32Array,
    at: number,
    pixels: Uint8Array,
    from: number,
    quarters: number,
    distortions: readonly Distortion[],
  ): void {
    const { width, height, channels, background } = this.#dataset.preprocessing;
    // Pixel (y, x) of the turned image is read at origin + y * down + x * right.
    const [origin, down, right] = turnedStrides(quarters, width, height);
    for (let c = 0; c < channels; c++) {
      const table = this.#table.subarray(c * 256, (c + 1) * 256);
      const plane = { pixels, start: from + c + origin * channels, down: down * channels, right: right * channels };
      const target = out.subarray(at + c * height * width, at + (c + 1) * height * width);
      if (distortions.length > 0) {
        warp(target, plane, { width, height, background }, distortions, table);
        continue;
      }
      let i = 0;
      for (let y = 0; y < height; y++) {
        let read = plane.start + y * plane.down;
        for (let x = 0; x < width; x++) {
          target[i++] = table[pixels[read] as number] as number;
          read += plane.right;
        }
      }
    }
  }
}

function turnedStrides(quarters: number, width: number, height: number): [origin: number, down: number, right: number] {
  switch (quarters) {
    case 1:
      return [width - 1, -1, width];
    case 2:
      return [height * width - 1, -width, -1];
    case 3:
      return [(height - 1) * width, 1, -width];
    default:
      return [0, width, 1];
  }
}

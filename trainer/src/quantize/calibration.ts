import type { Preprocessing } from '@whet/runtime';
import { pixelsToTensor } from '@whet/runtime/images';
import { DataError } from '../data/dataset.js';
import { type FileClass, filePixels, type ImageFiles } from '../data/image-files.js';

/** Images `[N, C, H, W]` in a row. */
export interface Images {
  readonly data: Float32Array;
  /** Of one image: `[C, H, W]`. */
  readonly shape: readonly [number, number, number];
  /** The class of each. */
  readonly labels: readonly number[];
}

/** At most so many places, spread over all. */
const evenly = (count: number, of: number): number[] =>
  Array.from({ length: Math.min(count, of) }, (_, i) => Math.floor((i * of) / Math.min(count, of)));

/** Some of the images, of all classes. */
export function fewOf({ data, shape, labels }: Images, count: number): Images {
  const length = shape[0] * shape[1] * shape[2];
  const chosen = evenly(count, labels.length);
  const few = new Float32Array(chosen.length * length);
  for (const [at, i] of chosen.entries()) few.set(data.subarray(i * length, (i + 1) * length), at * length);
  return { data: few, shape, labels: chosen.map((i) => labels[i] as number) };
}

/** Images by which ranges are found, and others by which what is lost is measured: none where there are no classes to tell apart. */
export interface CalibrationImages {
  readonly ranges: Images;
  readonly measured: Images | undefined;
}

/** Images that are decoded at most, a third of them for ranges. */
const IMAGES = 768;
const CLASSES = 256;
/** Of these, each third tells ranges: a class needs others that are asked about, and of which it is made. */
const LEAST = 3;

/** Data sets by which a bundle is calibrated. */
export interface CalibrationSource {
  readonly files: ImageFiles;
  /** Whether the classes are some to be told apart; pictures that are of none show ranges alone. True when absent. */
  readonly labelled?: boolean;
}

export const namesOf = (sources: readonly CalibrationSource[]): string =>
  sources.map(({ files }) => files.name).join(', ') || 'no folder';

/** An image that is drawn, and its class over all data sets. */
interface Drawn {
  readonly files: FileClass;
  readonly image: number;
  readonly label: number;
}

/** Images for ranges, and those that are asked about: as many of each data set and class, spread over its files. */
function drawn(sources: readonly CalibrationSource[]): { ranges: Drawn[]; asked: Drawn[] } {
  const all: { readonly ranges: Drawn[]; readonly asked: Drawn[] } = { ranges: [], asked: [] };
  const share = IMAGES / sources.length;
  let label = 0;
  for (const { files, labelled = true } of sources) {
    const classes = evenly(Math.floor(CLASSES / sources.length), files.classes.length);
    const count = labelled ? share / Math.max(1, classes.length) : share / LEAST;
    for (const of of classes) {
      const own = files.classes[of] as FileClass;
      const images = evenly(Math.max(LEAST, Math.floor(count)), own.count);
      const asked = images.filter((_, place) => labelled && place % LEAST !== 0);
      const rest = images.filter((_, place) => !labelled || place % LEAST === 0);
      all.ranges.push(...rest.map((image) => ({ files: own, image, label })));
      // A class of one image could not be recognised by its others.
      if (asked.length > 1) all.asked.push(...asked.map((image) => ({ files: own, image, label })));
      label++;
    }
  }
  return all;
}

async function decoded(images: readonly Drawn[], preprocessing: Preprocessing): Promise<Images> {
  const { channels, height, width } = preprocessing;
  const length = channels * height * width;
  const data = new Float32Array(images.length * length);
  for (const [at, { files, image }] of images.entries()) {
    data.set(pixelsToTensor(await filePixels(files, image, preprocessing), preprocessing), at * length);
  }
  return { data, shape: [channels, height, width], labels: images.map(({ label }) => label) };
}

/**
 * Draws the images by which a bundle is calibrated, and decodes them.
 *
 * @throws {DataError} naming a file that cannot be read or decoded, or the folders where they have no images.
 */
export async function drawCalibration(
  sources: readonly CalibrationSource[],
  preprocessing: Preprocessing,
): Promise<CalibrationImages> {
  const { ranges, asked } = drawn(sources);
  if (ranges.length === 0) throw new DataError(`${namesOf(sources)}: expected images to calibrate by, got none`);
  const told = new Set(asked.map(({ label }) => label)).size > 1;
  return {
    ranges: await decoded(ranges, preprocessing),
    measured: told ? await decoded(asked, preprocessing) : undefined,
  };
}

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

/**
 * Draws the images by which a bundle is calibrated, as many of each data set and class, spread over its files, and decodes them.
 *
 * @throws {DataError} naming a file that cannot be read or decoded, or the folders where they have no images.
 */
export async function drawCalibration(
  domains: readonly ImageFiles[],
  preprocessing: Preprocessing,
): Promise<CalibrationImages> {
  const chosen = domains.flatMap(({ classes }) => {
    const own = evenly(Math.floor(CLASSES / domains.length), classes.length).map((i) => classes[i] as FileClass);
    const count = Math.max(LEAST, Math.floor(IMAGES / domains.length / Math.max(1, own.length)));
    return own.map((files) => ({ files, count }));
  });
  const ranges: { image: Float32Array; label: number }[] = [];
  const measured: typeof ranges = [];
  for (const [label, { files, count }] of chosen.entries()) {
    for (const [place, i] of evenly(count, files.count).entries()) {
      const image = pixelsToTensor(await filePixels(files, i, preprocessing), preprocessing);
      (place % LEAST === 0 ? ranges : measured).push({ image, label });
    }
  }
  if (ranges.length === 0) throw new DataError(`${namesOf(domains)}: expected images to calibrate by, got none`);
  const { channels, height, width } = preprocessing;
  const together = (parts: typeof ranges): Images => {
    const length = channels * height * width;
    const data = new Float32Array(parts.length * length);
    for (const [i, { image }] of parts.entries()) data.set(image, i * length);
    return { data, shape: [channels, height, width], labels: parts.map(({ label }) => label) };
  };
  // A class of one image could not be recognised by its others.
  const counts = chosen.map((_, label) => measured.filter((image) => image.label === label).length);
  const asked = measured.filter(({ label }) => (counts[label] as number) > 1);
  const told = new Set(asked.map(({ label }) => label));
  return { ranges: together(ranges), measured: told.size > 1 ? together(asked) : undefined };
}

export const namesOf = (domains: readonly ImageFiles[]): string =>
  domains.map(({ name }) => name).join(', ') || 'no folder';

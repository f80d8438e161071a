import { resolve } from 'node:path';
import { openImage, type Preprocessing } from '@whet/runtime/images';
import { DataError, type SplitName } from './dataset.js';
import { checkShape, type DrawnTask, drawTask, type EpisodeShape } from './draw.js';
import type { ImageFiles } from './image-files.js';
import { generatorFor } from './random.js';

/** A folder of data, and how often tasks are drawn from it against others. */
export interface WeightedFolder {
  readonly directory: string;
  readonly weight: number;
}

/** The least and the most of a count; each in between is as likely. */
export type CountRange = readonly [least: number, most: number];

/** What the shape of an episode is drawn from. */
export type EpisodeRanges = Readonly<Record<keyof EpisodeShape, CountRange>>;

/** One of several data sets that tasks are drawn from. */
export interface Domain {
  readonly files: ImageFiles;
  /** Above 0; a domain of weight 2 is drawn twice as often as one of weight 1. */
  readonly weight: number;
  /** In place of those that all domains share. */
  readonly ranges?: EpisodeRanges;
}

/** A task of one domain. */
export interface DomainTask extends DrawnTask {
  /** The place of its domain in the list. */
  readonly domain: number;
  readonly shape: EpisodeShape;
}

/** A domain whose images are of another size than the network takes. */
export interface Resized {
  readonly name: string;
  /** In pixels, of its first image. */
  readonly width: number;
  readonly height: number;
}

const WEIGHT = /^(.*):([-+.\w]*\d[-+.\w]*)$/s;

/**
 * Reads `DIR` (weight 1) and `DIR:WEIGHT`, such as `photos:0.5`. What follows the last colon is a weight where it is a number:
 * a folder that is called `a:1` is `a:1:1`.
 *
 * @throws {DataError} where a weight is not above 0, a folder is missing from an entry, or stands twice.
 */
export function parseDomains(texts: readonly string[]): WeightedFolder[] {
  const folders = texts.map((text): WeightedFolder => {
    const [, named = '', number = ''] = WEIGHT.exec(text) ?? [];
    const weight = Number(number);
    if (number === '' || Number.isNaN(weight)) return { directory: text, weight: 1 };
    if (named === '') throw new DataError(`data "${text}": expected a folder before its weight, got none`);
    checkWeight(`data "${text}"`, weight);
    return { directory: named, weight };
  });
  const seen = new Set<string>();
  for (const { directory } of folders) {
    if (directory === '') throw new DataError('data: expected a folder, or a folder and its weight, got ""');
    if (seen.has(resolve(directory))) throw new DataError(`data ${directory}: expected each folder once, got it twice`);
    seen.add(resolve(directory));
  }
  return folders;
}

/**
 * Draws tasks of several data sets: a domain by its weight, the shape of an episode from ranges, then classes and images as {@link drawTask}
 * does. Task `index` is a pure function of (seed, split, index, domains, ranges), so a run resumes at any.
 */
export class DomainSampler {
  readonly #domains: readonly Domain[];
  readonly #ranges: EpisodeRanges;
  readonly #seed: number;
  readonly #split: SplitName;
  readonly #total: number;

  /**
   * @throws {DataError} naming the domain: none, two of one name, of different splits, a weight or a range out of bounds, or too
   * few classes or images for the most of its ranges.
   */
  constructor(domains: readonly Domain[], ranges: EpisodeRanges, seed: number) {
    const [first] = domains;
    if (!first) throw new DataError('domains: expected a data set or more, got none');
    const names = new Set<string>();
    for (const { files, weight, ranges: own = ranges } of domains) {
      const { name, split, classes } = files;
      if (names.has(name)) throw new DataError(`domains: expected data sets of different names, got ${name} twice`);
      names.add(name);
      if (split !== first.files.split) {
        throw new DataError(`${name}: expected the split ${first.files.split} as of ${first.files.name}, got ${split}`);
      }
      checkWeight(name, weight);
      for (const [count, [least, most]] of Object.entries(own)) {
        if (least <= most) continue;
        throw new DataError(`${name}: ${count}: expected a range from the least to the most, got ${least} to ${most}`);
      }
      for (const end of [0, 1] as const) checkShape(`${name}, ${split}`, classes, classes.length, endOf(own, end));
    }
    this.#domains = domains;
    this.#ranges = ranges;
    this.#seed = seed;
    this.#split = first.files.split;
    this.#total = domains.reduce((sum, { weight }) => sum + weight, 0);
  }

  /** Task `index`, counted from 0: which images, none of them read. */
  task(index: number): DomainTask {
    const random = generatorFor(this.#seed, `domain/${this.#split}`, index);
    let left = random.uniform() * this.#total;
    // The last one takes what rounding leaves over.
    const found = this.#domains.findIndex(({ weight }) => {
      left -= weight;
      return left < 0;
    });
    const domain = found < 0 ? this.#domains.length - 1 : found;
    const { files, ranges = this.#ranges } = this.#domains[domain] as Domain;
    const within = ([least, most]: CountRange) => least + random.integer(most - least + 1);
    const shape = { ways: within(ranges.ways), shots: within(ranges.shots), queries: within(ranges.queries) };
    return { domain, shape, ...drawTask(files, shape, this.#seed, index) };
  }
}

function checkWeight(where: string, weight: number): void {
  if (Number.isFinite(weight) && weight > 0) return;
  throw new DataError(`${where}: expected a weight above 0, got ${weight}`);
}

function endOf({ ways, shots, queries }: EpisodeRanges, end: 0 | 1): EpisodeShape {
  return { ways: ways[end], shots: shots[end], queries: queries[end] };
}

/**
 * The domains whose images are resized for the network, told by the first image of each.
 *
 * @throws {DataError} naming a domain where the network takes other channels than pictures have, or its first image cannot be read.
 */
export async function resizedDomains(
  domains: readonly Pick<Domain, 'files'>[],
  { width, height, channels }: Preprocessing,
): Promise<Resized[]> {
  const resized: Resized[] = [];
  for (const { files } of domains) {
    if (channels !== 1 && channels !== 3) {
      throw new DataError(`${files.name}: expected images of ${channels} channels, got pictures, which have 1 or 3`);
    }
    const first = files.classes.find(({ count }) => count > 0);
    if (!first) continue;
    const { bytes, place } = await first.read(0);
    const size = await openImage(bytes, { field: place, isOwn: true }).catch((cause: Error) => {
      throw new DataError(cause.message, { cause });
    });
    if (size.width !== width || size.height !== height) {
      resized.push({ name: files.name, width: size.width, height: size.height });
    }
  }
  return resized;
}

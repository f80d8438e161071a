import type { Tensor } from 'onnxruntime-common';
import { encodeExamples, encodeViews, isEncoded } from './encode.js';
import type { Pattern } from './pattern.js';
import type { Preprocessing } from './preprocessing.js';
import { pickRows, stackRows, type TensorFeeds } from './tensors.js';
import type { ImageInput } from './types.js';

/** Encoded images that are adapted to, and what each is for. */
export interface Rows {
  /** What `encode` makes of them: `features [N, ...]`, and moments of the frozen part. */
  readonly encoded: TensorFeeds;
  /** The class of each, 0 to below `ways`. */
  readonly labels: Int32Array;
  readonly ways: number;
  /** The example that each is, or is a view of. */
  readonly examples: Int32Array;
  /** 1 for what classes are made of in a step, 0 for views, which only ask there and become part of their class afterwards. */
  readonly support: Float32Array;
}

/** How many rows of each class classes are made of. */
function supportCounts({ labels, ways, support }: Rows): Float64Array {
  const counts = new Float64Array(ways);
  for (const [i, label] of labels.entries()) counts[label] = (counts[label] as number) + (support[i] as number);
  return counts;
}

/** 1 for every row of whose class something is left without it, so that a prototype can be asked about it. */
export function askable(rows: Rows): Float32Array {
  const counts = supportCounts(rows);
  return Float32Array.from(rows.labels, (label, i) =>
    (counts[label] as number) - (rows.support[i] as number) > 0 ? 1 : 0,
  );
}

/** Some of the rows, in the order of their numbers. */
export function takeRows(rows: Rows, numbers: readonly number[]): Rows {
  return {
    encoded: { ...rows.encoded, features: pickRows(rows.encoded['features'] as Tensor, numbers) },
    labels: Int32Array.from(numbers, (number) => rows.labels[number] as number),
    ways: rows.ways,
    examples: Int32Array.from(numbers, (number) => rows.examples[number] as number),
    support: Float32Array.from(numbers, (number) => rows.support[number] as number),
  };
}

/** The same with classes numbered by those that there are rows of. */
export function presentClasses(rows: Rows): Rows {
  const present = [...new Set(rows.labels)].sort((a, b) => a - b);
  const place = new Map(present.map((label, i) => [label, i]));
  return { ...rows, ways: present.length, labels: rows.labels.map((label) => place.get(label) as number) };
}

/** Views of examples that are to be encoded beside them. */
export interface ViewOptions {
  /** Of each example. */
  readonly count: number;
  /** Of those that are alone in their class, of the first of every class, or of all. */
  readonly of: 'lone' | 'first' | 'all';
}

/** The most views of all examples together. */
const MOST_VIEWS = 300;

/** Examples to make views of, by their numbers: they have pixels and no views yet. */
function unviewed(rows: Rows, images: readonly ImageInput[], of: ViewOptions['of']): number[] {
  const counts = supportCounts(rows);
  const viewed = viewedExamples(rows);
  const seen = new Set<number>();
  return [...images.keys()].filter((i) => {
    const label = rows.labels[i] as number;
    if (isEncoded(images[i] as ImageInput) || (of === 'first' && seen.has(label))) return false;
    seen.add(label);
    return !viewed.has(i) && (of !== 'lone' || counts[label] === 1);
  });
}

/** Encodes views of examples, the first rows, and adds them. Examples that were encoded before have no pixels to make views of. */
export async function addViews(
  pattern: Pattern,
  rows: Rows,
  images: readonly ImageInput[],
  { count: most, of }: ViewOptions,
  preprocessing: Preprocessing,
  signal?: AbortSignal,
): Promise<Rows> {
  const seen = unviewed(rows, images, of);
  const left = MOST_VIEWS - rows.support.filter((own) => own === 0).length;
  const count = Math.min(most, Math.floor(left / Math.max(seen.length, 1)));
  if (count === 0 || seen.length === 0) return rows;
  const { viewMaker } = await import('./views.js');
  const viewsOf = viewMaker(preprocessing, count);
  const made = seen.flatMap((i) => viewsOf(images[i] as Float32Array));
  const features = await encodeViews(pattern, made, preprocessing, rows.encoded, signal);
  const views = seen.flatMap((i) => new Array<number>(count).fill(i));
  return {
    encoded: { ...rows.encoded, features: stackRows(rows.encoded['features'] as Tensor, features) },
    labels: Int32Array.from([...rows.labels, ...views.map((i) => rows.labels[i] as number)]),
    ways: rows.ways,
    examples: Int32Array.from([...rows.examples, ...views]),
    support: Float32Array.from([...rows.support, ...views.map(() => 0)]),
  };
}

/** Encodes examples. */
export async function encodeRows(
  pattern: Pattern,
  images: readonly ImageInput[],
  { labels, ways }: { readonly labels: Int32Array; readonly ways: number },
  preprocessing: Preprocessing,
  signal?: AbortSignal,
): Promise<Rows> {
  return {
    encoded: await encodeExamples(pattern, images, preprocessing, signal),
    labels,
    ways,
    examples: Int32Array.from(labels.keys()),
    support: new Float32Array(labels.length).fill(1),
  };
}

/** The examples that there are views of. */
const viewedExamples = ({ examples, support }: Rows): Set<number> =>
  new Set(examples.filter((_, i) => support[i] === 0));

/** Examples without views. */
export const withoutViews = (rows: Rows): Rows =>
  takeRows(
    rows,
    [...rows.support.keys()].filter((i) => rows.support[i] === 1),
  );

/** The same without the first examples, so many. */
export const withoutFirst = (rows: Rows, count: number): Rows =>
  takeRows(
    rows,
    [...rows.examples.keys()].filter((i) => (rows.examples[i] as number) >= count),
  );

/** The first example of each class that has views, and these: what is known of a class from one picture. */
export function viewedRows(rows: Rows): Rows {
  const viewed = viewedExamples(rows);
  const first = new Map<number, number>();
  for (const [i, example] of rows.examples.entries()) {
    const label = rows.labels[i] as number;
    if (viewed.has(example) && !first.has(label)) first.set(label, example);
  }
  return takeRows(
    rows,
    [...rows.examples.keys()].filter((i) => first.get(rows.labels[i] as number) === rows.examples[i]),
  );
}

/** The same without views of examples that are not alone in their class. */
export function withoutSpareViews(rows: Rows): Rows {
  const counts = supportCounts(rows);
  return takeRows(
    rows,
    [...rows.labels.keys()].filter((i) => rows.support[i] === 1 || counts[rows.labels[i] as number] === 1),
  );
}

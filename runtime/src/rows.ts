import type { Tensor } from 'onnxruntime-common';
import { encodeExamples, encodeViews, isEncoded } from './encode.js';
import type { Pattern } from './pattern.js';
import type { Preprocessing } from './preprocessing.js';
import { pickRows, stackRows, type TensorFeeds } from './tensors.js';
import type { ImageInput } from './types.js';
import { viewsOf } from './views.js';

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

/** The first example of each class that has pixels to make views of, and where `lone` is set no more examples than that. */
function firstOnes(rows: Rows, images: readonly ImageInput[], lone: boolean): number[] {
  const counts = supportCounts(rows);
  const seen = new Set<number>();
  return [...rows.labels.keys()].filter((i) => {
    const label = rows.labels[i] as number;
    if (seen.has(label) || isEncoded(images[i] as ImageInput)) return false;
    seen.add(label);
    return !lone || counts[label] === 1;
  });
}

/** Views of examples to be encoded with them. */
export interface ViewOptions {
  readonly count: number;
  /** Of which: of each that is alone in its class, as nothing else can be asked about it, or of the first of every class. */
  readonly of: 'lone' | 'first';
}

/** Encodes examples and views of them. Those that were encoded before have no pixels to make views of. */
export async function encodeRows(
  pattern: Pattern,
  images: readonly ImageInput[],
  { labels, ways }: { readonly labels: Int32Array; readonly ways: number },
  preprocessing: Preprocessing,
  views: ViewOptions,
  signal?: AbortSignal,
): Promise<Rows> {
  const encoded = await encodeExamples(pattern, images, preprocessing, signal);
  const rows: Rows = {
    encoded,
    labels,
    ways,
    examples: Int32Array.from(labels.keys()),
    support: new Float32Array(labels.length).fill(1),
  };
  const seen = views.count === 0 ? [] : firstOnes(rows, images, views.of === 'lone');
  if (seen.length === 0) return rows;
  const made = seen.flatMap((i) => viewsOf(images[i] as Float32Array, preprocessing, views.count));
  const features = await encodeViews(pattern, made, preprocessing, encoded, signal);
  const of = seen.flatMap((i) => new Array<number>(views.count).fill(i));
  return {
    encoded: { ...encoded, features: stackRows(encoded['features'] as Tensor, features) },
    labels: Int32Array.from([...labels, ...of.map((i) => labels[i] as number)]),
    ways,
    examples: Int32Array.from([...rows.examples, ...of]),
    support: Float32Array.from([...rows.support, ...of.map(() => 0)]),
  };
}

/** The first example of each class that has views, and these: what is known of a class from one picture. */
export function viewedRows(rows: Rows): Rows {
  const viewed = new Set(rows.examples.filter((_, i) => rows.support[i] === 0));
  return takeRows(
    rows,
    [...rows.examples.keys()].filter((i) => viewed.has(rows.examples[i] as number)),
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

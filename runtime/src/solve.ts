import { Tensor } from 'onnxruntime-common';
import type { Asked } from './held-back.js';
import { oneHotTensor } from './objectives.js';
import type { Pattern } from './pattern.js';
import type { TooMany } from './reasons.js';
import type { Rows } from './rows.js';
import { runSession } from './run-session.js';
import { dataOf, type TensorFeeds } from './tensors.js';

// Where a head ends that is made of examples: in closed form, without a step.

/** Heads of a pattern in closed form, as its graph `solve` gives them, each of the rows that are 1 in its part of `support [K, N]`. */
function solve(pattern: Pattern, { encoded, labels, ways }: Rows, below: TensorFeeds, support: Float32Array) {
  const shape = [support.length / labels.length, labels.length, 1];
  return runSession(pattern.solve as NonNullable<Pattern['solve']>, {
    ...encoded,
    labels: oneHotTensor(labels, ways),
    support: new Tensor('float32', support, shape),
    ...below,
  });
}

/** The head in closed form of all rows, with given values below it: `head.weight [W, F]`, `head.bias [W]`. */
export async function solvedHead(pattern: Pattern, rows: Rows, below: TensorFeeds): Promise<TensorFeeds> {
  const heads = await solve(pattern, rows, below, new Float32Array(rows.labels.length).fill(1));
  const weight = heads['head.weight'] as Tensor;
  return {
    'head.weight': new Tensor('float32', dataOf(weight), weight.dims.slice(1)),
    'head.bias': new Tensor('float32', dataOf(heads['head.bias']), [rows.ways]),
  };
}

/**
 * Rows that a head in closed form is made of, at most: its time grows with their cube, and from some hundreds on a class's mean direction knows
 * the class.
 */
const MOST_SOLVED = 1000;

/** Whether a head in closed form can be made of rows. */
export const canSolve = ({ solve }: Pattern, { labels }: Pick<Rows, 'labels'>): boolean =>
  solve !== undefined && labels.length <= MOST_SOLVED;

/** Why there is none of so many. */
export const tooMany = ({ labels }: Pick<Rows, 'labels'>): TooMany => ({ most: MOST_SOLVED, count: labels.length });

/** Parts that the examples are held back in, at most, and fewer, but two, of more than 200 rows: of each part a matrix is inverted. */
const [MOST_FOLDS, LARGEST] = [5, 4e7];

/**
 * The part with which each row is held back, -1 where never: the examples of a class in turns, views with their example, and none that is
 * alone in its class.
 */
function foldsOf({ examples, labels, support }: Omit<Rows, 'encoded' | 'ways'>): Int32Array {
  const places = new Map<number, number>();
  const counts = new Map<number, number>();
  for (const [i, example] of examples.entries()) {
    const label = labels[i] as number;
    if (support[i] === 0 || places.has(example)) continue;
    const place = counts.get(label) ?? 0;
    places.set(example, place);
    counts.set(label, place + 1);
  }
  const most = Math.max(...counts.values());
  const folds = Math.max(Math.min(MOST_FOLDS, most, Math.floor(LARGEST / labels.length ** 3)), 2);
  return Int32Array.from(examples, (example, i) =>
    (counts.get(labels[i] as number) ?? 0) > 1 ? (places.get(example) as number) % folds : -1,
  );
}

/** Heads in closed form that answer for examples: which rows each is made of, 1 or 0 `[K * N]`, and which of them each row is asked of. */
interface Asking {
  readonly kept: Float32Array;
  readonly heads: Int32Array;
}

/** Heads that are made without some of the rows: the k-th without those whose number is k. */
const leavingOut = (numbers: Int32Array, count: number): Asking => ({
  kept: Float32Array.from({ length: count * numbers.length }, (_, at) =>
    numbers[at % numbers.length] === Math.floor(at / numbers.length) ? 0 : 1,
  ),
  heads: numbers,
});

/** Each row asked of a head that is made without it; undefined where every class has but one. */
function askingOfRows(rows: Rows): Asking | undefined {
  const folds = foldsOf(rows);
  const count = Math.max(...folds) + 1;
  return count === 0 ? undefined : leavingOut(folds, count);
}

/** What examples are taken for by heads in closed form that are made without them; undefined where every class has but one. */
export async function askSolved(pattern: Pattern, rows: Rows, below: TensorFeeds): Promise<Asked | undefined> {
  const asking = askingOfRows(rows);
  if (!asking) return undefined;
  return picked(await solve(pattern, rows, below, asking.kept), rows, asking.heads);
}

/** What each row is taken for by the head that it is no part of, by its number; rows without one do not count, nor do views. */
function picked(heads: TensorFeeds, { labels, ways, support }: Rows, numbers: Int32Array): Asked {
  const all = dataOf(heads['logits']);
  const count = all.length / labels.length / ways;
  const logits = new Float32Array(labels.length * ways);
  const counts = support.map((own, i) => {
    const number = numbers[i] as number;
    if (number < 0 || number >= count) return 0;
    const at = (number * labels.length + i) * ways;
    logits.set(all.subarray(at, at + ways), i * ways);
    return own;
  });
  return { logits, labels, counts };
}

/** Classes that are left out one after the other, at most: the first ones tell enough. */
const MOST_STRANGERS = 10;

/** Each row asked of a head of the other classes, its own one left out; of the first classes. */
function askingOfClasses({ labels, ways }: Rows): Asking {
  const most = Math.max(2, Math.min(MOST_STRANGERS, Math.floor(LARGEST / labels.length ** 3)));
  return leavingOut(labels, Math.min(ways, most));
}

/**
 * What examples are taken for, logits `[N, W]` each: `strangers` by heads in closed form of the other classes, their own one left out, of the
 * first classes; `held`, where that is wanted and a class has two, by heads that are made without them, as {@link askSolved} says. What is
 * below the heads is computed once for both.
 */
export async function askStrangers(
  pattern: Pattern,
  rows: Rows,
  below: TensorFeeds,
  wantsHeld: boolean,
): Promise<{ readonly strangers: Asked; readonly held: Asked | undefined }> {
  const classes = askingOfClasses(rows);
  const own = wantsHeld ? askingOfRows(rows) : undefined;
  const first = (own?.kept.length ?? 0) / rows.labels.length;
  const kept = Float32Array.from([...(own?.kept ?? []), ...classes.kept]);
  const heads = await solve(pattern, rows, below, kept);
  const after = classes.heads.map((head) => head + first);
  return { strangers: picked(heads, rows, after), held: own && picked(heads, rows, own.heads) };
}

import type { Tensor } from 'onnxruntime-common';
import { type AdaptedValues, movesHeadAlone } from './adapt.js';
import { type Asked, askedRows } from './held-back.js';
import { leftOutLogits } from './objectives.js';
import type { Pattern } from './pattern.js';
import type { ProfileValue } from './profile.js';
import { presentClasses, type Rows, viewedRows, withoutViews } from './rows.js';
import { askSolved, askStrangers } from './solve.js';
import { startHead } from './start-head.js';
import { dataOf, storedTensors, type TensorFeeds } from './tensors.js';

// Whether a picture is of any class of a profile: by how near it comes to one, with a threshold that its own examples decide.

/** The values of a profile that tell: a row of each class, `[W, F]` and `[W]`. A picture of none of them is below 0 with all. */
export const FAMILIAR = { weight: 'familiar.weight', bias: 'familiar.bias' } as const;

/**
 * How much a head's logits count beside the cosine to a class's mean direction: of pictures of a further class, an ImageNet network's
 * features tell photographs, characters and hand signs best with both (docs/compile.md).
 */
const LOGITS_COUNT = 0.05;

/** Below this share of other classes' pictures, by a normal distribution, are those of a class of which only one example is known. */
const ONE_EXAMPLE = 0.84;

/** Mean directions of classes `[W, F]`, and the length that the head's start gives them: cosines times it are its logits. */
async function meanDirections(pattern: Pattern, rows: Rows, below: TensorFeeds) {
  const head = await startHead(pattern, rows.encoded['features'] as Tensor, rows.labels, rows.ways, below, undefined);
  const { dims } = head['head.weight'] as Tensor;
  const length = dims[1] as number;
  const data = dataOf(head['head.weight']);
  // A head of distances has a bias; only one of cosines tells how near a picture is.
  if (dataOf(head['head.bias']).some((value) => value !== 0)) return undefined;
  const scale = Math.hypot(...data.subarray(0, length)) || 1;
  return { data: data.map((value) => value / scale), shape: dims, scale };
}

interface Spread {
  readonly mean: number;
  readonly deviation: number;
}

function spreadOf(values: readonly number[]): Spread {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: Math.sqrt(squares / values.length) + 1e-6 };
}

/** How near each row that counts comes to its nearest class, its own one left out or not. */
const nearest = (asked: Asked, withOwn: boolean): number[] =>
  askedRows(asked).map(({ row, label }) => Math.max(...[...row].filter((_, way) => withOwn || way !== label)));

/** Cosines of rows and a share of their logits by heads in closed form, added. */
const added = (cosines: Asked, logits: Asked, share: number): Asked => ({
  ...logits,
  logits: logits.logits.map((value, at) => share * value + (cosines.logits[at] as number)),
});

/** The spread of how near views come to the one example of their class that they are no part of; undefined where there are none. */
async function spreadOfViews(
  pattern: Pattern,
  all: Rows,
  below: TensorFeeds,
  scale: number,
): Promise<Spread | undefined> {
  const rows = presentClasses(viewedRows(all));
  if (rows.ways < 2) return undefined;
  const logits = (await leftOutLogits(pattern, rows, below)).map((value) => value / scale);
  return spreadOf(nearest({ logits, labels: rows.labels, counts: rows.support.map((own) => 1 - own) }, true));
}

/**
 * What tells pictures of a profile's classes from others, of what was adapted to rows; undefined where the bundle's heads are none of
 * directions that end in closed form. The threshold is where examples that were held back and examples of classes that were left out are as
 * often taken for the other (of two normal distributions). With one example of each class it is above four in five of the latter; where
 * something below the head has moved, which drives both apart, half-way to views of the examples.
 */
export async function familiarity(
  pattern: Pattern,
  all: Rows,
  { values, solved }: Pick<AdaptedValues, 'values' | 'solved'>,
): Promise<Map<string, ProfileValue> | undefined> {
  const rows = presentClasses(withoutViews(all));
  if (!pattern.solve || !pattern.leftOut || rows.ways < 2 || rows.ways < all.ways) return undefined;
  const below = storedTensors(new Map([...values].filter(([name]) => pattern.start.has(name))));
  // Of two classes one is left, which alone says nothing.
  const share = solved && rows.ways > 2 ? LOGITS_COUNT : 0;
  const means = await meanDirections(pattern, rows, below);
  if (!means) return undefined;
  const { data, shape, scale } = means;
  const logits = (await leftOutLogits(pattern, rows, below)).map((value) => value / scale);
  const cosines = { logits, labels: rows.labels, counts: rows.support };
  const held = await askSolved(pattern, rows, below);
  const left = share > 0 ? await askStrangers(pattern, rows, below) : cosines;
  const strangers = spreadOf(nearest(added(cosines, left, share), false));
  const own = held
    ? spreadOf(nearest(added(cosines, held, share), true))
    : movesHeadAlone(pattern)
      ? undefined
      : await spreadOfViews(pattern, all, below, scale);
  const threshold = own
    ? between(strangers, own, held !== undefined)
    : strangers.mean + ONE_EXAMPLE * strangers.deviation;
  const of = (name: string) => (values.get(name) as ProfileValue).data;
  const weight = data.map((value, at) => value + share * (of('head.weight')[at] as number));
  const bias = of('head.bias').map((value) => share * value - threshold);
  return new Map([
    [FAMILIAR.weight, { shape, data: weight }],
    [FAMILIAR.bias, { shape: [rows.ways], data: bias }],
  ]);
}

/** Where two spreads are as often on the other side, or half-way between their means. */
const between = (one: Spread, other: Spread, weighed: boolean): number =>
  weighed
    ? (other.mean * one.deviation + one.mean * other.deviation) / (one.deviation + other.deviation)
    : (one.mean + other.mean) / 2;

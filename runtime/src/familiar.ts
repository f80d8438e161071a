import type { Tensor } from 'onnxruntime-common';
import type { AdaptedValues } from './adapt.js';
import { distancesToClasses, FAMILIAR } from './familiar-names.js';
import { type Asked, askedRows } from './held-back.js';
import { leftOutLogits } from './objectives.js';
import type { Pattern } from './pattern.js';
import type { ProfileValue } from './profile.js';
import { askable, presentClasses, type Rows, viewedRows, withoutViews } from './rows.js';
import { askStrangers } from './solve.js';
import { startHead } from './start-head.js';
import { dataOf, storedTensors, type TensorFeeds } from './tensors.js';

// Whether a picture is of any class of a profile: by how near it comes to one, with a threshold that its own examples decide.

/**
 * How much the distance of a head's outputs from those of a class counts beside the cosine to its mean direction. Of pictures of a sixth
 * class of hand signs, 200 tasks of 5 examples, the area under the ROC curve is 0.75 with it, 0.73 with the class's output in its place (a
 * half of it), and in 25 of them 0.72 and 0.60 with it and by cosines alone; of CIFAR-100's test classes it is 0.90 with either. Between 0.1
 * and 0.3 it changes little on validation classes.
 */
const DISTANCE_COUNTS = 0.2;

/** Below this share of other classes' pictures, by a normal distribution, are those of a class of which only one example is known. */
const ONE_EXAMPLE = 0.84;

/** Mean directions of classes `[W, F]`, and the length that the head's start gives them: cosines times it are its logits. */
async function meanDirections(pattern: Pattern, rows: Rows, below: TensorFeeds, known: TensorFeeds | undefined) {
  const head =
    known ?? (await startHead(pattern, rows.encoded['features'] as Tensor, rows.labels, rows.ways, below, undefined));
  const { dims } = head['head.weight'] as Tensor;
  const length = dims[1] as number;
  const data = dataOf(head['head.weight']);
  // A head of distances has a bias; only one of cosines tells how near a picture is.
  if (dataOf(head['head.bias']).some((value) => value !== 0)) return undefined;
  const scale = Math.sqrt(data.subarray(0, length).reduce((sum, value) => sum + value * value, 0)) || 1;
  return { data: data.map((value) => value / scale), shape: dims, scale };
}

/** Cosines of the rows of whose class something is left without them; undefined where there are none. */
function askedAlike(cosines: Asked, rows: Rows): Asked | undefined {
  const counts = askable(rows);
  return counts.includes(1) ? { ...cosines, counts } : undefined;
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
  askedRows(asked).map(({ row, label }) =>
    row.reduce((most, value, way) => (withOwn || way !== label ? Math.max(most, value) : most), -Infinity),
  );

/** Cosines of rows, less a share of the distances of their outputs by heads in closed form. */
const without = (cosines: Asked, asked: Asked, share: number): Asked => {
  if (share === 0) return { ...asked, logits: cosines.logits };
  const ways = asked.logits.length / asked.labels.length;
  const nearness = new Float32Array(asked.logits.length);
  for (let at = 0; at < nearness.length; at += ways) {
    const distances = distancesToClasses(asked.logits.subarray(at, at + ways));
    for (const [way, distance] of distances.entries())
      nearness[at + way] = (cosines.logits[at + way] as number) - share * distance;
  }
  return { ...asked, logits: nearness };
};

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
 * something below the head has moved, which drives both apart, half-way to views of the examples. `moved` says whether something below the
 * head has; `asked`, where nothing has, what the head in closed form took examples for that it had not seen, and `started` what the start
 * did, where that is known.
 */
export async function familiarity(
  pattern: Pattern,
  all: Rows,
  { values, solved, losses }: Pick<AdaptedValues, 'values' | 'solved' | 'losses'>,
  {
    moved,
    asked,
    started,
  }: { readonly moved: boolean; readonly asked: Asked | undefined; readonly started: Asked | undefined },
): Promise<Map<string, ProfileValue> | undefined> {
  const rows = presentClasses(withoutViews(all));
  if (!pattern.solve || !pattern.leftOut || rows.ways < 2 || rows.ways < all.ways) return undefined;
  const below = storedTensors(new Map([...values].filter(([name]) => pattern.start.has(name))));
  // Of two classes one is left, which alone says nothing; nor do outputs of views that steps asked about.
  const share = solved && rows.ways > 2 && (!moved || askable(rows).includes(1)) ? DISTANCE_COUNTS : 0;
  const isStart = losses.length === 0 && !solved && rows.labels.length === all.labels.length;
  const means = await meanDirections(
    pattern,
    rows,
    below,
    isStart && !pattern.keptHead ? storedTensors(values) : undefined,
  );
  if (!means) return undefined;
  const { data, shape, scale } = means;
  const isKnown = isStart && started?.labels.length === rows.labels.length;
  const own = isKnown ? started.logits : await leftOutLogits(pattern, rows, below);
  const logits = own.map((value) => value / scale);
  const cosines = { logits, labels: rows.labels, counts: rows.support };
  const isAsked = asked !== undefined && !moved && rows.labels.length === all.labels.length;
  const both = share > 0 ? await askStrangers(pattern, rows, below, !isAsked) : undefined;
  const held = both ? (isAsked ? asked : both.held) : askedAlike(cosines, rows);
  const left = both?.strangers ?? cosines;
  const strangers = spreadOf(nearest(without(cosines, left, share), false));
  const near = held
    ? spreadOf(nearest(without(cosines, held, share), true))
    : moved
      ? await spreadOfViews(pattern, all, below, scale)
      : undefined;
  const threshold = near
    ? between(strangers, near, held !== undefined)
    : strangers.mean + ONE_EXAMPLE * strangers.deviation;
  return new Map([
    [FAMILIAR.means, { shape, data }],
    [FAMILIAR.line, { shape: [3], data: Float32Array.of(0, threshold, share) }],
  ]);
}

/** Where two spreads are as often on the other side, or half-way between their means. */
const between = (one: Spread, other: Spread, weighed: boolean): number =>
  weighed
    ? (other.mean * one.deviation + one.mean * other.deviation) / (one.deviation + other.deviation)
    : (one.mean + other.mean) / 2;

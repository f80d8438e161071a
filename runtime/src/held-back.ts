import type { ProfileValue } from './profile.js';
import { rowLoss } from './row-loss.js';

/** What is known of a profile from examples that it was asked about and had not seen. */
export interface HeldBack {
  /** Examples that were asked about. */
  readonly asked: number;
  /** Those whose class came out as the most probable. */
  readonly right: number;
  /** Mean cross-entropy. */
  readonly loss: number;
}

/** Logits of examples by classes that were made without them, class by class. */
export interface Asked {
  /** `[N, W]` */
  readonly logits: Float32Array;
  readonly labels: Int32Array;
  /** 1 for the rows that have a meaning: something is left of their class. */
  readonly counts: Float32Array;
}

/** The rows that count, with their labels. */
export function askedRows({ logits, labels, counts }: Asked): { readonly row: Float32Array; readonly label: number }[] {
  const ways = logits.length / labels.length;
  return [...labels].flatMap((label, i) =>
    counts[i] ? [{ row: logits.subarray(i * ways, (i + 1) * ways), label }] : [],
  );
}

export function heldBackOf(asked: Asked): HeldBack | undefined {
  const rows = askedRows(asked);
  if (rows.length === 0) return undefined;
  const right = rows.filter(({ row, label }) =>
    row.every((value, way) => way === label || value < (row[label] as number)),
  );
  const loss = rows.reduce((sum, { row, label }) => sum + rowLoss(row, label), 0) / rows.length;
  return { asked: rows.length, right: right.length, loss };
}

/** How far the temperature may be from 1, and how much evidence speaks for 1 beforehand: as if of so many examples. */
const [FARTHEST, PRIOR] = [8, 10];

/**
 * The temperature that makes probabilities of `softmax(logits / T)` honest: of the smallest cross-entropy on what was held back (Guo et
 * al. 2017), pulled towards 1, as examples are few.
 */
export function temperatureOf(asked: Asked): number {
  const rows = askedRows(asked);
  if (rows.length === 0) return 1;
  const badness = (log: number): number => {
    const inverse = Math.exp(-log);
    const sum = rows.reduce(
      (total, { row, label }) =>
        total +
        rowLoss(
          row.map((value) => value * inverse),
          label,
        ),
      0,
    );
    return sum + (PRIOR / 2) * log * log;
  };
  // One valley: golden sections (Kiefer 1953).
  const ratio = (Math.sqrt(5) - 1) / 2;
  let [low, high] = [-Math.log(FARTHEST), Math.log(FARTHEST)];
  for (let i = 0; i < 40; i++) {
    const [left, right] = [high - ratio * (high - low), low + ratio * (high - low)];
    if (badness(left) < badness(right)) high = right;
    else low = left;
  }
  return Math.exp((low + high) / 2);
}

/** A profile's values with logits divided by a temperature. */
export function cooled(values: ReadonlyMap<string, ProfileValue>, temperature: number): Map<string, ProfileValue> {
  const result = new Map(values);
  if (temperature === 1) return result;
  for (const name of ['head.weight', 'head.bias']) {
    const { shape, data } = values.get(name) as ProfileValue;
    result.set(name, { shape, data: data.map((value) => value / temperature) });
  }
  return result;
}

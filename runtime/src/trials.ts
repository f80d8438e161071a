import { adaptPattern, type StepsOptions } from './adapt.js';
import { type Asked, askedRows, temperatureOf } from './held-back.js';
import type { Pattern } from './pattern.js';
import { rowLoss } from './row-loss.js';
import { type Rows, takeRows } from './rows.js';
import { runSession } from './run-session.js';
import { dataOf, storedTensors } from './tensors.js';

// A pattern is tried on some of the examples and asked about the others.

export interface Split {
  /** Numbers of the rows that a trial adapts to: every second example of a class, beginning with its first, and the views of them. */
  readonly taught: readonly number[];
  /** Examples that it is asked about, without views; none where every class has but one. */
  readonly asked: readonly number[];
}

export function splitRows({ examples, labels, support }: Pick<Rows, 'examples' | 'labels' | 'support'>): Split {
  const seen = new Map<number, number>();
  const isTaught = new Map<number, boolean>();
  for (const [i, example] of examples.entries()) {
    if (isTaught.has(example)) continue;
    const label = labels[i] as number;
    const place = seen.get(label) ?? 0;
    isTaught.set(example, place % 2 === 0);
    seen.set(label, place + 1);
  }
  const numbers = [...examples.keys()];
  const taught = numbers.filter((i) => isTaught.get(examples[i] as number));
  return { taught, asked: numbers.filter((i) => support[i] === 1 && !isTaught.get(examples[i] as number)) };
}

/** A probability that float32 rounds to 0 is no infinite loss. */
const LEAST = 1e-38;

/** Adapts to the rows that are taught, and answers what the others are. */
export async function tryOn(pattern: Pattern, rows: Rows, split: Split, options: StepsOptions): Promise<Asked> {
  const { values } = await adaptPattern(pattern, takeRows(rows, split.taught), options);
  const { encoded, labels } = takeRows(rows, split.asked);
  const { probabilities } = await runSession(pattern.predict, { ...encoded, ...storedTensors(values) });
  const logits = dataOf(probabilities).map((value) => Math.log(Math.max(value, LEAST)));
  return { logits, labels, counts: new Float32Array(labels.length).fill(1) };
}

/** Cross-entropies at the temperature that suits them best: what is compared is what was learned, not how sure it is. */
function lossesOf(asked: Asked): number[] {
  const temperature = temperatureOf(asked);
  return askedRows(asked).map(({ row, label }) =>
    rowLoss(
      row.map((value) => value / temperature),
      label,
    ),
  );
}

/** By how much the loss of rows falls from one trial to another, in the mean, and the standard error of that. */
export function gainOf(from: Asked, to: Asked): { readonly mean: number; readonly error: number } {
  const after = lossesOf(to);
  const gains = lossesOf(from).map((loss, i) => loss - (after[i] as number));
  const mean = gains.reduce((sum, value) => sum + value, 0) / gains.length;
  const variance = gains.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(gains.length - 1, 1);
  return { mean, error: Math.sqrt(variance / gains.length) };
}

import type { Bundle, Example, ImageInput } from '@whet/runtime/web';

export interface ComparedPattern {
  readonly pattern: string;
  /** Median ms to adapt. */
  readonly adapt: number;
  readonly right: number;
  readonly count: number;
  /** Bytes of a profile. */
  readonly bytes: number;
}

export interface HeldBackAnswers {
  /** Classes, those that were shown first. */
  readonly names: readonly string[];
  /** Pictures by their class, and by the class that they were taken for. */
  readonly counts: readonly (readonly number[])[];
  /** Below this probability, an answer is not sure. */
  readonly threshold: number;
}

interface Answer {
  readonly own: string;
  readonly said: string;
  readonly probability: number;
}

/** Rounds at most: in each, another part of every class is held back. */
const [ASKED, COMPARED] = [5, 3];

/** Which round holds back each example: those of a class take turns, and one that is alone is never held back. */
function roundsOf(labels: readonly string[], most: number): number[] {
  const counts = new Map<string, number>();
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  const rounds = Math.min(most, Math.max(...counts.values()));
  const seen = new Map<string, number>();
  return labels.map((label) => {
    const index = seen.get(label) ?? 0;
    seen.set(label, index + 1);
    return (counts.get(label) ?? 0) > 1 ? index % rounds : -1;
  });
}

/** What every example is taken for by a profile that was adapted without it, and how long each of these took. */
async function askInRounds(
  open: Bundle,
  pattern: string,
  inputs: readonly Example<ImageInput>[],
  { most, signal }: { readonly most: number; readonly signal: AbortSignal },
) {
  const rounds = roundsOf(
    inputs.map(({ label }) => label),
    most,
  );
  const answers: Answer[] = [];
  const times: number[] = [];
  let bytes = 0;
  for (let round = 0; round <= Math.max(...rounds); round++) {
    const [kept, held] = [false, true].map((isHeld) => inputs.filter((_, i) => (rounds[i] === round) === isHeld));
    const { profile, milliseconds } = await open.adapt(kept ?? [], { pattern, signal });
    times.push(milliseconds.total);
    bytes = profile.byteLength;
    const images = (held ?? []).map(({ image }) => image);
    for (const [i, { label, probabilities }] of (await open.predict(profile, images)).entries()) {
      answers.push({ own: held?.[i]?.label ?? '', said: label, probability: probabilities[label] ?? 0 });
    }
  }
  return { answers, times, bytes };
}

/** Probabilities below which an answer is never, and above which it is always taken for sure; and where nothing could be asked. */
const [LEAST, MOST, UNKNOWN] = [0.5, 0.9, 0.6];
/** The share of sure answers that are to be right. */
const RIGHT = 0.95;

/** The least probability above which 19 of 20 answers were right. */
function thresholdOf(answers: readonly Answer[]): number {
  if (answers.length === 0) return UNKNOWN;
  const sorted = [...answers].sort((a, b) => b.probability - a.probability);
  let [right, threshold] = [0, MOST];
  for (const [i, { own, said, probability }] of sorted.entries()) {
    right += Number(own === said);
    if (right >= RIGHT * (i + 1)) threshold = probability;
  }
  return Math.min(MOST, Math.max(LEAST, threshold));
}

/** Asks about examples that are held back, in turns. */
export async function askHeldBack(
  open: Bundle,
  pattern: string,
  inputs: readonly Example<ImageInput>[],
  signal: AbortSignal,
): Promise<HeldBackAnswers> {
  const { answers } = await askInRounds(open, pattern, inputs, { most: ASKED, signal });
  const names = [...new Set([...inputs.map(({ label }) => label), ...answers.map(({ said }) => said)])];
  const counts = names.map((own) =>
    names.map((said) => answers.filter((one) => one.own === own && one.said === said).length),
  );
  return { names, counts, threshold: thresholdOf(answers) };
}

/** Time and accuracy of a pattern on examples that are held back. */
export async function comparePattern(
  open: Bundle,
  pattern: string,
  inputs: readonly Example<ImageInput>[],
  signal: AbortSignal,
): Promise<ComparedPattern> {
  // The first run of a session takes longer than the next.
  await open.adapt(inputs, { pattern, steps: 1, always: true, signal });
  const { answers, times, bytes } = await askInRounds(open, pattern, inputs, { most: COMPARED, signal });
  times.sort((a, b) => a - b);
  const right = answers.filter(({ own, said }) => own === said).length;
  return { pattern, adapt: times[Math.floor(times.length / 2)] as number, right, count: answers.length, bytes };
}

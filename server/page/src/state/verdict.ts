import { computed } from '@preact/signals';
import type { PredictedImage } from '../workers/compute.js';
import { classes, person, query } from './signals.js';

/** What is said of a picture: a class, two between which it is not sure, or none of them. */
export type Verdict =
  | { readonly kind: 'class'; readonly label: string }
  | { readonly kind: 'unsure'; readonly label: string; readonly other: string | undefined }
  | { readonly kind: 'none' };

/** ms after which what was seen counts a third of what is seen now. */
const MEMORY_MS = 300;
/** Below this probability an answer is not sure, before anything could be held back. */
const UNKNOWN = 0.6;

/** A prediction of a live picture with those before it, if they are of the same classes, some milliseconds after the last of them. */
export function smoothed(before: PredictedImage | undefined, now: PredictedImage, elapsed: number): PredictedImage {
  const share = Math.exp(-elapsed / MEMORY_MS);
  const mixed = (old: number | undefined, value: number) =>
    old === undefined ? value : share * old + (1 - share) * value;
  const isSame =
    before?.probabilities.length === now.probabilities.length &&
    before.probabilities.every(({ label }, i) => label === now.probabilities[i]?.label);
  if (!before || !isSame) return now;
  const probabilities = now.probabilities.map(({ label, probability }, i) => ({
    label,
    probability: mixed(before.probabilities[i]?.probability, probability),
  }));
  const { label } = probabilities.reduce((a, b) => (b.probability > a.probability ? b : a));
  const familiarity = now.familiarity === undefined ? {} : { familiarity: mixed(before.familiarity, now.familiarity) };
  return { ...now, label, probabilities, ...familiarity };
}

/** What is said of the picture at hand. */
export const verdict = computed((): Verdict | undefined => {
  const predicted = query.value?.prediction;
  if (!predicted) return undefined;
  const background = new Set(classes.value.flatMap(({ name, isBackground }) => (isBackground ? [name] : [])));
  const [first, second] = [...predicted.probabilities].sort((a, b) => b.probability - a.probability);
  if (!first) return undefined;
  if ((predicted.familiarity ?? 0) < 0 || background.has(first.label)) return { kind: 'none' };
  const threshold = person.value?.extra.quality?.threshold ?? UNKNOWN;
  if (first.probability >= threshold) return { kind: 'class', label: first.label };
  return { kind: 'unsure', label: first.label, other: second?.label };
});

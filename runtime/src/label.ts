/** Bytes of UTF-8 that the name of a class may have. */
export const MAX_LABEL_BYTES = 256;

const PLAIN = /^[\x20-\x7e]*$/;
/** Blanks of any width, which look alike: a blank at either end shows nowhere. */
const BLANK = /\p{Zs}/gu;
// Joiners, marks of direction, variation selectors, fillers: what a name may hold and nobody sees. Of a flag, they say which.
const UNSEEN = /(\u{1f3f4}[\u{e0020}-\u{e007f}]+)|[\p{Default_Ignorable_Code_Point}\ufff9-\ufffb]/gu;
/** And what ends a line. */
const CONTROL = /[\p{Cc}\u2028\u2029]/u;
// A lone surrogate becomes U+FFFD on the way to disk, and in a form stray bytes have become it: two classes would be one.
const NO_TEXT = /[\p{Surrogate}\ufffd]/u;

/**
 * What labels are compared by: composed (NFC), without characters that have no width, all blanks alike and none at the ends. A class keeps
 * the name that it got first.
 */
export function labelKey(label: string): string {
  if (PLAIN.test(label)) return label.trim();
  const seen = label.replace(UNSEEN, (_, flag?: string) => flag ?? '').normalize('NFC');
  return seen.replace(BLANK, ' ').trim();
}

/** What is expected of a label, and what came; undefined where it can name a class. */
export function labelProblem(label: string, maxBytes = MAX_LABEL_BYTES): string | undefined {
  const bytes = new TextEncoder().encode(label).byteLength;
  let got: string | undefined;
  if (label === '') got = 'an empty one';
  else if (label.trim() === '') got = 'nothing but space';
  else if (bytes > maxBytes) got = `${bytes} bytes`;
  else if (CONTROL.test(label)) got = shown(label);
  else if (NO_TEXT.test(label)) got = 'what is not UTF-8';
  else if (labelKey(label) === '') got = 'nothing but space';
  return got && `expected a label of 1 to ${maxBytes} bytes of UTF-8 without control characters, got ${got}`;
}

/** In quotes, as a terminal may have it: JSON leaves the upper control characters as they are. */
function shown(label: string): string {
  return JSON.stringify(label).replace(
    /[\x7f-\x9f\u2028\u2029]/g,
    (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Why these cannot be the classes of a profile from elsewhere; undefined where they can. `own` are the bundle's, which are as they are. */
export function labelsProblem(labels: readonly string[], own: readonly string[] = []): string | undefined {
  const kept = new Set(own);
  const problem = labels.map((label) => (kept.has(label) ? undefined : labelProblem(label))).find(Boolean);
  if (problem !== undefined) return problem;
  const same = sameLabels(labels)?.map((i) => shown(labels[i] as string));
  return same && `expected names that differ to the eye, got ${same.join(' and ')}`;
}

/** The first two labels that are the same one to {@link labelKey}, by their places; undefined where all differ. */
export function sameLabels(labels: readonly string[]): readonly [number, number] | undefined {
  const seen = new Map<string, number>();
  for (const [i, label] of labels.entries()) {
    const key = labelKey(label);
    const before = seen.get(key);
    if (before !== undefined) return [before, i];
    seen.set(key, i);
  }
  return undefined;
}

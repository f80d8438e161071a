/** What stands for a part of a text that is only known when it is made. */
export const HOLE = '…';

/** Characters in a row by which messages that a text may be about are looked up. */
const RUN = 12;
/** A part of a message means it from so many characters and words on, and as this share of what it always says. */
const PART = { characters: 16, words: 3, share: 0.25 };
/** What stands in a hole at the end of a text is short, where the message goes on: else the text is about something else. */
const MOST_IN_HOLE = 24;

const piecesOf = (text: string): string[] => text.split(HOLE).filter((piece) => /\S/.test(piece));
const fixedOf = (text: string): number => text.length - (text.split(HOLE).length - 1);
const isWord = (character: string | undefined): boolean => character !== undefined && /[\p{L}\d]/u.test(character);

function runsOf(text: string): string[] {
  const runs: string[] = [];
  for (let i = 0; i + RUN <= text.length; i++) runs.push(text.slice(i, i + RUN));
  return runs;
}

/** Whether a test says everything that a message always says, in this order. */
function saysAll(expected: string, message: string): boolean {
  let from = 0;
  for (const piece of piecesOf(message)) {
    const at = expected.indexOf(piece, from);
    if (at < 0) return false;
    from = at + piece.length;
  }
  return true;
}

/** No way to read the text as a part of the message, from here on. */
const NONE = -1;

/** What a text and a message have in common. */
interface Shared {
  /** Places in the text. */
  readonly places: readonly number[];
  /** Place in the message behind the last of them. */
  readonly end: number;
}

/**
 * The places in a text where it says the same as a message, read as a part of `before MESSAGE after`: what the text says and
 * the message does not stands in a hole of the message, before it or after it; a hole of the text takes whatever the message
 * says. Of all ways to read it so the one with most in common.
 */
function sharedBy(text: string, message: string): Shared {
  const width = message.length + 1;
  // At [i, j]: most characters that the text from i and the message from j have in common, and the step that leads there.
  const shared = new Int16Array((text.length + 1) * width);
  const steps = new Int32Array(shared.length);
  for (let i = text.length; i >= 0; i--) {
    for (let j = message.length; j >= 0; j--) {
      const at = i * width + j;
      if (i === text.length || j === message.length) {
        // A message ends where a word ends.
        if (i < text.length && isWord(message[j - 1]) && isWord(text[i]) && text[i - 1] === message[j - 1])
          shared[at] = NONE;
        continue;
      }
      let best = NONE;
      const take = (step: number, more: number) => {
        const value = shared[at + step] as number;
        if (value === NONE || value + more <= best) return;
        best = value + more;
        steps[at] = step;
      };
      if (text[i] === message[j] && text[i] !== HOLE) take(width + 1, 1);
      if (text[i] === HOLE || message[j] === HOLE) {
        take(width, 0);
        take(1, 0);
      }
      shared[at] = best;
    }
  }
  let start = 0;
  const consider = (at: number) => {
    // The last of those that are alike, which is the closest to what follows.
    if ((shared[at] as number) >= (shared[start] as number)) start = at;
  };
  for (let j = 0; j < message.length; j++) consider(j);
  for (let i = 1; i < text.length; i++) if (!(isWord(text[i - 1]) && isWord(message[0]))) consider(i * width);
  const places: number[] = [];
  let end = 0;
  for (let at = start; (shared[at] as number) > 0; at += steps[at] as number) {
    if (steps[at] !== width + 1) continue;
    places.push(Math.floor(at / width));
    end = (at % width) + 1;
  }
  return { places, end };
}

/** Whether a text says all of a message, or enough of it to mean that one. */
function means(text: string, message: string, { places, end }: Shared): boolean {
  const fixed = fixedOf(message);
  if (places.length === fixed) return true;
  const words = Array.from(places, (place) => text[place])
    .join('')
    .split(' ').length;
  const enough = places.length >= Math.max(PART.characters, PART.share * fixed) && words >= PART.words;
  const goesOn = fixedOf(message.slice(end)) > 0;
  return enough && (!goesOn || text.length - 1 - (places.at(-1) as number) <= MOST_IN_HOLE);
}

/** Finds the messages that a text of a test is about. */
export class MessageIndex {
  readonly #byRun = new Map<string, Set<string>>();
  /** Messages of short pieces. */
  readonly #short: string[] = [];

  constructor(texts: Iterable<string>) {
    for (const text of new Set(texts)) {
      const runs = piecesOf(text).flatMap(runsOf);
      if (runs.length === 0) this.#short.push(text);
      for (const run of runs) {
        const known = this.#byRun.get(run);
        if (known) known.add(text);
        else this.#byRun.set(run, new Set([text]));
      }
    }
  }

  /**
   * The messages that the text says: each has a part of the text that no other message fits better. A part that fits several
   * alike is of none, unless it is all that they say.
   */
  find(expected: string): Set<string> {
    const candidates = new Set(this.#short.filter((message) => saysAll(expected, message)));
    for (const run of runsOf(expected)) for (const message of this.#byRun.get(run) ?? []) candidates.add(message);
    const fits = [...candidates]
      .map((message) => ({ message, fixed: fixedOf(message), ...sharedBy(expected, message) }))
      .filter(({ message, ...shared }) => means(expected, message, shared))
      .sort((a, b) => b.places.length - a.places.length || a.fixed - b.fixed);
    const found = new Set<string>();
    const taken = new Map<number, number>();
    for (const [i, { message, fixed, places }] of fits.entries()) {
      const alike = (other: number) => fits[other]?.places.length === places.length && fits[other]?.fixed === fixed;
      // What another fits better; but two may say the same in other words that are only known later.
      if (places.some((place) => taken.has(place) && !(places.length === fixed && alike(taken.get(place) as number))))
        continue;
      for (const place of places) taken.set(place, i);
      const next = fits[i + 1];
      const shared =
        next && next.places.length === places.length && next.places.some((place) => taken.get(place) === i);
      if (places.length === fixed || !shared) found.add(message);
    }
    return found;
  }
}

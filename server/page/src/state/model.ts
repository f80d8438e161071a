import { AUTO, labelKey, labelProblem, MAX_LABEL_BYTES } from '@whet/runtime/format';
import type { AutoReport, HeldBack, Manifest, Preprocessing, StoredProfile } from '@whet/runtime/web';

/** One example picture, as the bundle sees it: `[H, W, C]`, 0..255. */
export interface Picture {
  readonly id: string;
  readonly pixels: Uint8Array;
}

export interface ClassOf {
  readonly id: string;
  readonly name: string;
  readonly pictures: readonly Picture[];
  /** Examples that are not on this device: those of an imported profile. */
  readonly elsewhere: number;
}

/** What the last adaptation came to, for showing it. */
export interface LastAdaptation {
  readonly pattern: string;
  readonly losses: readonly number[];
  /** ms */
  readonly encode: number;
  readonly steps: number;
  readonly total: number;
  readonly examples: number;
  /** Those of them that had to be encoded. */
  readonly encoded: number;
  readonly backend: string;
  /** Examples that it was asked about and had not seen; absent where none could be held back. */
  readonly heldBack?: HeldBack;
  /** Why no step was taken; absent where some were, or none were to be. */
  readonly spared?: string;
  /** What was tried, and why this pattern; absent where a person chose it. */
  readonly auto?: AutoReport;
  /** ms of moving everything, for the speed-up; absent until measured. */
  readonly dense?: number;
}

export interface Extra {
  readonly classes: readonly ClassOf[];
  /** Of the bundle, or `auto`. */
  readonly pattern: string;
  /** Classes and examples changed since the last adaptation. */
  readonly stale: boolean;
  /** An older version of the model learned from these examples, and this one not yet. */
  readonly isOlder?: boolean;
  /** {@link pictureForm} of the bundle that the pictures were made for. */
  readonly form?: string;
  readonly last?: LastAdaptation;
}

export type Person = StoredProfile<Extra>;

const newId = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(8)), (b) => b.toString(16).padStart(2, '0')).join('');

export function newPerson(bundle: string, name: string, pattern: string): Person {
  const now = new Date().toISOString();
  return { id: newId(), name, bundle, created: now, changed: now, extra: { classes: [], pattern, stale: false } };
}

/** What a person may choose of: with more than one pattern also `auto`, which comes first and is the default. */
export function patternChoices({ patterns, defaultPattern, auto = false }: Manifest): {
  names: string[];
  preset: string;
} {
  const names = Object.keys(patterns);
  const choices = names.length > 1 ? [AUTO, ...names] : names;
  return { names: choices, preset: auto ? (choices[0] as string) : defaultPattern };
}

/** The pattern that moves the most weights, which speed-ups are over. */
export function densest({ patterns }: Manifest): string {
  const moved = (name: string) => (patterns[name]?.moving ?? []).reduce((sum, { moving }) => sum + moving, 0);
  return Object.keys(patterns).reduce((most, name) => (moved(name) > moved(most) ? name : most));
}

/** What of a bundle's preprocessing decides the pixels of a picture. */
export const pictureForm = ({
  width,
  height,
  channels,
  fit,
  background,
  kernel,
  resize,
  grey,
}: Preprocessing): string =>
  JSON.stringify([width, height, channels, fit, background, kernel, ...(resize || grey ? [resize, grey] : [])]);

/**
 * A profile of an older version of a bundle for the one that is open: with its examples, to be adapted again. Undefined where its
 * pictures are of another form, or it has classes whose examples are elsewhere, so that what it learned could not be learned again.
 */
export function carriedOver(whole: Person, digest: string, manifest: Manifest): Person | undefined {
  const { bytes, ...rest } = whole;
  // The same model in another form.
  if (manifest.formerly?.includes(whole.bundle)) return { ...whole, bundle: digest };
  const { last: _, isOlder = false, pattern, classes, ...extra } = rest.extra;
  if (extra.form !== pictureForm(manifest.preprocessing)) return undefined;
  if (bytes && classes.some(({ pictures, elsewhere }) => elsewhere > 0 || pictures.length === 0)) return undefined;
  const { names, preset } = patternChoices(manifest);
  const taken = names.includes(pattern) ? pattern : preset;
  const older = { ...extra, classes, pattern: taken, stale: true, isOlder: isOlder || bytes !== undefined };
  return { ...rest, bundle: digest, extra: older };
}

/** Whether two lists of classes give the same examples, by their names and the ids of their pictures. */
export function sameExamples(one: readonly ClassOf[], other: readonly ClassOf[]): boolean {
  const keyOf = (all: readonly ClassOf[]) =>
    JSON.stringify(all.map(({ name, pictures }) => [name, pictures.map(({ id }) => id)]));
  return keyOf(one) === keyOf(other);
}

const sameBytes = (one: Uint8Array, other: Uint8Array) =>
  one.length === other.length && one.every((value, i) => value === other[i]);

/** A profile as it was read, with the pictures and bytes of the one that is shown where they are equal: nothing of it is drawn anew. */
export function reusing(read: Person, shown: Person | undefined): Person {
  if (!shown) return read;
  const pictures = new Map(shown.extra.classes.flatMap((one) => one.pictures.map((picture) => [picture.id, picture])));
  const classes = read.extra.classes.map((one) => ({
    ...one,
    pictures: one.pictures.map((picture) => pictures.get(picture.id) ?? picture),
  }));
  const isSame = read.bytes && shown.bytes && sameBytes(read.bytes, shown.bytes);
  return { ...read, ...(isSame ? { bytes: shown.bytes } : {}), extra: { ...read.extra, classes } };
}

export const picturesOf = (classes: readonly ClassOf[]): number =>
  classes.reduce((sum, { pictures }) => sum + pictures.length, 0);

export const isSameName = (one: string, other: string): boolean => labelKey(one) === labelKey(other);

/** The same classes with pictures added to the one of that name, which is made where there is none. */
export function withPictures(classes: readonly ClassOf[], name: string, added: readonly Uint8Array[]): ClassOf[] {
  const pictures = added.map((pixels): Picture => ({ id: newId(), pixels }));
  const found = classes.find((one) => isSameName(one.name, name));
  if (!found) return [...classes, { id: newId(), name, pictures, elsewhere: 0 }];
  return classes.map((one) => (one === found ? { ...one, pictures: [...one.pictures, ...pictures] } : one));
}

/** Why a name cannot be a class's; undefined where it can. */
export function nameProblem(name: string): string | undefined {
  if (labelKey(name).trim() === '') return 'Give the class a name first.';
  if (labelProblem(name) === undefined) return undefined;
  return `A class name has at most ${MAX_LABEL_BYTES} bytes and no control characters.`;
}

/** What is missing before adapting; undefined where nothing is. */
export function adaptProblem(
  classes: readonly ClassOf[],
  limits: { readonly maxClasses: number; readonly maxExamples: number },
  own: number,
): string | undefined {
  const without = classes.filter(({ pictures }) => pictures.length === 0).map(({ name }) => name);
  const pictures = picturesOf(classes);
  if (pictures === 0) return 'Add examples of two classes or more.';
  if (own === 0 && classes.length < 2) return 'Add examples of a second class.';
  if (without.length > 0) return `Add an example of ${without.join(', ')} on this device, or delete it.`;
  if (classes.length + own > limits.maxClasses) return `This model takes at most ${limits.maxClasses} classes.`;
  if (pictures > limits.maxExamples) return `This model takes at most ${limits.maxExamples} examples.`;
  return undefined;
}

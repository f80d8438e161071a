import { labelKey, labelProblem, MAX_LABEL_BYTES } from '@whet/runtime/format';
import type { AutoReport, HeldBack, Manifest, Preprocessing, Reason, StoredProfile } from '@whet/runtime/web';
import { t } from '../messages/index.js';
import { patternChoices } from './patterns.js';

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
  /** Whether it holds what is none of the others: an answer in words, not a thing. */
  readonly isBackground?: boolean;
}

/** What came of asking about pictures that were held back. */
export interface Quality {
  /** {@link examplesKey} of what was asked. */
  readonly key: string;
  readonly names: readonly string[];
  /** Pictures by their class, and by the class that they were taken for. */
  readonly counts: readonly (readonly number[])[];
  /** Below this probability, an answer is not sure. */
  readonly threshold: number;
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
  /** What was tried; absent where a person chose it. */
  readonly auto?: AutoReport;
  /** Why this pattern, or why no step was taken; absent where some were, or none were to be. */
  readonly why?: Reason;
  /** ms of moving everything, for the speed-up; absent until somebody asks. */
  readonly dense?: number;
}

export interface Extra {
  readonly classes: readonly ClassOf[];
  /** Of the bundle, or `auto`. */
  readonly pattern: string;
  /** {@link examplesKey} of what it learned from; absent before, and of a profile that came without its pictures. */
  readonly learned?: string;
  /** ms that took. */
  readonly learnedIn?: number;
  /** The same of what `auto` has chosen for; it takes longer, and follows once nothing changes any more. */
  readonly chosen?: string;
  readonly quality?: Quality;
  /** An older version of the model learned from these examples, and this one not yet. */
  readonly isOlder?: boolean;
  /** {@link pictureForm} of the bundle that the pictures were made for. */
  readonly form?: string;
  readonly last?: LastAdaptation;
}

export type Person = StoredProfile<Extra>;

const newId = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(8)), (b) => b.toString(16).padStart(2, '0')).join('');

export function newPerson(bundle: string, name: string, pattern: string, classes: readonly ClassOf[] = []): Person {
  const now = new Date().toISOString();
  return { id: newId(), name, bundle, created: now, changed: now, extra: { classes, pattern } };
}

export const newClass = (name: string, pictures: readonly Picture[] = []): ClassOf => ({
  id: newId(),
  name,
  pictures,
  elsewhere: 0,
});

/** Pictures as they are kept, each with a name of its own. */
export const picturesFrom = (all: readonly Uint8Array[]): Picture[] => all.map((pixels) => ({ id: newId(), pixels }));

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
  const { last: _, learned: _learned, chosen: _chosen, quality: _quality, ...kept } = rest.extra;
  const { isOlder = false, pattern, classes, ...extra } = kept;
  if (extra.form !== pictureForm(manifest.preprocessing)) return undefined;
  if (bytes && classes.some(({ elsewhere }) => elsewhere > 0)) return undefined;
  const { names, preset } = patternChoices(manifest);
  const taken = names.includes(pattern) ? pattern : preset;
  const older = { ...extra, classes, pattern: taken, isOlder: isOlder || bytes !== undefined };
  return { ...rest, bundle: digest, extra: older };
}

/** What an adaptation depends on: the pattern, the names of classes and the pictures of each. */
export const examplesKey = ({ pattern, classes }: Pick<Extra, 'pattern' | 'classes'>): string =>
  JSON.stringify([
    pattern,
    classes.filter(hasPictures).map(({ name, pictures }) => [name, ...pictures.map(({ id }) => id)]),
  ]);

const hasPictures = ({ pictures }: ClassOf): boolean => pictures.length > 0;

/** A class that nobody has used: it goes where pictures of others come. */
export const isBlank = ({ pictures, elsewhere, isBackground }: ClassOf): boolean =>
  pictures.length === 0 && elsewhere === 0 && !isBackground;

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
export function withPictures(classes: readonly ClassOf[], name: string, added: readonly Picture[]): ClassOf[] {
  const found = classes.find((one) => isSameName(one.name, name));
  if (!found) return [...classes, newClass(name, added)];
  return classes.map((one) => (one === found ? { ...one, pictures: [...one.pictures, ...added] } : one));
}

/** Why a name cannot be a class's; undefined where it can. */
export function nameProblem(name: string): string | undefined {
  if (labelKey(name).trim() === '') return t().nameFirst;
  return labelProblem(name) === undefined ? undefined : t().nameTooLong(MAX_LABEL_BYTES);
}

/** Names of new classes that none of these has. */
export function freeThingName(classes: readonly ClassOf[]): string {
  for (let number = classes.length + 1; ; number++) {
    const name = t().thing(number);
    if (!classes.some((one) => isSameName(one.name, name))) return name;
  }
}

/** What is missing before it can learn; undefined where nothing is. */
export function adaptProblem(
  classes: readonly ClassOf[],
  limits: { readonly maxClasses: number; readonly maxExamples: number },
  own: number,
): string | undefined {
  const elsewhere = classes.filter((one) => one.elsewhere > 0 && !hasPictures(one)).map(({ name }) => name);
  const [taught, pictures] = [classes.filter(hasPictures).length, picturesOf(classes)];
  if (elsewhere.length > 0) return t().learnElsewhere(elsewhere.join(', '));
  if (pictures === 0) return t().learnFirst;
  if (own === 0 && taught < 2) return t().learnSecond;
  if (taught + own > limits.maxClasses) return t().learnTooManyThings(limits.maxClasses);
  if (pictures > limits.maxExamples) return t().learnTooManyPictures(limits.maxExamples);
  return undefined;
}

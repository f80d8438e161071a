import type { StoredProfile } from '@whet/runtime/web';

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
  /** ms of moving everything, for the speed-up; absent until measured. */
  readonly dense?: number;
}

export interface Extra {
  readonly classes: readonly ClassOf[];
  readonly pattern: string;
  /** Classes and examples changed since the last adaptation. */
  readonly stale: boolean;
  readonly last?: LastAdaptation;
}

export type Person = StoredProfile<Extra>;

export const newId = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(8)), (b) => b.toString(16).padStart(2, '0')).join('');

export function newPerson(bundle: string, name: string, pattern: string): Person {
  const now = new Date().toISOString();
  return { id: newId(), name, bundle, created: now, changed: now, extra: { classes: [], pattern, stale: false } };
}

export const picturesOf = (classes: readonly ClassOf[]): number =>
  classes.reduce((sum, { pictures }) => sum + pictures.length, 0);

/** The same classes with pictures added to the one of that name, which is made where there is none. */
export function withPictures(classes: readonly ClassOf[], name: string, added: readonly Uint8Array[]): ClassOf[] {
  const pictures = added.map((pixels): Picture => ({ id: newId(), pixels }));
  if (!classes.some((one) => one.name === name)) return [...classes, { id: newId(), name, pictures, elsewhere: 0 }];
  return classes.map((one) => (one.name === name ? { ...one, pictures: [...one.pictures, ...pictures] } : one));
}

/** Why a name cannot be a class's; undefined where it can. */
export function nameProblem(name: string): string | undefined {
  if (name.trim() === '') return 'Give the class a name first.';
  if (new TextEncoder().encode(name).length > 256) return 'A class name has at most 256 bytes.';
  return undefined;
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

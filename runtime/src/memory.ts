import { InputError } from './errors.js';
import type { Manifest } from './manifest.js';
import type { Pattern } from './pattern.js';
import { Profile } from './profile.js';
import type { EncodedImage, Example } from './types.js';

// What a profile remembers of its examples (latent replay, Pellegrini et al. 2020): features of some of each class, so that what is learned
// later does not displace them. No pictures: what the frozen part of a pattern made of them; of a pattern without one there is no memory.

/** The values of a profile that are its memory: features `[M, F]`, and the class of each `[M]`. */
export const MEMORY = { features: 'memory.features', labels: 'memory.labels' } as const;

export const featureCount = ({ manifest }: Pick<Pattern, 'manifest'>): number =>
  manifest.features.reduce((product, dim) => product * dim, 1);

interface Remembered {
  readonly features: Float32Array;
  readonly label: number;
}

function rowsOf({ values }: Profile): Remembered[] {
  const features = values.get(MEMORY.features);
  const labels = values.get(MEMORY.labels);
  if (!features || !labels) return [];
  const length = features.shape[1] as number;
  return Array.from(labels.data, (label, i) => ({
    label,
    features: features.data.subarray(i * length, (i + 1) * length),
  }));
}

/** Examples that the profiles of a bundle remember at most: half of those of an adaptation, so that there is room for new ones. */
export const mostRemembered = ({ limits }: Pick<Manifest, 'limits'>): number => Math.floor(limits.maxExamples / 2);

/** Examples of each class that a profile goes on remembering, of so many classes: as many as it was asked for, and as there is room for. */
export const rememberedOf = ({ storage: { remember = 0 } }: Profile, ways: number, most: number): number =>
  Math.min(remember, Math.floor(most / ways));

/** The same profile without its memory, which predictions need not. */
export function withoutMemory(profile: Profile): Profile {
  const { bundle, pattern, classes, examples, steps, values, storage } = profile;
  if (!values.has(MEMORY.features)) return profile;
  const kept = ([name]: readonly [string, unknown]) => name !== MEMORY.features && name !== MEMORY.labels;
  const packed = new Map([...(storage.packed ?? [])].filter(kept));
  return new Profile(bundle, pattern, classes, examples, steps, new Map([...values].filter(kept)), {
    packed,
    ...(storage.unmoved ? { unmoved: storage.unmoved } : {}),
  });
}

/** What a profile remembers, as examples of its pattern. */
export const recalled = (profile: Profile, bundle: string): Example<EncodedImage>[] =>
  rowsOf(profile).map(({ features, label }) => ({
    label: profile.classes[label] as string,
    image: { bundle, pattern: profile.pattern, features },
  }));

/** Examples of a class, from which on a head in closed form of what is remembered is as good as one of mean directions of all. */
const ENOUGH = 5;

/** Whether so much is remembered of every class of a profile, or all, that its head can be made anew. */
export function remembersAll(profile: Profile): boolean {
  const counts = new Array<number>(profile.classes.length).fill(0);
  for (const { label } of rowsOf(profile)) counts[label] = (counts[label] as number) + 1;
  return profile.examples.every((all, row) => {
    const own = counts[row] as number;
    return own > 0 && own >= Math.min(all, ENOUGH);
  });
}

/** Whether nothing is computed below what moves, so that features would be pictures. */
function keepsPictures(
  { manifest }: Pattern,
  { preprocessing: { channels, height, width } }: Pick<Manifest, 'preprocessing'>,
) {
  return manifest.features.join() === [channels, height, width].join();
}

/** Throws {@link InputError} where so much cannot be remembered. */
export function checkRemember(
  remember: number,
  ways: number,
  pattern: Pattern,
  manifest: Pick<Manifest, 'limits' | 'preprocessing'>,
): void {
  if (!Number.isSafeInteger(remember) || remember < 0) {
    throw new InputError('remember', `expected a whole number of 0 or more, got ${remember}`);
  }
  if (remember === 0) return;
  if (pattern.moments.frozen.size > 0) {
    const got = `${remember} of "${pattern.name}", whose frozen part is normalized by the examples of each adaptation`;
    throw new InputError('remember', `expected 0, or a pattern whose features depend on an image alone, got ${got}`);
  }
  if (keepsPictures(pattern, manifest)) {
    const got = `${remember} of "${pattern.name}", whose features are the pictures themselves`;
    throw new InputError('remember', `expected 0, or a pattern with a frozen part, got ${got}`);
  }
  const most = mostRemembered(manifest);
  if (remember * ways > most) {
    const got = `${remember} of each of ${ways} classes`;
    throw new InputError(
      'remember',
      `expected at most ${most} in all, half of the examples of an adaptation, got ${got}`,
    );
  }
}

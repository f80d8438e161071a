import { ProfileError } from './errors.js';
import { FAMILIAR } from './familiar-names.js';
import type { Manifest } from './manifest.js';
import { featureCount, MEMORY } from './memory.js';
import { momentNames, type Pattern } from './pattern.js';
import type { Profile } from './profile.js';

/** Throws {@link ProfileError} where a profile's classes or values are not those of its pattern. */
export function checkFits(
  profile: Profile,
  pattern: Pattern,
  { limits, featureLength }: Pick<Manifest, 'limits' | 'featureLength'>,
): void {
  const ways = profile.classes.length;
  if (ways > limits.maxClasses)
    throw new ProfileError(`profile: expected at most ${limits.maxClasses} classes, got ${ways}`);
  const expected = new Map([...pattern.start].map(([name, { shape }]) => [name, shape.join()]));
  expected.set('head.weight', `${ways},${featureLength}`).set('head.bias', `${ways}`);
  for (const [name, shape] of [...pattern.moments.frozen, ...pattern.moments.moving]) expected.set(name, `${shape}`);
  if (pattern.leftOut && profile.values.has(FAMILIAR.means)) {
    expected
      .set(FAMILIAR.means, `${ways},${featureLength}`)
      .set(FAMILIAR.line, profile.values.get(FAMILIAR.line)?.shape.join() === '2' ? '2' : '3');
  }
  const remembered = profile.values.get(MEMORY.labels);
  if (remembered && pattern.moments.frozen.size === 0) {
    const { length } = remembered.data;
    if (length > limits.maxExamples)
      throw new ProfileError(`profile: "${MEMORY.labels}": expected at most ${limits.maxExamples}, got ${length}`);
    const bad = remembered.data.find((row) => !(Number.isInteger(row) && row >= 0 && row < ways));
    if (bad !== undefined)
      throw new ProfileError(`profile: "${MEMORY.labels}": expected numbers of its ${ways} classes, got ${bad}`);
    expected.set(MEMORY.labels, `${length}`).set(MEMORY.features, `${length},${featureCount(pattern)}`);
  }
  for (const [name, shape] of expected) {
    const value = profile.values.get(name);
    if (value?.shape.join() !== shape) {
      throw new ProfileError(
        `profile: "${name}": expected shape [${shape}], got [${value?.shape.join() ?? 'nothing'}]`,
      );
    }
  }
  if (profile.values.size !== expected.size)
    throw new ProfileError('profile: holds values that its pattern does not move');
  for (const { name } of pattern.manifest.normalizations ?? []) {
    const { variance } = momentNames(name);
    const negative = profile.values.get(variance)?.data.find((value) => value < 0);
    if (negative !== undefined) throw new ProfileError(`profile: "${variance}": expected variances, got ${negative}`);
  }
}

/**
 * The values of a profile that tell: the mean direction of each class `[W, F]`, and `[2]`: how much a logit of the head counts beside the
 * cosine to the same class, and from what sum of both on, of the nearest class, a picture is one of the classes.
 */
export const FAMILIAR = { means: 'familiar.means', line: 'familiar.line' } as const;

/**
 * The values of a profile that tell: the mean direction of each class `[W, F]`, and `[3]`: how much a logit of the head counts beside the
 * cosine to the same class, from what sum of all on, of the nearest class, a picture is one of the classes, and how much the distance of the
 * head's outputs counts against it (0 where there are but `[2]`, as in profiles of before).
 */
export const FAMILIAR = { means: 'familiar.means', line: 'familiar.line' } as const;

/**
 * How far what a head in closed form gives for a picture, `logits [W]`, is from what it was made to give for each class: 1 for it and 0 for
 * the others. Its logits are these outputs times a scale, and outputs of all classes add up to 1.
 */
export function distancesToClasses(logits: Float32Array): Float32Array {
  const sum = logits.reduce((total, logit) => total + logit, 0) || 1;
  const square = logits.reduce((total, logit) => total + (logit / sum) ** 2, 0);
  return logits.map((logit) => Math.sqrt(Math.max(square + 1 - (2 * logit) / sum, 0)));
}

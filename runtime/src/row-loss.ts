/** Cross-entropy of a row of logits, with a share of its label smoothed over all classes. */
export function rowLoss(logits: ArrayLike<number>, label: number, smoothing = 0): number {
  let most = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logits.length; i++) most = Math.max(most, logits[i] as number);
  let [sum, mean] = [0, 0];
  for (let i = 0; i < logits.length; i++) {
    sum += Math.exp((logits[i] as number) - most);
    mean += (logits[i] as number) / logits.length;
  }
  const likely = (1 - smoothing) * (logits[label] as number) + (smoothing === 0 ? 0 : smoothing * mean);
  return most + Math.log(sum) - likely;
}

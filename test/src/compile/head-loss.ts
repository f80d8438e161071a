/** Rows of `[N, F]` over their lengths: what a cosine head reads. */
export function directionsOf(features: Float32Array, count: number): Float32Array {
  const length = features.length / count;
  return features.map((value, i) => {
    const row = features.subarray(i - (i % length), i - (i % length) + length);
    return value / Math.hypot(...row);
  });
}

/** Mean cross-entropy of a linear head on features `[N, F]`, in float64. */
export function lossOf(
  features: Float32Array,
  weight: Float32Array,
  bias: Float32Array,
  rows: readonly number[],
): number {
  const length = features.length / rows.length;
  const losses = rows.map((row, n) => {
    const logits = Array.from(bias, (b, way) => {
      let sum = b;
      for (let f = 0; f < length; f++) {
        sum += (features[n * length + f] as number) * (weight[way * length + f] as number);
      }
      return sum;
    });
    const max = Math.max(...logits);
    const total = logits.reduce((sum, logit) => sum + Math.exp(logit - max), 0);
    return Math.log(total) + max - (logits[row] as number);
  });
  return losses.reduce((a, b) => a + b, 0) / losses.length;
}

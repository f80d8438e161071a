/** Share of rows of `logits [rows, ways]` whose largest entry is at the row's label. */
export function accuracyOf(logits: Float32Array, labels: Int32Array, ways: number): number {
  let hits = 0;
  for (let row = 0; row < labels.length; row++) {
    let best = 0;
    for (let way = 1; way < ways; way++) {
      if ((logits[row * ways + way] as number) > (logits[row * ways + best] as number)) best = way;
    }
    if (best === labels[row]) hits++;
  }
  return hits / labels.length;
}

export interface Interval {
  readonly mean: number;
  /** Half the width of the 95 % confidence interval of the mean over tasks. */
  readonly halfWidth: number;
}

/** Mean with its 95 % interval under the normal approximation: 1.96 standard errors. */
export function meanInterval(values: readonly number[]): Interval {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const deviation = Math.sqrt(squares / Math.max(1, values.length - 1));
  return { mean, halfWidth: (1.96 * deviation) / Math.sqrt(values.length) };
}

/** Logits of rows, `ways` of each, with the class of each; those from `first` on are asked about. */
export interface AskedRows {
  readonly logits: ArrayLike<number>;
  readonly labels: Int32Array;
  readonly ways: number;
  readonly first: number;
}

/** The mean cross-entropy of rows whose logits are multiplied by `times`, and its slope over that. */
export function lossAt({ logits, labels, ways, first }: AskedRows, times: number): { loss: number; slope: number } {
  let [loss, slope] = [0, 0];
  for (let row = first; row < labels.length; row++) {
    const own = logits[row * ways + (labels[row] as number)] as number;
    let highest = Number.NEGATIVE_INFINITY;
    for (let way = 0; way < ways; way++) highest = Math.max(highest, logits[row * ways + way] as number);
    let [sum, weighed] = [0, 0];
    for (let way = 0; way < ways; way++) {
      const logit = logits[row * ways + way] as number;
      const share = Math.exp(times * (logit - highest));
      sum += share;
      weighed += share * logit;
    }
    loss += Math.log(sum) + times * (highest - own);
    slope += weighed / sum - own;
  }
  const rows = labels.length - first;
  return { loss: loss / rows, slope: slope / rows };
}

/** Scales are looked for from a sixteenth to sixteen times; where all is told right the loss has no least. */
const OCTAVES = 4;

/** What logits are to be multiplied by so that their loss is least: as the loss is convex in it, where the slope is 0. */
export function bestScale(rows: AskedRows): number {
  let [low, high] = [-OCTAVES, OCTAVES];
  for (let i = 0; i < 30; i++) {
    const middle = (low + high) / 2;
    if (lossAt(rows, 2 ** middle).slope < 0) low = middle;
    else high = middle;
  }
  return 2 ** ((low + high) / 2);
}

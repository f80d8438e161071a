const BINS = 15;

/** Predictions by how probable they said they were, to compare with how often they were right. */
export class Calibration {
  readonly #counts = new Float64Array(BINS);
  readonly #sums = new Float64Array(BINS);
  readonly #hits = new Float64Array(BINS);

  /** Adds a prediction: the probability of its class, and whether that is the right one. */
  add(probability: number, isRight: boolean): void {
    const bin = Math.min(BINS - 1, Math.floor(probability * BINS));
    this.#counts[bin] = (this.#counts[bin] as number) + 1;
    this.#sums[bin] = (this.#sums[bin] as number) + probability;
    if (isRight) this.#hits[bin] = (this.#hits[bin] as number) + 1;
  }

  /**
   * The expected calibration error, 0..1: by how much probability and share of right answers differ, weighed by how many
   * predictions stand in each of 15 bins of one width (Guo et al. 2017, equation 3). NaN of no predictions.
   */
  get error(): number {
    const count = this.#counts.reduce((a, b) => a + b, 0);
    const gaps = this.#sums.map((sum, bin) => Math.abs(sum - (this.#hits[bin] as number)));
    return gaps.reduce((a, b) => a + b, 0) / count;
  }
}

/** What a request may ask for. What depends on a bundle (examples, classes) stands in the bundle's own limits. */
export interface Limits {
  /** Bytes of a request's body, after decompression. */
  readonly bodyBytes: number;
  /** UTF-8 bytes of a label. */
  readonly labelBytes: number;
  /** Width x height of an image. */
  readonly imagePixels: number;
  /** Images of one `/predict`. */
  readonly predictImages: number;
  /** Inner steps of one `/adapt`. */
  readonly steps: number;
  /** Inner learning rate. */
  readonly rate: number;
  /** Images of one request that are decoded at the same time. */
  readonly decodeConcurrency: number;
}

export const defaultLimits: Limits = {
  bodyBytes: 32 * 1024 * 1024,
  labelBytes: 256,
  imagePixels: 16_000_000,
  predictImages: 1000,
  steps: 100,
  rate: 10,
  decodeConcurrency: 4,
};

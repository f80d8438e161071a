/** What a request may ask for. What depends on a bundle (examples, classes) stands in the bundle's own limits. */
export interface Limits {
  /** Bytes of a request's body, after decompression. */
  readonly bodyBytes: number;
  /** UTF-8 bytes of a label. */
  readonly labelBytes: number;
  /** Bytes of all bodies that are held at once. */
  readonly heldBytes: number;
  /** Width x height of an image. */
  readonly imagePixels: number;
  /** Of all images of a request together, each at least as many as a bundle takes values. */
  readonly requestPixels: number;
  /** Of all images that a key, or an address without keys, has waiting to be decoded and decoded at once. */
  readonly keyPixels: number;
  /** Images of one `/predict`. */
  readonly predictImages: number;
  /** Inner steps of one `/adapt`. */
  readonly steps: number;
  /** Inner learning rate. */
  readonly rate: number;
}

export const defaultLimits: Limits = {
  bodyBytes: 32 * 1024 * 1024,
  labelBytes: 256,
  heldBytes: 64 * 1024 * 1024,
  imagePixels: 16_000_000,
  requestPixels: 200_000_000,
  keyPixels: 400_000_000,
  predictImages: 1000,
  steps: 100,
  rate: 10,
};

/** The limits of all together at least those of one. */
export function consistent(limits: Limits): Limits {
  const requestPixels = Math.max(limits.requestPixels, limits.imagePixels);
  return {
    ...limits,
    heldBytes: Math.max(limits.heldBytes, limits.bodyBytes),
    requestPixels,
    keyPixels: Math.max(limits.keyPixels, requestPixels),
  };
}

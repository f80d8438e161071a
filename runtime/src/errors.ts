/** A bundle that cannot be loaded: a missing file, a digest, schema version or tensor name that does not fit. */
export class BundleError extends Error {
  override readonly name = 'BundleError';
}

/** A profile that cannot be used: damaged bytes, or made for another bundle or pattern. */
export class ProfileError extends Error {
  override readonly name = 'ProfileError';
}

/** Input a caller can mend: examples, images or options. `field` names it, as in `examples[3].image`. */
export class InputError extends Error {
  override readonly name = 'InputError';
  constructor(
    readonly field: string,
    message: string,
  ) {
    super(message);
  }
}
